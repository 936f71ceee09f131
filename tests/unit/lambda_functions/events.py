"""Events as AWS delivers them."""

from __future__ import annotations

import copy
import json
from typing import Any

BUCKET = "mlops-local-us-east-1-123456789012"


def aws_event(source: str, detail_type: str, detail: dict[str, Any], *resources: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": "2026-11-21T13:00:05Z",
        "region": "us-east-1",
        "resources": list(resources),
        "detail": detail,
    }


OBJECT_CREATED = aws_event(
    "aws.s3",
    "Object Created",
    {
        "version": "0",
        "bucket": {"name": BUCKET},
        "object": {
            "key": "incoming/churn/november.csv",
            "size": 310_000,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "00617F08299329D189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    },
    f"arn:aws:s3:::{BUCKET}",
)
ALARM = aws_event(
    "aws.cloudwatch",
    "CloudWatch Alarm State Change",
    {
        "alarmName": "churn-local-drift",
        "state": {
            "value": "ALARM",
            "reason": "Threshold Crossed: 2 datapoints were greater than the threshold (0.0).",
            "reasonData": "{}",
            "timestamp": "2026-11-21T13:00:04.123+0000",
        },
        "previousState": {"value": "OK", "reason": "-", "timestamp": "2026-11-21T12:00:04.123+0000"},
    },
    "arn:aws:cloudwatch:us-east-1:123456789012:alarm:churn-local-drift",
)
CLOCK = aws_event(
    "aws.events", "Scheduled Event", {}, "arn:aws:events:us-east-1:123456789012:rule/mlops-local-clock"
)
PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn-local/7"
APPROVAL = aws_event(
    "aws.sagemaker",
    "SageMaker Model Package State Change",
    {
        "ModelPackageGroupName": "churn-local",
        "ModelPackageVersion": 7,
        "ModelPackageArn": PACKAGE,
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "UpdatedModelPackageFields": ["ModelApprovalStatus", "ApprovalDescription"],
    },
    PACKAGE,
)


def changed(event: dict[str, Any], **detail: Any) -> dict[str, Any]:
    """A copy with other values in its detail: `object__key` is detail.object.key."""
    copied = copy.deepcopy(event)
    for name, value in detail.items():
        place = copied["detail"]
        *path, last = name.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    return copied


def queued(*bodies: Any, receives: int = 1) -> dict[str, Any]:
    """A batch of a queue."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "handle",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {
                    "ApproximateReceiveCount": str(receives),
                    "SentTimestamp": "1795266005000",
                    "SenderId": "AIDA",
                    "ApproximateFirstReceiveTimestamp": "1795266005001",
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:mlops-local-triggers",
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies)
        ]
    }
