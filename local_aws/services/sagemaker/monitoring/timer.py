"""The thread that fires schedules when their hour has come, and moves executions on.

It owns nothing: what it does follows from the records, so it may be killed at any point. Hours that passed
while local AWS was stopped are not made up for one by one: only the newest of them runs.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from moto.core.exceptions import ServiceException
from moto.sagemaker.models import sagemaker_backends

from local_aws.context import Context
from local_aws.services.sagemaker.backend import Record, Service

from . import calendar, executions, schedules

log = logging.getLogger(__name__)

# While an execution runs its job is looked at; else the thread sleeps to the next hour, but never so long
# that a clock that was set would go unnoticed.
BUSY_SECONDS = 0.25
IDLE_SECONDS = 30.0


def start(context: Context) -> None:
    threading.Thread(target=_run, args=(context,), name="monitoring", daemon=True).start()


def _run(context: Context) -> None:
    while True:
        schedules.changed.clear()
        busy = False
        try:
            for region in list(sagemaker_backends[context.account]):
                busy |= look(Service(context, sagemaker_backends[context.account][region]))
        except Exception:
            log.exception("the schedules could not be looked at")
        schedules.changed.wait(BUSY_SECONDS if busy else _until_next_hour(context))


def look(service: Service) -> bool:
    """Fire what is due, advance what runs; return whether anything still runs or is waited for."""
    with service.lock:
        schedules_ = service.records(schedules.KIND)
        changed = [_due(service, record) for record in schedules_.values()]
        if any(changed):
            service.commit()
        names = [name for name, record in schedules_.items() if _is_busy(record)]
    for name in names:
        executions.advance(service, name)
    with service.lock:
        return any(_is_busy(record) for record in service.records(schedules.KIND).values())


def _is_busy(record: Record) -> bool:
    return record["MonitoringScheduleStatus"] == "Pending" or any(
        each["MonitoringExecutionStatus"] in schedules.ACTIVE for each in record["_executions"]
    )


def _due(service: Service, record: Record) -> bool:
    """Fire a schedule if its hour has come; return whether its record changed."""
    status = record["MonitoringScheduleStatus"]
    try:
        if status == "Pending":
            schedules.settle(service, record)
        if record["MonitoringScheduleStatus"] == "Scheduled":
            return _fire(service, record) or status == "Pending"
    except ServiceException as error:  # its job definition or baselining job was deleted
        record.update(MonitoringScheduleStatus="Failed", FailureReason=error.message)
    return record["MonitoringScheduleStatus"] != status


def _fire(service: Service, record: Record) -> bool:
    seconds, now = service.context.pace.monitoring_hour, service.now()
    hours, start, end = schedules.plan(record)
    if not hours:
        if not record["_fire_now"]:
            return False
        record["_fire_now"] = False
        # Captures are stamped with the second they fall in: this one's belong to the window.
        scheduled = now.replace(microsecond=0) + timedelta(seconds=1)
    else:
        hour = schedules.due_hour(service, record)
        if hour is None:
            return False
        record["_hour"] = hour
        scheduled = calendar.moment_of(hour, seconds)
    definition = schedules.definition_of(service, record)
    source = definition.source
    offsets = (source.get("StartTimeOffset") or start, source.get("EndTimeOffset") or end)
    window = calendar.window(scheduled, hours, seconds, *offsets)
    executions.fire(service, record, definition, scheduled, window)
    return True


def _until_next_hour(context: Context) -> float:
    seconds = context.pace.monitoring_hour
    return min(IDLE_SECONDS, seconds - context.clock().timestamp() % seconds + 0.01)
