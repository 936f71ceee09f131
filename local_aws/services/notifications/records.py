"""What S3 writes about an object: records for queues, topics and functions, details for EventBridge.

Shapes: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and
.../ev-events.html. In records the key is URL-encoded, in EventBridge it is not.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.s3.notifications import S3NotificationEvent as Event

DETAIL_TYPES = {"ObjectCreated": "Object Created", "ObjectRemoved": "Object Deleted"}
REASONS = {
    "ObjectCreated:Put": "PutObject",
    "ObjectCreated:Post": "POST Object",
    "ObjectCreated:Copy": "CopyObject",
    "ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "ObjectRemoved:Delete": "DeleteObject",
    "ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}
DELETION_TYPES = {
    "ObjectRemoved:Delete": "Permanently Deleted",
    "ObjectRemoved:DeleteMarkerCreated": "Delete Marker Created",
}
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"  # of a delete marker, as S3 writes it


def request_id() -> str:
    return uuid.uuid4().hex[:16].upper()


@dataclass(frozen=True)
class Happening:
    """One thing that happened to one object. name: as in "ObjectCreated:Put"."""

    name: str
    bucket: str
    region: str
    account: str
    key: str
    size: int | None
    etag: str | None
    version_id: str | None
    time: datetime
    sequencer: str = field(default_factory=lambda: f"{time.time_ns():018X}")
    request_id: str = field(default_factory=request_id)

    @property
    def bucket_arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}"


def happening(event: Event, account: str, bucket: Any, key: Any, now: datetime) -> Happening:
    """Of moto's objects, as they are at this moment."""
    name = event.value.removeprefix("s3:")
    gone = name == "ObjectRemoved:Delete"
    marker = name == "ObjectRemoved:DeleteMarkerCreated"
    return Happening(
        name,
        bucket.name,
        bucket.region_name,
        account,
        key.name,
        None if gone or marker else key.size,
        EMPTY_ETAG if marker else None if gone else key.etag.strip('"'),
        str(key.version_id) if bucket.is_versioned else None,
        now,
    )


def record(happened: Happening, configuration: str) -> dict[str, Any]:
    """The message to a queue, a topic or a function."""
    described: dict[str, Any] = {
        "key": quote_plus(happened.key, safe="/"),
        "size": happened.size,
        "eTag": happened.etag,
        "versionId": happened.version_id,
        "sequencer": happened.sequencer,
    }
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": happened.region,
                "eventTime": _milliseconds(happened.time),
                "eventName": happened.name,
                "userIdentity": {"principalId": f"AWS:{happened.account}"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {
                    "x-amz-request-id": happened.request_id,
                    "x-amz-id-2": base64.b64encode(happened.request_id.encode()).decode(),
                },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": configuration,
                    "bucket": {
                        "name": happened.bucket,
                        "ownerIdentity": {"principalId": happened.account},
                        "arn": happened.bucket_arn,
                    },
                    "object": _given(described),
                },
            }
        ]
    }


def detail_type(happened: Happening) -> str:
    return DETAIL_TYPES[happened.name.partition(":")[0]]


def detail(happened: Happening) -> dict[str, Any]:
    described = {
        "key": happened.key,
        "size": happened.size,
        "etag": happened.etag,
        "version-id": happened.version_id,
        "sequencer": happened.sequencer,
    }
    return {
        "version": "0",
        "bucket": {"name": happened.bucket},
        "object": _given(described),
        "request-id": happened.request_id,
        "requester": happened.account,
        "source-ip-address": "127.0.0.1",
        "reason": REASONS[happened.name],
    } | _given({"deletion-type": DELETION_TYPES.get(happened.name)})


def test_event(bucket: str, now: datetime) -> dict[str, str]:
    """What a queue or a topic receives when it is configured."""
    request = request_id()
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _milliseconds(now),
        "Bucket": bucket,
        "RequestId": request,
        "HostId": base64.b64encode(request.encode()).decode(),
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
