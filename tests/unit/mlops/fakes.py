"""boto3 clients as far as these tests need them: state in dictionaries, errors as botocore raises them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

RESPONSE = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def error(code: str, message: str, operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class FakeSageMaker:
    """Training and processing jobs: created `InProgress`, changed by the test."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.created: list[str] = []
        self.stopped: list[str] = []

    def create(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{kind}JobName"]
        if name in self.jobs:
            raise error("ResourceInUse", f"Job name must be unique: {name}")
        self.jobs[name] = {**request, f"{kind}JobStatus": "InProgress"}
        self.created.append(name)
        return RESPONSE

    def describe(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise error("ValidationException", "Requested resource not found.")
        return self.jobs[name]

    def create_training_job(self, **request: Any) -> dict[str, Any]:
        return self.create("Training", request)

    def create_processing_job(self, **request: Any) -> dict[str, Any]:
        return self.create("Processing", request)

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return self.describe(TrainingJobName)

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        return self.describe(ProcessingJobName)

    def stop_training_job(self, TrainingJobName: str) -> None:
        self.stopped.append(TrainingJobName)

    def stop_processing_job(self, ProcessingJobName: str) -> None:
        self.stopped.append(ProcessingJobName)


class FakeLogs:
    """Log streams: name -> lines. A token is how far a stream has been read."""

    exceptions = SimpleNamespace(ResourceNotFoundException=type("NotFound", (Exception,), {}))

    def __init__(self, streams: dict[str, list[str]] | None = None) -> None:
        self.streams = streams

    def describe_log_streams(self, logGroupName: str, logStreamNamePrefix: str) -> dict[str, Any]:
        if self.streams is None:
            raise self.exceptions.ResourceNotFoundException
        names = [name for name in self.streams if name.startswith(logStreamNamePrefix)]
        return {"logStreams": [{"logStreamName": name} for name in names]}

    def get_log_events(
        self, logGroupName: str, logStreamName: str, startFromHead: bool, nextToken: str = "f/0"
    ) -> dict[str, Any]:
        if self.streams is None:
            raise self.exceptions.ResourceNotFoundException
        begin = int(nextToken.split("/")[1])
        lines = self.streams[logStreamName][begin : begin + 2]  # small pages, so that paging is exercised
        return {
            "events": [{"message": line} for line in lines],
            "nextForwardToken": f"f/{begin + len(lines)}",
        }


class FakeHook:
    """A provider hook around a fake client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.conn = client

    def get_conn(self) -> Any:
        return self.client

    def configure_s3_resources(self, config: dict[str, Any]) -> None: ...

    def describe_training_job(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_training_job(TrainingJobName=name))

    def describe_processing_job(self, name: str) -> dict[str, Any]:
        return dict(self.client.describe_processing_job(ProcessingJobName=name))

    def create_training_job(self, config: dict[str, Any], **_: Any) -> dict[str, Any]:
        return dict(self.client.create_training_job(**config))

    def create_processing_job(self, config: dict[str, Any], **_: Any) -> dict[str, Any]:
        return dict(self.client.create_processing_job(**config))
