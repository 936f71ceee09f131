"""The bandit policy on local AWS through boto3: trained, judged, served, swapped, and no record lost."""

from __future__ import annotations

import io
import json
import random
import tarfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

SOURCE = Path(__file__).resolve().parents[4] / "sagemaker_scripts" / "bandit"
PATIENCE = 120.0
NOTHING = "0.5"  # records a second, of which a stream takes whole ones
BEST = {"red": 1, "green": 2, "blue": 3}
CONFIG = {
    "version": 1,
    "context": [{"name": "size"}, {"name": "colour", "kind": "category"}],
    "arms": {"fixed": [1, 2, 3]},
    "minimum_probability": 0.05,
}


def source() -> bytes:
    """sourcedir.tar.gz: the folder as it is."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path in sorted(SOURCE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                tar.add(path, str(path.relative_to(SOURCE)))
    return data.getvalue()


def rows(count: int, seed: int) -> bytes:
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        colour, action = chance.choice(list(BEST)), chance.randint(1, 3)
        row = {
            "event_id": f"{seed}-{number}",
            "action": str(action),
            "action_prob": 1 / 3,
            "observation": json.dumps([chance.gauss(50, 10), colour]),
            "sample_prob": chance.random(),
            "reward": float(action == BEST[colour]),
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines).encode()


def until(condition: Any, what: str, seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.1)
    return found


class Bandit:
    """What the bandit's DAGs do, as far as the policy's scripts see it."""

    def __init__(self, aws: Any, cases: Any) -> None:
        self.aws, self.cases = aws, cases
        self.id = f"b{uuid.uuid4().hex[:8]}"
        self.s3, self.sm = aws.client("s3"), aws.client("sagemaker")
        self.runtime = aws.client(
            "sagemaker-runtime", config=Config(retries={"max_attempts": 0}, max_pool_connections=20)
        )
        self.warm = ""
        self.s3.create_bucket(Bucket=self.id)
        self.put("code.tar.gz", source())
        with tarfile.open(fileobj=io.BytesIO(source())) as tar:
            for member in tar:
                extracted = tar.extractfile(member)
                assert extracted is not None
                self.put(f"code/{member.name}", extracted.read())
        self.put("config/policy_config.json", json.dumps(CONFIG).encode())

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.id, Key=key, Body=body)

    def uri(self, key: str) -> str:
        return f"s3://{self.id}/{key}"

    def key(self, uri: str) -> str:
        return uri.removeprefix(self.uri(""))

    def train(self, model_id: str, **channels: str) -> str:
        name = f"{self.id}-{model_id}"
        self.sm.create_training_job(
            TrainingJobName=name,
            RoleArn=self.cases.role,
            AlgorithmSpecification={"TrainingImage": self.cases.sklearn, "TrainingInputMode": "File"},
            HyperParameters={
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": self.uri("code.tar.gz"),
                "model_id": model_id,
            },
            InputDataConfig=[
                {
                    "ChannelName": channel,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": self.uri(key)}},
                }
                for channel, key in channels.items()
            ],
            OutputDataConfig={"S3OutputPath": self.uri("models")},
            ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
        )
        job = self.cases.ended(self.sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
        assert job["TrainingJobStatus"] == "Completed", job
        return str(job["ModelArtifacts"]["S3ModelArtifacts"])

    def streams(self, **tags: str) -> None:
        firehose = self.aws.client("firehose")
        for kind in ("actions", "rewards"):
            firehose.create_delivery_stream(
                DeliveryStreamName=f"{self.id}-{kind}",
                ExtendedS3DestinationConfiguration={
                    "BucketARN": f"arn:aws:s3:::{self.id}",
                    "RoleARN": self.cases.role,
                    "Prefix": f"log/{kind}/dt=!{{timestamp:yyyy-MM-dd-HH}}/",
                    "ErrorOutputPrefix": "errors/",
                    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
                },
                Tags=[
                    {"Key": f"local-aws:{key.replace('_', '-')}", "Value": value}
                    for key, value in tags.items()
                ]
                or [{"Key": "project", "Value": "mlops"}],
            )

    def deploy(self, model_uri: str, **environment: str) -> None:
        variables = {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": self.uri("code.tar.gz"),
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "BANDIT_EXPERIMENT": self.id,
            "BANDIT_OBSERVATION_STREAM": f"{self.id}-actions",
            "BANDIT_REWARD_STREAM": f"{self.id}-rewards",
            "BANDIT_POLL_SECONDS": "0.2",
            **environment,
        }
        self.sm.create_model(
            ModelName=self.id,
            ExecutionRoleArn=self.cases.role,
            PrimaryContainer={
                "Image": self.cases.sklearn, "ModelDataUrl": model_uri, "Environment": variables,
            },
        )  # fmt: skip
        variant = {"VariantName": "v", "ModelName": self.id, "InitialInstanceCount": 1}
        self.sm.create_endpoint_config(
            EndpointConfigName=self.id, ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
        )
        self.sm.create_endpoint(EndpointName=self.id, EndpointConfigName=self.id)
        self.sm.get_waiter("endpoint_in_service").wait(EndpointName=self.id, WaiterConfig=self.cases.fast)

    def ask(self, request: Any, content_type: str = "application/json") -> Any:
        body = request if isinstance(request, str) else json.dumps(request)
        answer = self.runtime.invoke_endpoint(EndpointName=self.id, ContentType=content_type, Body=body)
        return json.loads(answer["Body"].read())

    def decide(self, colour: str = "red") -> dict[str, Any]:
        answer: dict[str, Any] = self.ask({"request_type": "observation", "observation": [50, colour]})
        return answer

    def logged(self, kind: str) -> list[dict[str, Any]]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.id, Prefix=f"log/{kind}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        bodies = (self.s3.get_object(Bucket=self.id, Key=key)["Body"].read() for key in keys)
        return [json.loads(line) for body in bodies for line in body.splitlines()]


@pytest.fixture(scope="module")
def bandit(local_aws: Any, cases: Any) -> Bandit:
    """Trained by a job of its own, served by two workers, with streams, pointer and a table of workers."""
    bandit = Bandit(local_aws, cases)
    bandit.put("rows/warm/part", rows(300, 1))
    bandit.put("rows/next/part", rows(300, 2))
    bandit.warm = bandit.train("warm", config="config/", train="rows/warm/")
    bandit.streams()
    local_aws.client("dynamodb").create_table(
        TableName=f"{bandit.id}-workers",
        KeySchema=[
            {"AttributeName": "experiment_id", "KeyType": "HASH"},
            {"AttributeName": "worker_id", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "experiment_id", "AttributeType": "S"},
            {"AttributeName": "worker_id", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    bandit.deploy(
        bandit.warm, BANDIT_POINTER=bandit.uri("hosting.json"), BANDIT_WORKERS_TABLE=f"{bandit.id}-workers"
    )
    return bandit


def test_decisions_rewards_and_their_records(bandit: Bandit) -> None:
    decisions = [bandit.decide(colour) for colour in [*BEST] * 30]
    played = Counter(
        answer["action"] == BEST[colour] for answer, colour in zip(decisions, [*BEST] * 30, strict=True)
    )
    assert played[True] > 60  # of 90, chance plays 30
    for answer in decisions:
        reward = {"request_type": "reward", "event_id": answer["event_id"], "reward": 1}
        assert bandit.ask(reward)["status"] == "success"
    until(lambda: len(bandit.logged("actions")) >= 90 and len(bandit.logged("rewards")) >= 90, "the log")
    actions = {record["event_id"]: record for record in bandit.logged("actions")}
    assert actions.keys() == {answer["event_id"] for answer in decisions}
    for answer in decisions:
        record = actions[answer["event_id"]]
        assert {key: record[key] for key in answer} == answer
        assert json.loads(record["probabilities"])[answer["action"] - 1] == answer["action_prob"]
    assert Counter(record["event_id"] for record in bandit.logged("rewards")) == Counter(list(actions))


def test_errors_reach_the_client_with_their_reason(bandit: Bandit) -> None:
    with pytest.raises(ClientError) as caught:
        bandit.ask({"request_type": "observation", "observation": [None, "red"]})
    error = caught.value.response
    assert (error["Error"]["Code"], error["OriginalStatusCode"]) == ("ModelError", 400)
    assert "missing feature: size has no value" in error["OriginalMessage"]


def test_a_soft_swap_under_requests_loses_and_fails_none(bandit: Bandit, local_aws: Any) -> None:
    successor = bandit.train("next", parent=bandit.key(bandit.warm), train="rows/next/")
    end = threading.Event()
    answers: list[dict[str, Any]] = []

    def client() -> None:
        while not end.is_set():
            answers.append(bandit.decide())

    def serving(model_id: str) -> bool:
        workers = bandit.ask({"request_type": "model_id"})["workers"]
        return len(workers) == 2 and all(worker["model_id"] == model_id for worker in workers)

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(client) for _ in range(4)]
        until(lambda: len(answers) > 50, "answers")
        bandit.put("hosting.json", json.dumps({"model_id": "next", "model_uri": successor}).encode())
        until(lambda: serving("next"), "the swap")
        # One that is not what the pointer says: every worker stays, and says why.
        bandit.put("hosting.json", json.dumps({"model_id": "other", "model_uri": successor}).encode())

        def reports() -> list[dict[str, Any]]:
            table = local_aws.client("dynamodb").query(
                TableName=f"{bandit.id}-workers",
                KeyConditionExpression="experiment_id = :e",
                ExpressionAttributeValues={":e": {"S": bandit.id}},
            )
            return [item for item in table["Items"] if item["status"]["S"] == "rolled_back"]

        items = until(lambda: len(found := reports()) == 2 and found, "the refusal")
        end.set()
        for future in running:
            future.result()  # no request failed
    for item in items:
        assert (item["model_id"]["S"], item["target_model_id"]["S"]) == ("next", "other")
        assert "holds next, not other" in item["reason"]["S"]
    assert {answer["model_id"] for answer in answers} == {"warm", "next"}
    ids = {answer["event_id"] for answer in answers}
    until(lambda: ids <= {record["event_id"] for record in bandit.logged("actions")}, "the log")


def test_the_evaluation_job(bandit: Bandit) -> None:
    bandit.put("rounds/part", rows(400, 3))
    bandit.train("random", config="config/")
    name = f"{bandit.id}-evaluation"
    inputs = {
        "code": "code/",
        "data": "rounds/",
        "challenger": bandit.key(bandit.warm),
        "champion": f"models/{bandit.id}-random/output/model.tar.gz",
    }
    base = "/opt/ml/processing"
    folders = [
        word for key in ("data", "challenger", "champion") for word in (f"--{key}", f"{base}/input/{key}")
    ]
    request = bandit.cases.processing(
        name,
        "",
        ProcessingInputs=[
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": bandit.uri(value), "LocalPath": f"{base}/input/{key}",
                    "S3DataType": "S3Prefix", "S3InputMode": "File",
                },
            }
            for key, value in inputs.items()
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "evaluation",
                    "S3Output": {
                        "S3Uri": bandit.uri("evaluation"), "LocalPath": f"{base}/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )  # fmt: skip
    request["AppSpecification"] = {
        "ImageUri": bandit.cases.sklearn,
        "ContainerEntrypoint": ["python3", f"{base}/input/code/evaluate_policies.py"],
        "ContainerArguments": [*folders, "--output", f"{base}/output", "--message", "/opt/ml/output/message"],
    }
    bandit.sm.create_processing_job(**request)
    job = bandit.cases.ended(bandit.sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Completed", job
    body = bandit.s3.get_object(Bucket=bandit.id, Key="evaluation/evaluation.json")["Body"].read()
    evaluation = json.loads(body)
    assert evaluation["rows"] == 400
    assert evaluation["policies"]["challenger"]["model_id"] == "warm"
    assert evaluation["paired"]["champion"]["dr"]["low"] > 0.3


def test_a_throttled_stream_and_a_deleted_endpoint_lose_nothing(bandit: Bandit) -> None:
    """The stream takes nothing, then a record a second; the endpoint is deleted while all wait on disk."""
    firehose = bandit.aws.client("firehose")

    def throttle(per_second: str) -> None:
        tag = {"Key": "local-aws:records-per-second", "Value": per_second}
        firehose.tag_delivery_stream(DeliveryStreamName=f"{bandit.id}-actions", Tags=[tag])

    throttle(NOTHING)
    ids = {bandit.decide()["event_id"] for _ in range(60)}
    assert bandit.ask({"request_type": "model_id"})["spooled"] == 60
    throttle("1")
    bandit.sm.delete_endpoint(EndpointName=bandit.id)
    until(lambda: ids <= {record["event_id"] for record in bandit.logged("actions")}, "the log")


def test_killed_in_the_middle_it_loses_no_answered_decision(
    bandit: Bandit, cases: Any, new_local_aws: Any
) -> None:
    aws = new_local_aws()
    other = Bandit(aws, cases)
    model = bandit.key(bandit.warm)
    other.put("model.tar.gz", bandit.s3.get_object(Bucket=bandit.id, Key=model)["Body"].read())
    other.streams(records_per_second=NOTHING)
    other.deploy(other.uri("model.tar.gz"))
    answered: list[str] = []

    def client() -> None:
        while True:
            try:
                answered.append(other.decide()["event_id"])
            except (ClientError, BotoCoreError):
                return

    with ThreadPoolExecutor(2) as clients:
        running = [clients.submit(client) for _ in range(2)]
        until(lambda: len(answered) > 100, "answers")
        aws.kill()
        for future in running:
            future.result()
    aws.start()

    def answers() -> bool:
        try:
            answered.append(other.decide()["event_id"])
        except (ClientError, BotoCoreError):
            return False
        return True

    until(answers, "the endpoint")
    aws.client("firehose").untag_delivery_stream(
        DeliveryStreamName=f"{other.id}-actions", TagKeys=["local-aws:records-per-second"]
    )
    until(lambda: set(answered) <= {record["event_id"] for record in other.logged("actions")}, "the log")
