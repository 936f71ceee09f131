"""S3's notifications: to queues, topics and functions of a bucket's configuration, and to EventBridge.

What a request did is told only when it is on disk: moto's calls are collected, and S3 calls `tell` after each
commit. So nobody hears of an object that a kill has undone; a kill between commit and `tell` leaves a request
that was not acknowledged, which its client repeats. Tags, ACLs and restores of objects are not told: such a
configuration is refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, NotificationConfiguration
from moto.s3.notifications import S3NotificationEvent as Event
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_aws import aws_errors, moto_hooks
from local_aws.context import Context
from local_aws.services import delivery, events
from local_aws.services.notifications import records

TOLD = ("s3:ObjectCreated:", "s3:ObjectRemoved:")

_untold: list[Callable[[], None]] = []
_context: Context | None = None
_completing = False


def install(context: Context) -> None:
    global _context  # noqa: PLW0603  # one local AWS a process
    _context = context
    moto_hooks.replace_notifications(_on_event, _on_configured)


def tell() -> None:
    """What was collected becomes deliveries. Called by S3 after a commit, with the lock held."""
    while _untold:
        _untold.pop(0)()


def forget() -> None:
    """The changes were not committed."""
    _untold.clear()


@contextlib.contextmanager
def completing() -> Iterator[None]:
    """While moto completes an upload, which it tells twice: as that, and as a put."""
    global _completing  # noqa: PLW0603  # requests of S3 hold the lock
    _completing = True
    try:
        yield
    finally:
        _completing = False


def object_deleted(account: str, bucket: FakeBucket, key: Any, marker: bool) -> None:
    """moto tells of some deletions only: S3's backend tells of all of them by this."""
    what = Event.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT if marker else Event.OBJECT_REMOVED_DELETE_EVENT
    _collect(account, what, bucket, key)


def check(account: str, region: str, configuration: NotificationConfiguration) -> None:
    """As S3, refuse what could not be delivered; and by name what is never told here."""
    for notification in (*configuration.cloud_function, *configuration.queue, *configuration.topic):
        for event in notification.events:
            if not event.startswith(TOLD):
                raise aws_errors.unsupported("s3", "PutBucketNotificationConfiguration", f"the event {event}")
    for found, arns in (
        (lambda arn: arn.split(":")[-1] in sqs_backends[account][region].queues, configuration.queue),
        (lambda arn: arn in sns_backends[account][region].topics, configuration.topic),
        (lambda arn: _function_exists(account, region, arn), configuration.cloud_function),
    ):
        for notification in arns:
            if not found(notification.arn):
                raise S3ClientError(
                    "InvalidArgument",
                    "Unable to validate the following destination configurations: "
                    f"{notification.arn} does not exist",
                )


def configuration(api: dict[str, Any]) -> NotificationConfiguration:
    """moto's object of the API's words, checked, without setting it on a bucket."""
    return NotificationConfiguration(
        topic=api.get("TopicConfiguration"),
        queue=api.get("QueueConfiguration"),
        cloud_function=api.get("CloudFunctionConfiguration"),
        event_bridge=api.get("EventBridgeConfiguration"),
    )


def from_template(properties: dict[str, Any]) -> dict[str, Any]:
    """NotificationConfiguration of a CloudFormation bucket, in the form that moto's S3 reads."""
    api: dict[str, Any] = {}
    for template, target, name in (
        ("QueueConfigurations", "Queue", "QueueConfiguration"),
        ("TopicConfigurations", "Topic", "TopicConfiguration"),
        ("LambdaConfigurations", "Function", "CloudFunctionConfiguration"),
    ):
        for entry in properties.get(template, []):
            rules = [dict(rule) for rule in entry.get("Filter", {}).get("S3Key", {}).get("Rules", [])]
            configured: dict[str, Any] = {
                name.removesuffix("Configuration"): entry[target],
                "Event": [entry["Event"]],
            }
            if rules:
                configured["Filter"] = {"S3Key": {"FilterRule": rules}}
            api.setdefault(name, []).append(configured)
    if str(properties.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False)).lower() == "true":
        api["EventBridgeConfiguration"] = {}
    return api


def _on_event(account_id: str, event_name: Event, bucket: FakeBucket, key: Any) -> None:
    if _completing and event_name != Event.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT:
        return
    if event_name.value.startswith("s3:ObjectCreated"):
        _collect(account_id, event_name, bucket, key)


def _on_configured(account_id: str, bucket: FakeBucket) -> None:  # noqa: ARG001  # moto's signature
    configured = bucket.notification_configuration
    message = json.dumps(records.test_event(bucket.name, _installed().clock()))
    for arn in {notification.arn for notification in (*configured.queue, *configured.topic)}:
        one = delivery.Delivery(arn, message, bucket.arn, {"subject": "Amazon S3 Notification"})
        _untold.append(lambda one=one: delivery.add([one]))  # type: ignore[misc]


def _collect(account: str, event: Event, bucket: FakeBucket, key: Any) -> None:
    configured = bucket.notification_configuration
    if configured is None:
        return
    happened = records.happening(event, account, bucket, key, _installed().clock())
    owed = [
        delivery.Delivery(
            notification.arn,
            json.dumps(records.record(happened, notification.id)),
            bucket.arn,
            {"subject": "Amazon S3 Notification"},
        )
        for notification in (*configured.cloud_function, *configured.queue, *configured.topic)
        if notification.matches(event, happened.key)
    ]
    if owed:
        _untold.append(lambda: delivery.add(owed))
    if configured.event_bridge is not None:
        _untold.append(
            lambda: events.emit(
                _installed(),
                "aws.s3",
                records.detail_type(happened),
                records.detail(happened),
                [bucket.arn],
                region=bucket.region_name,
                time=happened.time,
            )
        )


def _function_exists(account: str, region: str, arn: str) -> bool:
    try:
        lambda_backends[account][region].get_function(arn)
    except Exception:  # noqa: BLE001  # moto raises several
        return False
    return True


def _installed() -> Context:
    assert _context is not None, "notifications are not installed"
    return _context
