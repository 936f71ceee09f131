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


@pytest.mark.parametrize("kind", ["serving", "transform"])
def test_user_code_is_refused_where_it_would_be_ignored(kind):
    with pytest.raises(
        UnknownImage, match=r"with user code \(SAGEMAKER_PROGRAM\) cannot serve in local AWS yet"
    ):
        resolve(XGBOOST, kind, environment={"SAGEMAKER_PROGRAM": "inference.py"})


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
        ("r/my-own:2", "training", "r/my-own:2 is not known .* 'my-own'. Known repositories: sagemaker-"),
        (XGBOOST, "processing", "needs a ContainerEntrypoint"),
        (SKLEARN, "transform", "has no transform in local AWS"),
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
