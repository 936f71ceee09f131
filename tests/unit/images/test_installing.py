"""What a script requires: met by the environment, or installed for it alone."""

import importlib.metadata

import pytest

from local_aws.images.installing import install_missing, is_satisfied, read_requirements

NUMPY = importlib.metadata.version("numpy")


@pytest.mark.parametrize(
    ("requirement", "satisfied"),
    [
        ("numpy", True),
        (f"numpy=={NUMPY}", True),
        ("numpy>=999", False),
        ("xgboost", True),  # here it is xgboost-cpu
        ("xgboost>=999", False),
        ("no-such-package-at-all", False),
        ("no-such-package-at-all; python_version < '3'", True),
        ("git+https://example.invalid/x.git", False),
    ],
)
def test_what_the_environment_has_is_not_installed_again(requirement, satisfied):
    assert is_satisfied(requirement) is satisfied


def test_comments_and_options_are_told_from_requirements(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\n--no-index\n-r more.txt\nnumpy>=1  # why\n\nboto3\n")
    assert read_requirements(file) == (["numpy>=1", "boto3"], ["--no-index", "-r", "more.txt"])


def test_what_cannot_be_installed_is_named_and_what_is_met_starts_no_pip(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="no-such-package-at-all could not be installed: "):
        install_missing(["numpy", "no-such-package-at-all"], tmp_path / "site", ["--no-index"])
    monkeypatch.setattr("subprocess.run", None)
    assert install_missing(["numpy"], tmp_path / "site") == []
