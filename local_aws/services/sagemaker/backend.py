"""What the SageMaker service remembers, and the handle through which its modules reach it.

A resource is a plain dictionary in the shape of its Describe answer. Keys that begin with an underscore are
ours; the serializer writes only what AWS's model names, so they never leave the server. Plain dictionaries
keep the state picklable, and the code free of a class a resource.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import RLock
from typing import TYPE_CHECKING, Any

from moto.core.resource_tagging import TaggedResource
from moto.sagemaker.models import SageMakerModelBackend

if TYPE_CHECKING:
    from local_aws.context import Context

Record = dict[str, Any]

# Kind (as in the ARN) -> the member that holds the resource's name.
NAME_KEYS = {
    "training-job": "TrainingJobName",
    "hyper-parameter-tuning-job": "HyperParameterTuningJobName",
    "processing-job": "ProcessingJobName",
    "transform-job": "TransformJobName",
    "model": "ModelName",
    "model-package-group": "ModelPackageGroupName",
    "model-package": "ModelPackageName",
    "endpoint-config": "EndpointConfigName",
    "endpoint": "EndpointName",
    "monitoring-schedule": "MonitoringScheduleName",
    "data-quality-job-definition": "JobDefinitionName",
    "model-quality-job-definition": "JobDefinitionName",
    "model-bias-job-definition": "JobDefinitionName",
    "model-explainability-job-definition": "JobDefinitionName",
}


class SageMakerBackend(SageMakerModelBackend):
    """moto's backend with our own records beside its tables. `records[kind][name]` is one resource."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.records: dict[str, dict[str, Record]] = {kind: {} for kind in NAME_KEYS}

    def add_missing_kinds(self) -> None:
        """A state that an earlier version wrote knows fewer kinds."""
        for kind in NAME_KEYS:
            self.records.setdefault(kind, {})

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """For the resource groups tagging API: our resources, then those that moto keeps."""
        for kind, records in self.records.items():
            for record in records.values():
                yield TaggedResource(
                    arn=record["_arn"], tags=dict(record["_tags"]), resource_type=f"sagemaker:{kind}"
                )
        yield from super().iter_tagged_resources()


@dataclass(frozen=True)
class Service:
    """One account and region of SageMaker, with everything a request or a background thread needs."""

    context: Context
    backend: SageMakerBackend

    @property
    def lock(self) -> RLock:
        """Held by every request of this service; a background thread takes it to read or change a record."""
        return self.context.state.lock("sagemaker")

    def commit(self) -> None:
        """Make the records durable. Requests are committed by the server; background threads call this."""
        with self.lock:
            self.context.state.commit("sagemaker")

    def now(self) -> datetime:
        return self.context.clock()

    def records(self, kind: str) -> dict[str, Record]:
        return self.backend.records[kind]

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.backend.region_name}:{self.backend.account_id}:{kind}/{name}"

    def find(self, kind: str, name: str) -> Record | None:
        return self.backend.records[kind].get(name)

    def snapshot(self, kind: str, name: str) -> Record:
        """A private copy of a record, for a thread that works without the lock."""
        with self.lock:
            return copy.deepcopy(self.backend.records[kind][name])

    def add(self, kind: str, name: str, record: Record, tags: list[dict[str, str]] | None = None) -> Record:
        """Keep a new resource. `_uid` tells it from a later one of the same name."""
        record["_arn"] = self.arn(kind, name)
        record["_uid"] = secrets.token_hex(4)
        record["_tags"] = {tag["Key"]: tag["Value"] for tag in tags or []}
        self.backend.records[kind][name] = record
        return record

    def update(self, kind: str, name: str, **changes: Any) -> None:
        """Change a record from a background thread, durably. A record that was deleted meanwhile stays
        deleted.
        """
        with self.lock:
            record = self.backend.records[kind].get(name)
            if record is None:
                return
            record.update(changes)
            record["LastModifiedTime"] = self.now()
            self.commit()
