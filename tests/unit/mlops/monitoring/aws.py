"""S3 and SageMaker as far as the monitoring's own code asks them: what lies in dictionaries."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from config import load
from mlops.monitoring import baselines
from tests.unit.mlops import fakes

SETTINGS = load("local")
ENDPOINT = SETTINGS.churn_endpoint
PACKAGE = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{ENDPOINT}/3"
BASELINE = SETTINGS.s3("runs/churn_training/k1/baseline/")


class S3:
    """Objects of one bucket, by key."""

    class NoSuchKey(ClientError):
        pass

    exceptions = SimpleNamespace(ClientError=ClientError, NoSuchKey=NoSuchKey)

    def __init__(self, *keys: str) -> None:
        self.objects: dict[str, bytes] = dict.fromkeys(keys, b"")
        self.types: dict[str, str] = {}

    def list_objects_v2(
        self, Bucket: str, Prefix: str, Delimiter: str = "", MaxKeys: int = 1000
    ) -> dict[str, Any]:
        assert Bucket == SETTINGS.bucket
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        if Delimiter:
            folders = {Prefix + key.removeprefix(Prefix).split(Delimiter)[0] + Delimiter for key in keys}
            return {"CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)]}
        return {"Contents": [{"Key": key} for key in keys[:MaxKeys]]} if keys else {}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_objects_v2"
        return SimpleNamespace(paginate=lambda **request: iter([self.list_objects_v2(**request)]))

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise self.NoSuchKey({"Error": {"Code": "NoSuchKey", "Message": Key}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> None:
        self.objects[Key], self.types[Key] = Body, ContentType

    def put_json(self, uri: str, content: Any) -> None:
        self.objects[uri.removeprefix(f"s3://{SETTINGS.bucket}/")] = json.dumps(content).encode()

    def json(self, key: str) -> Any:
        return json.loads(self.objects[key])


class SageMaker:
    """One endpoint with a registered model, its jobs, and monitoring schedules."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, *, served_since: str = "2026-11-21T00:00:00", watched: bool = True) -> None:
        self.served_since = datetime.fromisoformat(served_since).replace(tzinfo=UTC)
        self.watched = watched
        self.deployed = True
        self.jobs: dict[str, dict[str, Any]] = {}
        self.training_jobs: list[dict[str, Any]] = []
        self.definitions: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.executions: dict[str, list[dict[str, Any]]] = {}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        if not self.deployed:
            raise fakes.error("ValidationException", "Could not find endpoint")
        return {
            "EndpointStatus": "InService",
            "EndpointConfigName": "c",
            "LastModifiedTime": self.served_since,
        }

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": "m"}]}

    def describe_model(self, ModelName: str) -> dict[str, Any]:
        return {"PrimaryContainer": {"ModelPackageName": PACKAGE}}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        watched = {"DriftCheckBaselines": baselines.drift_check_baselines(BASELINE)} if self.watched else {}
        return {
            "ModelPackageArn": PACKAGE,
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://b/k1/model.tar.gz"}]},
            "CustomerMetadataProperties": {
                "encoder_uri": "s3://b/k1/encoder.json",
                "run_key": "k1",
                "threshold": "0.4",
            },
            **watched,
        }

    def list_processing_jobs(self, NameContains: str, **_: Any) -> dict[str, Any]:
        names = sorted((name for name in self.jobs if NameContains in name), reverse=True)
        return {"ProcessingJobSummaries": [{"ProcessingJobName": name} for name in names[:1]]}

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        return self.jobs[ProcessingJobName]

    def get_paginator(self, operation: str) -> Any:
        if operation == "list_training_jobs":
            return SimpleNamespace(paginate=self._training_jobs)
        assert operation == "list_monitoring_executions"
        return SimpleNamespace(
            paginate=lambda MonitoringScheduleName, **_: iter(
                [{"MonitoringExecutionSummaries": self.executions.get(MonitoringScheduleName, [])}]
            )
        )

    def _training_jobs(self, NameContains: str, CreationTimeAfter: datetime, **_: Any) -> Any:
        found = [
            job
            for job in self.training_jobs
            if NameContains in job["TrainingJobName"] and job["CreationTime"] > CreationTimeAfter
        ]
        return iter([{"TrainingJobSummaries": found}])

    def describe_monitoring_schedule(self, MonitoringScheduleName: str) -> dict[str, Any]:
        if MonitoringScheduleName not in self.schedules:
            raise fakes.error("ResourceNotFound", "Monitoring Schedule does not exist")
        return self.schedules[MonitoringScheduleName]

    def create_monitoring_schedule(self, **request: Any) -> None:
        name = request["MonitoringScheduleName"]
        assert name not in self.schedules
        self.schedules[name] = {
            **request,
            "MonitoringScheduleStatus": "Scheduled",
            "CreationTime": self.served_since,
        }

    def update_monitoring_schedule(self, **request: Any) -> None:
        self.schedules[request["MonitoringScheduleName"]].update(request)

    def start_monitoring_schedule(self, MonitoringScheduleName: str) -> None:
        self.schedules[MonitoringScheduleName]["MonitoringScheduleStatus"] = "Scheduled"

    def stop_monitoring_schedule(self, MonitoringScheduleName: str) -> None:
        self.schedules[MonitoringScheduleName]["MonitoringScheduleStatus"] = "Stopped"

    def __getattr__(self, name: str) -> Any:
        """`create|describe|delete_<noun>_job_definition`: one shelf for all four."""
        verb = name.partition("_")[0]
        assert name.endswith("_job_definition")
        return {"create": self._define, "describe": self._definition, "delete": self._forget}[verb]

    def _define(self, **request: Any) -> None:
        assert request["JobDefinitionName"] not in self.definitions
        self.definitions[request["JobDefinitionName"]] = request

    def _definition(self, JobDefinitionName: str) -> dict[str, Any]:
        if JobDefinitionName not in self.definitions:
            raise fakes.error("ResourceNotFound", "Job Definition does not exist")
        return self.definitions[JobDefinitionName]

    def _forget(self, JobDefinitionName: str) -> None:
        del self.definitions[JobDefinitionName]
