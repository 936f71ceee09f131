"""Giving a delivery to the service that its target's ARN names."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

from moto.core.exceptions import ServiceException
from moto.events.models import events_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.exceptions import QueueDoesNotExist
from moto.sqs.models import sqs_backends
from moto.utilities.arns import Arn, parse_arn

from local_aws.context import Context
from local_aws.services.delivery.queue import Delivery


class Undeliverable(Exception):
    """code: one of EventBridge's error codes. retry: whether another attempt may succeed."""

    def __init__(self, code: str, message: str, retry: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry = retry


def send(context: Context, delivery: Delivery) -> str | None:
    """Deliver, with the state lock held. Returns the service whose state must be committed, if any.

    Raises Undeliverable, and whatever else the target raises.
    """
    arn = parse_arn(delivery.target)
    try:
        return _SENDERS[kind(delivery.target)](context, arn, delivery)
    except ServiceException as error:
        raise Undeliverable("ERROR_FROM_TARGET", f"{error.code}: {error.message}") from error


def kind(target: str) -> str:
    """ "sqs", "sns", "lambda", "logs" or "events"; "" for a target that local AWS does not deliver to."""
    parts = target.split(":", 5)
    service, resource = (parts[2], parts[5]) if len(parts) == 6 else ("", "")
    prefixes = {"lambda": "function:", "logs": "log-group:", "events": "event-bus/"}
    return service if service in _SENDERS and resource.startswith(prefixes.get(service, "")) else ""


def _to_queue(context: Context, arn: Arn, delivery: Delivery) -> str:  # noqa: ARG001
    """options: group_id and deduplication_id of a FIFO queue; attributes: texts; typed_attributes: as the
    API has them."""
    options = delivery.options
    typed = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in options.get("attributes", {}).items()
    } | options.get("typed_attributes", {})
    try:
        queue = sqs_backends[arn.account][arn.region].get_queue(arn.resource_id)
        if queue.fifo_queue and not options.get("deduplication_id") and not queue.content_based_deduplication:
            raise Undeliverable(
                "INVALID_PARAMETER",
                f"the FIFO queue {queue.name} must have ContentBasedDeduplication enabled",
            )
        sqs_backends[arn.account][arn.region].send_message(
            arn.resource_id,
            delivery.body,
            message_attributes=typed,
            group_id=options.get("group_id"),
            deduplication_id=options.get("deduplication_id"),
            validate_group_id=False,
        )
    except QueueDoesNotExist:
        raise Undeliverable("NO_RESOURCE", f"the queue {delivery.target} does not exist") from None
    return "sqs"


def _to_topic(context: Context, arn: Arn, delivery: Delivery) -> None:  # noqa: ARG001
    """options: subject."""
    backend = sns_backends[arn.account][arn.region]
    if delivery.target not in backend.topics:
        raise Undeliverable("NO_RESOURCE", f"the topic {delivery.target} does not exist")
    backend.publish(delivery.body, arn=delivery.target, subject=delivery.options.get("subject"))


def _to_function(context: Context, arn: Arn, delivery: Delivery) -> None:  # noqa: ARG001
    lambda_: Any = import_module("local_aws.services.lambda_")
    try:
        lambda_.invoke_event(context, delivery.target, delivery.body.encode(), source=delivery.source)
    except lambda_.NoSuchFunction as error:
        raise Undeliverable("NO_RESOURCE", f"the function {delivery.target} does not exist") from error


def _to_log_group(context: Context, arn: Arn, delivery: Delivery) -> None:
    name = arn.resource_id.removesuffix(":*")
    if name not in logs_backends[arn.account][arn.region].groups:
        raise Undeliverable("NO_RESOURCE", f"the log group {name} does not exist")
    moment = int(context.clock().timestamp() * 1000)
    context.logs.append(name, str(uuid.uuid4()), [(moment, delivery.body)])


def _to_bus(context: Context, arn: Arn, delivery: Delivery) -> None:  # noqa: ARG001
    backend: Any = events_backends[arn.account][arn.region]
    if arn.resource_id not in backend.event_buses:
        raise Undeliverable("NO_RESOURCE", f"the event bus {delivery.target} does not exist")
    backend.forward(arn.resource_id, delivery)


_SENDERS: dict[str, Callable[[Context, Arn, Delivery], str | None]] = {
    "sqs": _to_queue,
    "sns": _to_topic,
    "lambda": _to_function,
    "logs": _to_log_group,
    "events": _to_bus,
}
