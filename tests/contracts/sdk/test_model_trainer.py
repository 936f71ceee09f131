"""SDK 3's ModelTrainer and tuner (sagemaker-train) as they are installed: what replaced the estimators."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

BUCKET = "sdk3-contracts"
SCRIPT = """
import argparse
import json
import os
from pathlib import Path

import numpy
import xgboost

from helper import columns

parser = argparse.ArgumentParser()
parser.add_argument("--num_round", type=int)
parser.add_argument("--objective")
args = parser.parse_args()
table = numpy.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"]) / "rows.csv", delimiter=",")
matrix = xgboost.DMatrix(table[:, 1:], label=table[:, 0], feature_names=columns)
told = {}
booster = xgboost.train(
    {"objective": args.objective, "eval_metric": "auc"}, matrix, args.num_round, [(matrix, "train")],
    evals_result=told,
)
print(f"reached auc={told['train']['auc'][-1]:.4f};")
booster.save_model(Path(os.environ["SM_MODEL_DIR"]) / "model.json")
hosts = json.loads(os.environ["SM_HOSTS"])
(Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "hosts.json").write_text(json.dumps(hosts))
"""


@pytest.fixture(scope="session")
def trainer(session, trained):
    """A ModelTrainer on the rows that `trained` has put into the bucket.

    Its role is made by the SDK, which looks at the policies of a role before it trains with it.
    """
    from sagemaker.core import image_uris
    from sagemaker.core.helper.iam_role_resolver import IamRoleResolver
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.shapes import Channel, DataSource, S3DataSource, StoppingCondition
    from sagemaker.core.training.configs import Compute
    from sagemaker.train import ModelTrainer

    sdk_session = Session(session, default_bucket=BUCKET)
    role = IamRoleResolver(sdk_session).create_execution_role(role_type="training")

    source = S3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{BUCKET}/train/")
    train = Channel(
        channel_name="train", data_source=DataSource(s3_data_source=source), content_type="text/csv"
    )

    def make(**more):
        return ModelTrainer(
            training_image=image_uris.retrieve("xgboost", session.region_name, version="3.2-0"),
            role=role, sagemaker_session=sdk_session,
            compute=Compute(instance_type="ml.m5.large", instance_count=1),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=300),
            input_data_config=[train], **more,
        )  # fmt: skip

    return make


@pytest.fixture
def source(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("columns = ['first', 'second']\n")
    (tmp_path / "requirements.txt").write_text("numpy>=1\nxgboost\n")
    return tmp_path


def archive(session, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as members:
        return {m.name: file.read() for m in members if (file := members.extractfile(m))}


def test_a_script_with_its_folder_and_requirements(trainer, session, source, caplog):
    from sagemaker.core.training.configs import SourceCode

    mine = trainer(
        base_job_name="trainer-script",
        source_code=SourceCode(
            source_dir=str(source), entry_script="train.py", requirements="requirements.txt"
        ),
        hyperparameters={"num_round": 6, "objective": "binary:logistic"},
    )  # fmt: skip
    caplog.set_level("INFO", logger="sagemaker")
    mine.train(wait=True, logs=True)
    job = mine._latest_training_job.refresh()
    assert job.training_job_status == "Completed", job.failure_reason
    assert "reached auc=0.9" in caplog.text  # the job's log, followed by the SDK
    uri = job.model_artifacts.s3_model_artifacts
    model = archive(session, uri)
    assert list(model) == ["model.json"]
    learner = json.loads(model["model.json"])["learner"]
    assert learner["feature_names"] == ["first", "second"]
    assert learner["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"] == "6"
    output = archive(session, uri.replace("model.tar.gz", "output.tar.gz"))
    assert output == {"hosts.json": b'["algo-1"]'}


def test_a_script_that_fails_fails_the_job_and_is_in_the_log(trainer, tmp_path, caplog):
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.core.utils.exceptions import FailedStatusError

    (tmp_path / "train.py").write_text("raise ValueError('the moon is in the wrong phase')\n")
    mine = trainer(
        base_job_name="trainer-failing",
        source_code=SourceCode(source_dir=str(tmp_path), entry_script="train.py"),
    )  # fmt: skip
    caplog.set_level("INFO", logger="sagemaker")
    # The reason is the driver's own, with the command that failed; the script's error is in the log.
    with pytest.raises(FailedStatusError, match=r"'train\.py'\]' returned non-zero exit status 1"):
        mine.train(wait=True, logs=True)
    assert "ValueError: the moon is in the wrong phase" in caplog.text


def test_the_built_in_algorithm(trainer, session):
    mine = trainer(
        base_job_name="trainer-built-in",
        hyperparameters={"num_round": 5, "objective": "binary:logistic", "eval_metric": "auc"},
    )  # fmt: skip
    mine.train(wait=True, logs=False)
    job = mine._latest_training_job.refresh()
    assert list(archive(session, job.model_artifacts.s3_model_artifacts)) == ["xgboost-model"]
    assert {metric.metric_name: metric.value > 0.9 for metric in job.final_metric_data_list} == {
        "train:auc": True
    }


def test_the_tuner(trainer):
    from sagemaker.core.parameter import ContinuousParameter
    from sagemaker.train.tuner import HyperparameterTuner

    mine = trainer(
        base_job_name="trainer-tuned",
        hyperparameters={"num_round": 3, "objective": "binary:logistic", "eval_metric": "auc"},
    )  # fmt: skip
    tuner = HyperparameterTuner(
        mine, "train:auc", {"eta": ContinuousParameter(0.05, 0.9)}, max_jobs=2, max_parallel_jobs=2
    )
    tuner.tune(job_name="trainer-tuned", wait=True)
    job = tuner.describe()
    assert job.hyper_parameter_tuning_job_status == "Completed", job.failure_reason
    assert job.training_job_status_counters.completed == 2
    assert tuner.best_training_job() == job.best_training_job.training_job_name
    assert 0.05 <= float(job.best_training_job.tuned_hyper_parameters["eta"]) <= 0.9
