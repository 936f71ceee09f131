"""Monitoring schedules: created, changed, stopped and started, deleted. The timer fires them.

A schedule's record holds its executions (`_executions`, oldest first) and how far it has come (`_hour`: the
last hour that was fired for, or that passed before the schedule was there).
"""

from __future__ import annotations

import copy
import threading
from typing import Any

from local_aws.services.sagemaker import errors, listing
from local_aws.services.sagemaker.backend import Record, Service

from . import calendar, definitions
from .definitions import Definition

KIND = "monitoring-schedule"
ACTIVE = ("Pending", "InProgress", "Stopping")
_LISTING = listing.Listing(KIND, "MonitoringScheduleSummaries", "MonitoringScheduleStatus")
DAILY = "cron(0 0 ? * * *)"  # without a ScheduleConfig AWS chooses an hour of the day; here it is midnight

changed = threading.Event()  # a schedule was made or changed: the timer looks at them all


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    name = request["MonitoringScheduleName"]
    arn = service.arn(KIND, name)
    if service.find(KIND, name):
        raise errors.in_use(f"A monitoring schedule with this name already exists ({arn}).")
    record = {
        "MonitoringScheduleName": name,
        "MonitoringScheduleArn": arn,
        "CreationTime": service.now(),
        "_executions": [],
    }
    _configure(service, record, request["MonitoringScheduleConfig"])
    service.add(KIND, name, record, request.get("Tags"))
    changed.set()
    return {"MonitoringScheduleArn": arn}


def update(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """A change takes effect with the next hour; one that has come and was not fired for yet is not lost."""
    record = get(service, request["MonitoringScheduleName"])
    hour = record["_hour"] if due_hour(service, record) else None
    _configure(service, record, request["MonitoringScheduleConfig"])
    if hour is not None:
        record["_hour"] = hour
    changed.set()
    return {"MonitoringScheduleArn": record["MonitoringScheduleArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return get(service, request["MonitoringScheduleName"])


def start(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """A stopped schedule goes on with the next hour; a stopped NOW schedule runs once more."""
    record = get(service, request["MonitoringScheduleName"])
    if record["MonitoringScheduleStatus"] == "Stopped":
        _schedule(service, record)
        changed.set()
    return {}


def stop(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """No further execution begins; one that is under way ends."""
    record = get(service, request["MonitoringScheduleName"])
    _set_status(service, record, "Stopped")
    return {}


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, request["MonitoringScheduleName"])
    running = [e for e in record["_executions"] if e["MonitoringExecutionStatus"] in ACTIVE]
    if running:
        raise errors.validation(
            f"Cannot delete monitoring schedule {record['MonitoringScheduleName']}: the execution scheduled "
            f"for {calendar.stamp(running[-1]['ScheduledTime'])} is in progress. Wait for it to end."
        )
    del service.records(KIND)[record["MonitoringScheduleName"]]
    return {}


def list_schedules(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    found = (record for record in service.records(KIND).values() if is_wanted(record, request))
    return listing.cut(found, _LISTING, "MonitoringScheduleName", request)


def list_executions(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """The executions of one schedule or of all, newest first unless the request says otherwise."""
    name = request.get("MonitoringScheduleName")
    schedules = [get(service, name)] if name else service.records(KIND).values()
    found = (each for record in schedules for each in record["_executions"] if is_wanted(each, request))
    kind = listing.Listing(KIND, "MonitoringExecutionSummaries", "MonitoringExecutionStatus")
    return listing.cut(found, kind, "MonitoringScheduleName", request)


def is_wanted(record: Record, request: dict[str, Any]) -> bool:
    """The filters that only the listings of monitoring have."""
    filters = {
        "EndpointName": "EndpointName",
        "MonitoringJobDefinitionName": "MonitoringJobDefinitionName",
        "MonitoringTypeEquals": "MonitoringType",
    }
    return all(request.get(key) in (None, record.get(member)) for key, member in filters.items())


def get(service: Service, name: str) -> Record:
    record = service.find(KIND, name)
    if record is None:
        raise errors.not_found(f"Monitoring Schedule {service.arn(KIND, name)} not found")
    return record


def definition_of(service: Service, record: Record) -> Definition:
    """What the schedule runs. Raises ResourceNotFound when its job definition was deleted."""
    config = record["MonitoringScheduleConfig"]
    if inline := config.get("MonitoringJobDefinition"):
        return definitions.of_inline(inline)
    type_: str = config["MonitoringType"]
    return definitions.of_record(
        type_, definitions.get(service, type_, config["MonitoringJobDefinitionName"])
    )


def plan(record: Record) -> tuple[frozenset[int], str | None, str | None]:
    """The hours of the day at which the schedule fires (none: once, now), and its window's offsets."""
    config = record["MonitoringScheduleConfig"].get("ScheduleConfig") or {"ScheduleExpression": DAILY}
    return (
        calendar.hours_of_day(config["ScheduleExpression"]),
        config.get("DataAnalysisStartTime"),
        config.get("DataAnalysisEndTime"),
    )


def due_hour(service: Service, record: Record) -> int | None:
    """The hour that the schedule is to be fired for now, if any: the newest one, never an earlier one."""
    hours = plan(record)[0]
    if not hours or record["MonitoringScheduleStatus"] != "Scheduled":
        return None
    hour = calendar.newest(hours, calendar.current(service.now(), service.context.pace.monitoring_hour))
    return hour if hour > record["_hour"] else None


def _configure(service: Service, record: Record, config: dict[str, Any]) -> None:
    """Check a configuration whole, then take it."""
    wanted = record | {"MonitoringScheduleConfig": copy.deepcopy(config)}
    if bool(config.get("MonitoringJobDefinition")) == bool(config.get("MonitoringJobDefinitionName")):
        raise errors.validation(
            "MonitoringScheduleConfig needs a MonitoringJobDefinition or a MonitoringJobDefinitionName."
        )
    if config.get("MonitoringJobDefinitionName") and not config.get("MonitoringType"):
        raise errors.validation("MonitoringScheduleConfig needs a MonitoringType with its job definition.")
    if config.get("MonitoringJobDefinition") and config.get("MonitoringType", "DataQuality") != "DataQuality":
        raise errors.validation(
            f"MonitoringType {config['MonitoringType']} needs a MonitoringJobDefinitionName."
        )
    definition = definition_of(service, wanted)
    definitions.check(definition)
    _check_endpoint(service, definition.endpoint)
    hours, start, end = plan(wanted)
    if not hours and not (start and end):
        raise errors.validation(
            "A schedule expression of NOW needs DataAnalysisStartTime and DataAnalysisEndTime."
        )
    if start and end and calendar.hours_since(start) - calendar.hours_since(end) > calendar.DAY:
        raise errors.validation("DataAnalysisStartTime is more than 24 hours before DataAnalysisEndTime.")
    offsets = (definition.source.get("StartTimeOffset"), definition.source.get("EndTimeOffset"))
    for first, last in ((start, end), offsets):
        calendar.window(service.now(), hours, service.context.pace.monitoring_hour, first, last)
    record["MonitoringScheduleConfig"] = wanted["MonitoringScheduleConfig"]
    record["MonitoringType"] = definition.type
    record["EndpointName"] = definition.endpoint
    record.pop("MonitoringJobDefinitionName", None)
    if config.get("MonitoringJobDefinitionName"):
        record["MonitoringJobDefinitionName"] = config["MonitoringJobDefinitionName"]
    _schedule(service, record)


def _schedule(service: Service, record: Record) -> None:
    """Begin with the next hour; with a baseline that is still being made, wait for it."""
    record["_hour"] = calendar.current(service.now(), service.context.pace.monitoring_hour)
    record["_fire_now"] = not plan(record)[0]
    waits = baseline_state(service, definition_of(service, record)) == "InProgress"
    _set_status(service, record, "Pending" if waits else "Scheduled")


def settle(service: Service, record: Record) -> None:
    """A pending schedule follows its baseline job: Scheduled when that is done, Failed when it failed."""
    state = baseline_state(service, definition_of(service, record))
    if state == "Failed":
        record["FailureReason"] = "The baselining job failed: run it again, then update the schedule."
        _set_status(service, record, "Failed")
    elif state != "InProgress":
        _set_status(service, record, "Scheduled")


def baseline_state(service: Service, definition: Definition) -> str:
    """InProgress, Failed or Completed; Completed as well when no job is named."""
    name = definition.baseline.get("BaseliningJobName")
    if not name:
        return "Completed"
    job = service.find("processing-job", name)
    if job is None:
        raise errors.validation(f"Could not find the baselining job {name}.")
    status = job["ProcessingJobStatus"]
    if status == "Completed":
        return "Completed"
    return "InProgress" if status in ("InProgress", "Stopping") else "Failed"


def _set_status(service: Service, record: Record, status: str) -> None:
    if status != "Failed":
        record.pop("FailureReason", None)
    record["MonitoringScheduleStatus"] = status
    record["LastModifiedTime"] = service.now()


def _check_endpoint(service: Service, name: str) -> None:
    endpoint = service.find("endpoint", name)
    if endpoint is None:
        raise errors.validation(f'Could not find endpoint "{service.arn("endpoint", name)}".')
    if endpoint["EndpointStatus"] == "InService" and not endpoint["_capture"]:
        raise errors.validation(
            f"Endpoint {name} captures no data: deploy it with a DataCaptureConfig before it is monitored."
        )
