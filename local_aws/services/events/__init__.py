"""EventBridge: rules with AWS's full pattern matching, schedules, input transformers, and targets (Lambda,
SQS, SNS, CloudWatch Logs, event buses) with retries and dead-letter queues.

`patterns`, `transform` and `schedules` are pure; `backend` is what moto's API sees; `clock` runs the
schedules. Archives, replays, API destinations and targets of other services are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from moto.events.models import events_backends

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.events import clock
from local_aws.services.events.backend import Backend
from local_aws.services.events.responses import Responses

NOT_SUPPORTED = (
    "ActivateEventSource", "CancelReplay", "CreateApiDestination", "CreateArchive", "CreateConnection",
    "CreateEndpoint", "CreatePartnerEventSource", "DeactivateEventSource", "DeauthorizeConnection",
    "PutPartnerEvents", "StartReplay", "UpdateApiDestination", "UpdateArchive", "UpdateConnection",
    "UpdateEndpoint",
)  # fmt: skip


def install(context: Context) -> None:
    Backend.context = context
    moto_hooks.replace_backend("events", Backend)
    moto_hooks.replace_responses("events", Responses)
    for operation in NOT_SUPPORTED:
        moto_hooks.not_supported("events", operation)
    # EventBridge Scheduler is moto's, which keeps schedules and never runs one.
    for operation in ("CreateSchedule", "UpdateSchedule"):
        moto_hooks.not_supported("scheduler", operation)
    moto_hooks.refuse_resource_type("AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup")
    moto_hooks.refuse_resource_type(
        "AWS::Events::ApiDestination", "AWS::Events::Archive", "AWS::Events::Connection"
    )


def resume(context: Context) -> None:
    clock.start(context)


def emit(
    context: Context,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Iterable[str],
    region: str | None = None,
    time: datetime | None = None,
) -> None:
    """Put an AWS service's event ("aws.s3", "Object Created" ...) on the default bus of a region.

    What it owes to rules is on disk when this returns; delivery follows. The state lock may be held or not.
    """
    with context.state.lock("events"):
        backend = events_backends[context.account][region or context.region]
        assert isinstance(backend, Backend)
        backend.route(
            backend.event_buses["default"], backend.event(source, detail_type, detail, resources, time)
        )
