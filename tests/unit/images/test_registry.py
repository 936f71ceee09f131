"""Image URIs resolve by repository name and version, and everything else is refused with its reason."""

import sys
from pathlib import Path

import pytest

from local_aws.images import registry
from local_aws.images.registry import UnknownImage, resolve

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"


def test_built_in_training_runs_our_module_with_the_job_folder_as_base():
    command = resolve(
        XGBOOST, "training", python="/env/python", base_dir="/jobs/one", environment={"LEVEL": "1"}
    )
    assert command.argv == ["/env/python", "-m", "local_aws.images.xgboost.train"]
    assert command.env == {
        "LEVEL": "1",
        "SAGEMAKER_BASE_DIR": "/jobs/one",
        "PYTHONPATH": str(Path(registry.__file__).resolve().parents[2]),
    }
    assert command.in_process is None


@pytest.mark.parametrize(
    "uri",
    [
        "sagemaker-xgboost:3.2-0",
        "1.dkr.ecr.eu-west-1.amazonaws.com.cn/sagemaker-xgboost:3.2-0-cpu-py3",
        "sagemaker-xgboost:3.2-0@sha256:" + "0" * 64,
    ],
)
def test_account_region_suffix_and_digest_do_not_matter(uri):
    assert resolve(uri, "serving").in_process == "xgboost"


@pytest.mark.parametrize(("kind", "workers"), [("serving", 3), ("transform", 1)])
@pytest.mark.parametrize("uri", [XGBOOST, SKLEARN])
def test_user_code_is_served_by_as_many_workers_as_asked_for(uri, kind, workers):
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "3"}
    command = resolve(uri, kind, python="/env/python", environment=environment)
    repository = registry.split_uri(uri)[0]
    assert command.argv == ["/env/python", "-m", "local_aws.images.inference.serve", repository]
    assert (command.workers, command.in_process) == (workers, None)


def test_a_built_in_model_is_hosted_by_the_data_plane_whatever_the_number_of_workers():
    command = resolve(XGBOOST, "serving", environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "3"})
    assert (command.in_process, command.workers) == ("xgboost", 1)


def test_an_image_runs_where_its_package_is_installed(tmp_path):
    python = tmp_path / "bin" / "python"
    with pytest.raises(UnknownImage, match=r"the package torch is not installed .* environments/jobs.in"):
        resolve("r/pytorch-training:2.6-cpu-py312", "training", python=python)
    (tmp_path / "lib/python3.12/site-packages/torch").mkdir(parents=True)
    command = resolve("r/pytorch-training:2.6-cpu-py312", "training", python=python)
    assert command.argv[1:] == ["-m", "local_aws.images.script_mode"]


OWN = """
[my-own]
training = ["python3", "train.py", "--out", "/opt/ml/model"]
serving = ["python3", "serve.py"]
environment = { LEVEL = "1" }
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Images of one's own, from a TOML file with two programs beside it."""
    file = tmp_path / "images.toml"
    file.write_text(OWN)
    (tmp_path / "train.py").touch()
    (tmp_path / "serve.py").touch()
    monkeypatch.setattr(registry, "IMAGES", {**registry.IMAGES, **registry.read_own(file)})
    return tmp_path


def test_an_image_of_ones_own_runs_the_command_of_its_table(own):
    command = resolve("r/my-own:7", "training", python="/env/python", base_dir="/jobs/one")
    assert command.argv == ["/env/python", str(own / "train.py"), "--out", "/jobs/one/model"]
    assert command.env == {"LEVEL": "1", "SAGEMAKER_BASE_DIR": "/jobs/one"}
    transform = resolve("r/my-own", "transform", environment={"LEVEL": "2"})
    assert (transform.argv, transform.env["LEVEL"]) == (["python3", str(own / "serve.py")], "2")
    with pytest.raises(UnknownImage, match=r"needs a ContainerEntrypoint. It has: training, serving, tr"):
        resolve("r/my-own", "processing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nserve = ['x']\n", r"\[a\] may hold training, processing, serving, transform and environment"),
        ("[a]\nserving = 'x y'\n", r"\[a\] serving is not a list of words"),
        ("[a", "cannot be read"),
    ],
)
def test_a_table_of_images_that_cannot_be_used_names_the_file(tmp_path, text, message):
    file = tmp_path / "images.toml"
    file.write_text(text)
    with pytest.raises(UnknownImage, match=message) as caught:
        registry.read_own(file)
    assert str(file) in str(caught.value)


def test_an_entry_point_of_its_own_is_a_process_of_its_own():
    command = resolve(XGBOOST, "serving", python="/env/python", entrypoint=["python3", "/opt/ml/model/s.py"])
    assert (command.argv, command.in_process) == (["/env/python", "/opt/ml/model/s.py"], None)


def test_processing_runs_what_the_request_says_with_paths_moved_and_no_project_on_the_path():
    command = resolve(
        XGBOOST,
        "processing",
        python="/env/python",
        base_dir="/jobs/two",
        entrypoint=["python3", "/opt/ml/processing/input/code/validate.py"],
        arguments=[
            "--input",
            "/opt/ml/processing/input/raw",
            "--output=/opt/ml/processing/output",
            "/opt/mlx",
            "0.05",
        ],
        environment={"CODE": "/opt/ml", "URL": "s3://opt/ml/x"},
    )
    assert command.argv == [
        "/env/python",
        "/jobs/two/processing/input/code/validate.py",
        "--input",
        "/jobs/two/processing/input/raw",
        "--output=/jobs/two/processing/output",
        "/opt/mlx",
        "0.05",
    ]
    assert command.env == {"CODE": "/jobs/two", "URL": "s3://opt/ml/x", "SAGEMAKER_BASE_DIR": "/jobs/two"}


def test_another_program_is_left_alone():
    assert resolve(SKLEARN, "processing", entrypoint=["/bin/sh", "run.sh"]).argv == ["/bin/sh", "run.sh"]


@pytest.mark.parametrize(
    ("uri", "kind", "message"),
    [
        ("r/xgboost:latest", "training", "legacy image .* XGBoost 0.72 of 2018"),
        ("r/sagemaker-xgboost:latest", "training", "the tag `latest` means XGBoost 0.72"),
        ("r/sagemaker-xgboost:1", "training", "the tag `1` means XGBoost 0.72"),
        ("r/sagemaker-xgboost", "training", "the tag `latest` means XGBoost 0.72"),
        ("r/sagemaker-xgboost:1.7-1", "training", "local AWS has XGBoost 3.2.0, which is version 3.2-0"),
        ("r/my-own:2", "training", "r/my-own:2 is not known .* 'my-own'. Known repositories: pytorch-"),
        (XGBOOST, "processing", "needs a ContainerEntrypoint"),
        ("r/pytorch-inference:2", "training", "has no training in local AWS. It has: serving, transform"),
    ],
)
def test_refusals_name_the_image_and_the_reason(uri, kind, message):
    with pytest.raises(UnknownImage, match=message):
        resolve(uri, kind)


def test_the_registry_needs_nothing_but_the_standard_library():
    source = Path(registry.__file__).read_text()
    imported = {
        line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= set(sys.stdlib_module_names)
