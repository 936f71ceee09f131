"""What is uploaded for Airflow: the same bytes from the same files, and nothing that MWAA would refuse."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from workbench import release
from workbench.settings import ROOT, WorkbenchError

PARTS = ("dags", "plugins", "config", "glue_scripts", "sagemaker_scripts")


@pytest.fixture(scope="module")
def built() -> release.Release:
    return release.build(ROOT)


def test_another_copy_of_the_same_files_gives_the_same_bytes(tmp_path: Path, built: release.Release) -> None:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o755)
    (tmp_path / "plugins" / "mlops" / "__pycache__").mkdir()
    (tmp_path / "plugins" / "mlops" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert release.build(tmp_path) == built


def test_plugins_hold_the_package_the_settings_and_the_version_of_the_code(built: release.Release) -> None:
    with zipfile.ZipFile(io.BytesIO(built.plugins)) as packed:
        names = packed.namelist()
        assert packed.read("config/code_version").decode().strip() == built.code_version
        ignored = packed.read(".airflowignore").decode().split()
    assert {"mlops/naming.py", "config/settings.py", "config/dev.toml", "config/prod.toml"} <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if "__pycache__" in name]
    assert {"mlops/", "config/"} <= set(ignored)  # packages, not plugins


def test_settings_in_plugins_know_the_version(tmp_path: Path, built: release.Release) -> None:
    """As on MWAA: no variable says it, the archive does."""
    with zipfile.ZipFile(io.BytesIO(built.plugins)) as packed:
        packed.extractall(tmp_path)
    code = "from config import load; print(load('prod').code_version)"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    python = str(ROOT / ".venv/worker/bin/python")
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == built.code_version


def test_this_release_is_within_the_limits(built: release.Release) -> None:
    release.check(built, "mw1.small")
    assert built.dag_ids["churn_training"] == "churn_training.py"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("requirements.txt", b"boto3\n# -c constraints.txt\n", "requirements.txt:2: a constraint line"),
        (
            "requirements.txt",
            b"xgboost-cpu==3.2.0\n",
            "requirements.txt:1: xgboost-cpu==3.2.0 belongs in a job",
        ),
        ("requirements.txt", b"apache-airflow==3.3.1\n", "apache-airflow==3.3.1 is MWAA's to decide"),
        (f"{'d' * 51}.py", b"", "InvokeRestApi takes paths of 64 characters"),
    ],
)
def test_what_mwaa_would_refuse(built: release.Release, name: str, content: bytes, reason: str) -> None:
    if name == "requirements.txt":
        broken = replace(built, requirements=content)
    else:
        broken = replace(built, dags={**built.dags, name: content})
    with pytest.raises(WorkbenchError, match=re.escape(reason)):
        release.check(broken, "mw1.small")


def test_an_id_of_50_characters_is_the_longest(built: release.Release) -> None:
    release.check(replace(built, dags={f"{'d' * 50}.py": b""}), "mw1.small")


def test_too_many_dags_for_the_class(built: release.Release) -> None:
    many = replace(built, dags={f"d{number}.py": b"" for number in range(26)})
    release.check(many, "mw1.small")
    with pytest.raises(WorkbenchError, match=re.escape("26 DAGs; mw1.micro is made for 25")):
        release.check(many, "mw1.micro")


def test_requirements_resolve_under_the_constraints_of_mwaa(shared_data: Path) -> None:
    """Offline it cannot be told: the resolver asks the index, as the other locks of this project do."""
    constraints = shared_data.parent / "constraints" / "mwaa-airflow-3.3.1-python-3.12.txt"
    command = [
        *(str(ROOT / ".venv/dev/bin/uv"), "pip", "compile", "-q", "--no-header", "--no-annotate"),
        *("--python-version", "3.12", "--python-platform", "linux", "-c", str(constraints)),
        str(ROOT / "requirements.txt"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "error sending request" in done.stderr or "dns error" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    assert "apache-airflow-providers-amazon==9.34.0" in done.stdout
    resolved = set(re.findall(r"^([a-z0-9-]+)==", done.stdout, flags=re.MULTILINE))
    assert not resolved & {"pandas", "numpy", "xgboost", "scikit-learn", "sagemaker"}
