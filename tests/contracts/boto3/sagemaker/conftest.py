"""SageMaker through stock boto3: clients, a bucket with 500 customers, one trained model for the session."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import tarfile
import time
import urllib.request
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
FAST = {"Delay": 1, "MaxAttempts": 90}
HYPERPARAMETERS = {
    "num_round": "20",
    "objective": "binary:logistic",
    "eval_metric": "auc,logloss",
    "max_depth": "3",
    "seed": "7",
}


@pytest.fixture(scope="session")
def sm(local_aws):
    return local_aws.client("sagemaker")


@pytest.fixture(scope="session")
def s3(local_aws):
    return local_aws.client("s3")


@pytest.fixture(scope="session")
def runtime(local_aws):
    return local_aws.client("sagemaker-runtime")


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def bucket(s3):
    s3.create_bucket(Bucket="sagemaker-contracts")
    return "sagemaker-contracts"


@pytest.fixture(scope="session")
def customers(s3, bucket):
    """400 rows to train on, 100 to validate: label first. Five features, a seeded signal."""
    draw = random.Random(1729)
    rows = []
    for _ in range(500):
        features = [round(draw.random(), 6) for _ in range(5)]
        rows.append([int(features[0] + features[1] / 2 + draw.random() * 0.3 > 0.9), *features])
    s3.put_object(Bucket=bucket, Key="data/train/part.csv", Body=as_csv(rows[:400]))
    s3.put_object(Bucket=bucket, Key="data/validation/part.csv", Body=as_csv(rows[400:]))
    return rows


def as_csv(rows: list[list[Any]]) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def training_request(bucket: str, name: str, **more: Any) -> dict[str, Any]:
    def channel(kind: str) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/{kind}/"}
        return {"ChannelName": kind, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}

    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        "HyperParameters": HYPERPARAMETERS,
        "InputDataConfig": [channel("train"), channel("validation")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/model"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m6i.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        **more,
    }


def processing_request(name: str, script: str, runtime: int = 300, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": XGBOOST, "ContainerEntrypoint": ["python3", "-c", script]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": runtime},
        **more,
    }


def ended(describe: Any, status: str, seconds: float = 120, **request: Any) -> dict[str, Any]:
    """A job's or endpoint's description once nothing is under way; boto3's waiters raise for a failed one."""
    deadline = time.monotonic() + seconds
    while True:
        answer: dict[str, Any] = describe(**request)
        if answer[status] not in ("InProgress", "Stopping", "Creating", "Updating"):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def archive(files: dict[str, str]) -> bytes:
    """A tar.gz of texts."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


def post(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30):
        pass


@pytest.fixture(scope="session")
def cases():
    """The request builders, for tests: conftest cannot be imported."""
    return SimpleNamespace(
        training=training_request,
        processing=processing_request,
        ended=ended,
        csv=as_csv,
        role=ROLE,
        image=XGBOOST,
        sklearn=SKLEARN,
        archive=archive,
        post=post,
        fast=FAST,
    )


@pytest.fixture(scope="session")
def trained(sm, s3, bucket, customers, tmp_path_factory):
    """A completed training job: its description, and its model scored by XGBoost itself."""
    name = f"trained-{uuid.uuid4().hex[:8]}"
    sm.create_training_job(**training_request(bucket, name))
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=FAST)
    job = sm.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    folder = tmp_path_factory.mktemp("model")
    body = s3.get_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        archive.extractall(folder, filter="data")
    features = [row[1:] for row in customers[400:]]
    return SimpleNamespace(
        job=job, uri=uri, features=features, scores=score(folder / "xgboost-model", features)
    )


def score(model: Path, features: list[list[float]]) -> list[float]:
    """What XGBoost itself says, in the environment that has it."""
    script = (
        "import json, sys, numpy, xgboost\n"
        "booster = xgboost.Booster(model_file=sys.argv[1])\n"
        "rows = numpy.array(json.load(sys.stdin), dtype='float32')\n"
        "print(json.dumps([float(p) for p in booster.predict(xgboost.DMatrix(rows))]))\n"
    )
    python = os.environ.get("LOCAL_AWS_JOBS_PYTHON", str(ROOT / ".venv/jobs/bin/python"))
    done = subprocess.run(
        [python, "-c", script, str(model)],
        input=json.dumps(features),
        capture_output=True,
        text=True,
        check=True,
    )
    scores: list[float] = json.loads(done.stdout)
    return scores


@pytest.fixture
def deployable(sm, trained):
    """deployable("name") -> a model and an endpoint configuration of that name."""

    def make(name: str, **more: Any) -> None:
        sm.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": XGBOOST, "ModelDataUrl": trained.uri},
        )
        variant = {
            "VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }  # fmt: skip
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)

    return make
