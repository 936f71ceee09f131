"""The events that AWS services put on the default bus when something of theirs changes its state.

Before a service's state is committed, it is compared with what has been told of it, which is part of that
state. So there is one place that tells, no change is told before it is about to be durable, and none is
forgotten by a kill; one that falls between telling and commit is told again, as AWS delivers events at least
once. (S3 and CloudWatch tell of objects and alarms themselves: see `notifications` and `cloudwatch`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services import events
from local_aws.services.state_changes import athena, glue, sagemaker


@dataclass(frozen=True)
class Service:
    """source: of its events. changes(backend): (detail-type, resources, detail) of what is not told yet; what
    it has yielded counts as told."""

    source: str
    changes: Callable[[Any], Iterator[tuple[str, list[str], dict[str, Any]]]]


SERVICES = {
    "athena": Service("aws.athena", athena.changes),
    "glue": Service("aws.glue", glue.changes),
    "sagemaker": Service("aws.sagemaker", sagemaker.changes),
}


def install(context: Context) -> None:
    for name in SERVICES:
        context.state.before_commit(name, lambda name=name: _tell(context, name))  # type: ignore[misc]


def _tell(context: Context, name: str) -> None:
    service = SERVICES[name]
    for regions in moto_hooks.get_backends(name).values():
        for region, backend in regions.items():
            for detail_type, resources, detail in service.changes(backend):
                events.emit(context, service.source, detail_type, detail, resources, region=region)
