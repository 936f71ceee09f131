"""The life of an execution.

    Pending     written down with the hour it was fired for; captures not yet in S3 are sent there
    InProgress  the merge job runs (model quality, bias), then the analysis
    Completed, CompletedWithViolations (the exit message says which), Failed or Stopped

Every step follows from the records alone and starts a job of a fixed name: after a kill the next server takes
the same step again, and finds the job that is already there. Without records there is no job at all: the
execution is Failed, with AWS's text.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from moto.core.exceptions import ServiceException

from local_aws.services.sagemaker import dataplane, errors, inputs, processing
from local_aws.services.sagemaker.backend import Record, Service

from . import calendar, requests, schedules
from .calendar import Window
from .definitions import Definition
from .metrics import NAMESPACES
from .requests import Execution, Files, Folder

log = logging.getLogger(__name__)

NO_DATA = "Job inputs had no data"
VIOLATIONS = "CompletedWithViolations"


def fire(
    service: Service, record: Record, definition: Definition, scheduled: datetime, window: Window
) -> None:
    """Write an execution down, with what it is to run: a later change of the schedule does not touch it.

    The caller holds the lock and commits.
    """
    now = service.now()
    execution = {
        "MonitoringScheduleName": record["MonitoringScheduleName"],
        "ScheduledTime": scheduled,
        "CreationTime": now,
        "LastModifiedTime": now,
        "MonitoringExecutionStatus": "Pending",
        "EndpointName": record["EndpointName"],
        "MonitoringType": record["MonitoringType"],
        "_window": (window.start, window.end),
        "_definition": asdict(definition),
        "_stage": "",
    }
    if name := record.get("MonitoringJobDefinitionName"):
        execution["MonitoringJobDefinitionName"] = name
    record["_executions"].append(execution)
    record["LastMonitoringExecutionSummary"] = execution


def advance(service: Service, name: str) -> None:
    """Take the next step of every unfinished execution of a schedule, and commit what changed."""
    with service.lock:
        record = service.find(schedules.KIND, name)
        fresh = record is not None and _unfinished(record, "Pending")
        endpoint = record["EndpointName"] if record else ""
    if fresh:
        dataplane.flush(service, endpoint)  # the last minute's records; never under the lock
    with service.lock:
        record = service.find(schedules.KIND, name)
        if record is None:
            return
        before = [dict(each) for each in _unfinished(record)]
        for execution in _unfinished(record):
            _step(service, record, execution)
        if before != [dict(each) for each in _unfinished(record)]:
            service.commit()


def _unfinished(record: Record, *statuses: str) -> list[Record]:
    wanted = statuses or schedules.ACTIVE
    return [each for each in record["_executions"] if each["MonitoringExecutionStatus"] in wanted]


def _step(service: Service, record: Record, execution: Record) -> None:
    try:
        definition = Definition(**execution["_definition"])
        running = Execution(
            record["MonitoringScheduleName"],
            record["_uid"],
            execution["ScheduledTime"],
            Window(*execution["_window"]),
            service.context.pace.monitoring_hour,
        )
        if execution["_stage"]:
            _follow(service, definition, running, execution)
        elif definition.type in requests.MERGED:
            _merge(service, definition, running, execution)
        else:
            captures = _captures(service, definition, running.window)
            _analyse(service, definition, running, execution, captures)
    except ServiceException as error:
        _end(service, execution, "Failed", error.message)
    except Exception as error:
        log.exception("an execution of %s could not go on", record["MonitoringScheduleArn"])
        _end(service, execution, "Failed", f"InternalServerError: {error}")


def _follow(service: Service, definition: Definition, running: Execution, execution: Record) -> None:
    """Look at the job that is under way; when it has ended, go on."""
    job = service.find("processing-job", execution["ProcessingJobArn"].rpartition("/")[2])
    status = job["ProcessingJobStatus"] if job else "Failed"
    if status in ("InProgress", "Stopping"):
        execution["MonitoringExecutionStatus"] = status
    elif job is None or status == "Failed":
        reason = job.get("FailureReason") if job else "The processing job is not there any more."
        _end(service, execution, "Failed", reason)
    elif status == "Stopped":
        _end(service, execution, "Stopped", job.get("FailureReason"))
    elif execution["_stage"] == "merge":
        places = _places(service, definition, running.window)
        folders = _with_data(service, requests.merge_uri(definition), places)
        _analyse(service, definition, running, execution, folders)
    else:
        violated = str(job.get("ExitMessage", "")).startswith(VIOLATIONS)
        _end(service, execution, VIOLATIONS if violated else "Completed", None)


def _merge(service: Service, definition: Definition, running: Execution, execution: Record) -> None:
    captures = _captures(service, definition, running.window)
    # A label comes later than its request: everything collected up to now is looked at.
    hours = calendar.hour_folders(running.window.start, service.now())
    labels = _with_data(service, definition.ground_truth, hours)
    if not captures or not labels:
        _end(service, execution, "Failed", NO_DATA)
        return
    _begin(service, execution, "merge", requests.merge(definition, running, captures, labels))


def _analyse(
    service: Service, definition: Definition, running: Execution, execution: Record, records: list[Folder]
) -> None:
    if not records:
        _end(service, execution, "Failed", NO_DATA)
        return
    request = requests.analysis(
        definition, running, records, _files(service, definition), _capture_uri(service, definition)
    )
    _begin(service, execution, "analysis", request, namespace=NAMESPACES[definition.type])


def _begin(
    service: Service, execution: Record, stage: str, request: dict[str, Any], namespace: str = ""
) -> None:
    """Start the stage's job, or adopt it when an earlier server already has."""
    job = service.find("processing-job", request["ProcessingJobName"])
    if job is None:
        processing.create(service, request)
        job = service.records("processing-job")[request["ProcessingJobName"]]
        if namespace:
            job["_metrics_namespace"] = namespace
    execution["_stage"] = stage
    execution["ProcessingJobArn"] = job["ProcessingJobArn"]
    execution["MonitoringExecutionStatus"] = "InProgress"
    execution["LastModifiedTime"] = service.now()


def _end(service: Service, execution: Record, status: str, reason: str | None) -> None:
    execution["MonitoringExecutionStatus"] = status
    execution["LastModifiedTime"] = service.now()
    if reason:
        execution["FailureReason"] = reason[:1024]


def _files(service: Service, definition: Definition) -> Files:
    """What to compare with: the files that are named, else those that the baselining job wrote."""
    given = definition.baseline
    constraints = (given.get("ConstraintsResource") or {}).get("S3Uri", "")
    statistics = (given.get("StatisticsResource") or {}).get("S3Uri", "")
    job = service.find("processing-job", given.get("BaseliningJobName", ""))
    if job is not None:
        output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
        name = "analysis.json" if definition.type in requests.CLARIFY else "constraints.json"
        constraints = constraints or f"{output}/{name}"
        if definition.type == "DataQuality":
            statistics = statistics or f"{output}/statistics.json"
    if definition.type != "ModelQuality":
        return Files(constraints, statistics)
    beside = f"{constraints.rpartition('/')[0]}/statistics.json"
    report = f"{requests.merge_uri(definition)}/merge_report.json"
    return Files(
        constraints, *(uri if constraints and _exists(service, uri) else "" for uri in (beside, report))
    )


def _exists(service: Service, uri: str) -> bool:
    bucket, key = inputs.split_uri(uri)
    objects = service.context.objects
    return objects.exists_bucket(bucket) and any(found.key == key for found in objects.list(bucket, key))


def _captures(service: Service, definition: Definition, window: Window) -> list[Folder]:
    base = _capture_uri(service, definition).removesuffix(f"/{definition.endpoint}")
    return _with_data(service, base, _places(service, definition, window))


def _places(service: Service, definition: Definition, window: Window) -> list[str]:
    """`<endpoint>/<variant>/<hour folder>`, as captures and merged records are laid out."""
    variants = [v["VariantName"] for v in _endpoint(service, definition)["ProductionVariants"]]
    return [f"{definition.endpoint}/{variant}/{hour}" for variant in variants for hour in window.folders()]


def _capture_uri(service: Service, definition: Definition) -> str:
    """`<destination>/<endpoint>`: below it lie the variants."""
    capture = _endpoint(service, definition)["_capture"]
    if not capture:
        raise errors.validation(f"Endpoint {definition.endpoint} captures no data.")
    return f"{capture['destination'].rstrip('/')}/{definition.endpoint}"


def _endpoint(service: Service, definition: Definition) -> Record:
    endpoint = service.find("endpoint", definition.endpoint)
    if endpoint is None:
        raise errors.validation(f'Could not find endpoint "{service.arn("endpoint", definition.endpoint)}".')
    return endpoint


def _with_data(service: Service, base: str, places: list[str]) -> list[Folder]:
    """Those of the places below an S3 prefix that hold objects."""
    bucket, prefix = inputs.split_uri(base.rstrip("/"))
    if not service.context.objects.exists_bucket(bucket):
        return []
    found = []
    for place in places:
        key = f"{prefix}/{place}/" if prefix else f"{place}/"
        if next(iter(service.context.objects.list(bucket, key)), None) is not None:
            found.append(Folder(f"s3://{bucket}/{key.rstrip('/')}", place))
    return found
