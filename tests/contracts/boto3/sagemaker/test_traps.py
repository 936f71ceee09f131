"""Traps of SageMaker's containers that their users fall into, as stock clients meet them here.

Each test is named for its trap and takes one that no test of the service beside it is about. Those that are
(ExitMessage and CompletedWithViolations, tabs as `#011`, the order and encodings of captured columns, hours
without data, Clarify's files) are in the tests of training, monitoring, capture and the analysers.
"""

import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

ENVIRONMENTS = Path(__file__).resolve().parents[4] / "environments"
# A member of ContainerEntrypoint is one line of at most 256 characters.
WHERE = (
    "import os, sys, pathlib; b = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR']); "
    "f = next(b.rglob('resourceconfig.json')).parent; (b / 'output').mkdir(exist_ok=True); "
    "(b / 'output' / sys.argv[1]).write_text(os.path.relpath(f, b)); "
)


def test_the_configuration_of_processing_and_of_training_is_in_two_places(sm, bucket, customers, cases, name):
    training = cases.training(bucket, name)
    training["AlgorithmSpecification"]["ContainerEntrypoint"] = [
        "python3", "-c", WHERE + "sys.exit(1)", "failure",
    ]  # fmt: skip
    processing = cases.processing(name, WHERE)
    processing["AppSpecification"]["ContainerArguments"] = ["message"]
    sm.create_training_job(**training)
    sm.create_processing_job(**processing)
    trained = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    processed = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert trained["FailureReason"] == "AlgorithmError: input/config, exit code: 1"
    assert processed["ExitMessage"] == "config"


def test_without_a_content_type_the_built_in_algorithm_reads_libsvm(sm, bucket, customers, cases, name):
    request = cases.training(bucket, name)
    for channel in request["InputDataConfig"]:
        del channel["ContentType"]
    sm.create_training_job(**request)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    assert "is not 'LIBSVM' format. Please ensure the file is in 'LIBSVM' format." in job["FailureReason"]


def test_debugger_rules_are_refused_and_smdebug_is_in_no_environment(sm, bucket, customers, cases, name):
    """smdebug needs a protobuf of 2021: an environment that has it has little else."""
    rule = {
        "RuleConfigurationName": "Overfit",
        "RuleEvaluatorImage": "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest",
        "RuleParameters": {"rule_to_invoke": "Overfit"},
    }
    with pytest.raises(ClientError, match="DebugRuleConfigurations is not supported"):
        sm.create_training_job(**cases.training(bucket, name, DebugRuleConfigurations=[rule]))
    locks = sorted(ENVIRONMENTS.glob("*.txt"))
    assert "jobs.txt" in {lock.name for lock in locks}
    assert [lock.name for lock in locks if re.search(r"^smdebug==", lock.read_text(), re.MULTILINE)] == []
