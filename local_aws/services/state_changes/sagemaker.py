"""SageMaker's events: the answer of Describe, with times in milliseconds.

docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

# Kind -> detail-type, and the members of which a change is told.
KINDS = {
    "training-job": ("SageMaker Training Job State Change", ("TrainingJobStatus", "SecondaryStatus")),
    "processing-job": ("SageMaker Processing Job State Change", ("ProcessingJobStatus",)),
    "transform-job": ("SageMaker Transform Job State Change", ("TransformJobStatus",)),
    "hyper-parameter-tuning-job": (
        "SageMaker HyperParameter Tuning Job State Change",
        ("HyperParameterTuningJobStatus",),
    ),
    "endpoint": ("SageMaker Endpoint State Change", ("EndpointStatus",)),
    "model-package": (
        "SageMaker Model Package State Change",
        ("ModelPackageStatus", "ModelApprovalStatus"),
    ),
}
TOLD = "_told"


def changes(backend: Any) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    for kind, (detail_type, members) in KINDS.items():
        for record in backend.records.get(kind, {}).values():
            state = [record.get(member) for member in members]
            before = record.get(TOLD)
            if before != state:
                record[TOLD] = state
                told = detail(kind, record)
                if kind == "model-package" and before is not None and before[1] != state[1]:
                    told["UpdatedModelPackageFields"] = ["ModelApprovalStatus"]
                yield detail_type, [record["_arn"]], told


def detail(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _plain(record)
    found["Tags"] = dict(record["_tags"])
    if kind == "endpoint":  # IN_SERVICE, where Describe says InService
        found["EndpointStatus"] = re.sub(r"(?<!^)(?=[A-Z])", "_", record["EndpointStatus"]).upper()
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if not str(key).startswith("_")}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return value
