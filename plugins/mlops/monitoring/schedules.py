"""SageMaker Model Monitor's schedules of an endpoint: brought to a model's baselines, stopped, read.

A job definition cannot be changed, so each release has its own, named after it; a schedule is updated to the
newest one, and the definition that it leaves is deleted. Asking for what is there changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops.aws import is_missing
from mlops.churn.requests import tags
from mlops.monitoring import outcomes
from mlops.monitoring.baselines import MONITORS, Baseline
from mlops.monitoring.outcomes import Outcome
from mlops.monitoring.requests import OUTPUT, schedule_name
from mlops.monitoring.windows import iso

if TYPE_CHECKING:
    from config import Settings

ENDED = {"Completed", "CompletedWithViolations", "Failed", "Stopped"}


class NothingToCollect(LookupError):
    """There will be no execution of a schedule for that hour; the message says which, why, and what to do."""


class Kind(NamedTuple):
    """How SageMaker calls one kind of monitor: `create_<noun>_job_definition`, fields `<field>...`."""

    noun: str
    field: str
    type: str


KINDS = {
    "data_quality": Kind("data_quality", "DataQuality", "DataQuality"),
    "model_quality": Kind("model_quality", "ModelQuality", "ModelQuality"),
    "bias": Kind("model_bias", "ModelBias", "ModelBias"),
    "attribution": Kind("model_explainability", "ModelExplainability", "ModelExplainability"),
}


def definition(
    settings: Settings,
    monitor: str,
    name: str,
    baseline: Baseline,
    *,
    threshold: float,
    config_uri: str | None = None,
) -> dict[str, Any]:
    """Request of Create...JobDefinition. `config_uri` stands in for the baseline's own configuration."""
    field = KINDS[monitor].field
    is_clarify = monitor in ("bias", "attribution")
    application: dict[str, Any] = {
        "ImageUri": settings.clarify_image if is_clarify else settings.monitor_image
    }
    if is_clarify:
        application["ConfigUri"] = config_uri or baseline.config
    resources = {"ConstraintsResource": {"S3Uri": baseline.constraints}}
    if monitor == "data_quality":
        resources["StatisticsResource"] = {"S3Uri": str(baseline.statistics)}
    source: dict[str, Any] = {
        "EndpointName": settings.churn_endpoint,
        "LocalPath": "/opt/ml/processing/input/endpoint",
    }
    given: dict[str, Any] = {"EndpointInput": source}
    if monitor in ("model_quality", "bias"):
        delay, length = settings.monitoring.label_delay_hours, settings.monitoring.window_hours
        source |= {
            "ProbabilityAttribute": "0",
            "ProbabilityThresholdAttribute": threshold,
            "StartTimeOffset": f"-PT{delay + length}H",
            "EndTimeOffset": f"-PT{delay}H",
        }
        truth = settings.s3(settings.ground_truth_prefix(settings.churn_endpoint)).rstrip("/")
        given["GroundTruthS3Input"] = {"S3Uri": truth}
    if monitor == "model_quality":
        application["ProblemType"] = "BinaryClassification"
    report = settings.s3(f"{settings.monitoring_prefix(settings.churn_endpoint)}managed")
    output = {"S3Uri": report, "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"}
    return {
        "JobDefinitionName": name,
        f"{field}BaselineConfig": resources,
        f"{field}AppSpecification": application,
        f"{field}JobInput": given,
        f"{field}JobOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
        "JobResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": settings.compute.processing_instance,
                "VolumeSizeInGB": settings.compute.volume_gb,
            }
        },
        "RoleArn": settings.role_arn("sagemaker"),
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.timeouts.analyse},
        "Tags": tags(settings, "monitoring"),
    }


def schedule(settings: Settings, monitor: str, definition_name: str) -> dict[str, Any]:
    """Request of CreateMonitoringSchedule: every full hour, or every so many."""
    hours = settings.monitoring.window_hours
    return {
        "MonitoringScheduleName": schedule_name(settings.churn_endpoint, monitor),
        "MonitoringScheduleConfig": {
            "ScheduleConfig": {
                "ScheduleExpression": "cron(0 * ? * * *)" if hours == 1 else f"cron(0 0/{hours} ? * * *)"
            },
            "MonitoringJobDefinitionName": definition_name,
            "MonitoringType": KINDS[monitor].type,
        },
        "Tags": tags(settings, "monitoring"),
    }


def explainer_config(config: Mapping[str, Any], settings: Settings, model: str) -> dict[str, Any]:
    """The attribution's configuration for Clarify's own container, which scores through a shadow endpoint."""
    return {
        **config,
        "predictor": {
            "model_name": model,
            "instance_type": settings.compute.endpoint_instance,
            "initial_instance_count": 1,
            "content_type": "text/csv",
            "accept_type": "text/csv",
        },
    }


def ensure(sagemaker: Any, monitor: str, wanted: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Create or update one monitor's definition (`wanted`) and schedule (`plan`); says what was done."""
    kind, name = KINDS[monitor], plan["MonitoringScheduleName"]
    definition_name = wanted["JobDefinitionName"]
    describe = getattr(sagemaker, f"describe_{kind.noun}_job_definition")
    if _found(describe, JobDefinitionName=definition_name) is None:
        getattr(sagemaker, f"create_{kind.noun}_job_definition")(**wanted)
    found = _found(sagemaker.describe_monitoring_schedule, MonitoringScheduleName=name)
    if found is None:
        sagemaker.create_monitoring_schedule(**plan)
        return f"{name}: created"
    before = found["MonitoringScheduleConfig"].get("MonitoringJobDefinitionName")
    if found["MonitoringScheduleStatus"] == "Stopped":
        sagemaker.start_monitoring_schedule(MonitoringScheduleName=name)
    if before == definition_name:
        return f"{name}: unchanged"
    sagemaker.update_monitoring_schedule(
        MonitoringScheduleName=name, MonitoringScheduleConfig=plan["MonitoringScheduleConfig"]
    )
    if before and _found(describe, JobDefinitionName=before) is not None:
        getattr(sagemaker, f"delete_{kind.noun}_job_definition")(JobDefinitionName=before)
    return f"{name}: updated"


def stop(sagemaker: Any, settings: Settings) -> list[str]:
    """Stop the endpoint's schedules, whose baselines would be another model's; names of those stopped."""
    stopped = []
    for monitor in MONITORS:
        name = schedule_name(settings.churn_endpoint, monitor)
        found = _found(sagemaker.describe_monitoring_schedule, MonitoringScheduleName=name)
        if found and found["MonitoringScheduleStatus"] not in {"Stopped", "Failed"}:
            sagemaker.stop_monitoring_schedule(MonitoringScheduleName=name)
            stopped.append(name)
    return stopped


def collect(sagemaker: Any, settings: Settings, hour: datetime) -> list[Outcome] | None:
    """The outcomes of the executions that were due at `hour`; None while one has not ended, or begun.

    Raises NothingToCollect: a schedule is not there, does not run, or was made after that hour.
    """
    found = []
    for monitor in MONITORS:
        name = schedule_name(settings.churn_endpoint, monitor)
        schedule = _required(sagemaker, name)
        execution = _execution(sagemaker, name, hour)
        if execution is None:
            _require_to_come(schedule, hour)
            return None
        if execution["MonitoringExecutionStatus"] not in ENDED:
            return None
        found.append(_outcome(sagemaker, monitor, execution))
    return found


def _execution(sagemaker: Any, name: str, hour: datetime) -> Mapping[str, Any] | None:
    pages = sagemaker.get_paginator("list_monitoring_executions").paginate(
        MonitoringScheduleName=name, SortBy="ScheduledTime", SortOrder="Descending"
    )
    listed = (one for page in pages for one in page["MonitoringExecutionSummaries"])
    return next(
        (one for one in listed if one["ScheduledTime"].replace(second=0, microsecond=0) == hour), None
    )


def _required(sagemaker: Any, name: str) -> dict[str, Any]:
    """A schedule. Raises NothingToCollect when there is none."""
    schedule = _found(sagemaker.describe_monitoring_schedule, MonitoringScheduleName=name)
    if schedule is None:
        raise NothingToCollect(
            f"there is no monitoring schedule {name}: churn_training makes it when it deploys a model with "
            "monitoring = managed; or analyse the window in this run, mode = own"
        )
    return schedule


def _require_to_come(schedule: Mapping[str, Any], hour: datetime) -> None:
    """Raises NothingToCollect when no execution of `hour` can follow."""
    name = schedule["MonitoringScheduleName"]
    if (status := schedule["MonitoringScheduleStatus"]) not in {"Scheduled", "Pending"}:
        raise NothingToCollect(
            f"the monitoring schedule {name} is {status} {schedule.get('FailureReason', '')}".rstrip()
        )
    if schedule["CreationTime"] > hour:
        raise NothingToCollect(
            f"the monitoring schedule {name} was made at {iso(schedule['CreationTime'])}, after {iso(hour)}: "
            "that hour has no execution; analyse the window in this run, mode = own"
        )


def _outcome(sagemaker: Any, monitor: str, execution: Mapping[str, Any]) -> Outcome:
    arn = execution.get("ProcessingJobArn")
    if arn and execution["MonitoringExecutionStatus"] in outcomes.CONCLUDED:
        job = sagemaker.describe_processing_job(ProcessingJobName=arn.rsplit("/", 1)[-1])
        return outcomes.of_job(monitor, job)
    reason = str(execution.get("FailureReason") or execution["MonitoringExecutionStatus"])
    return Outcome(monitor, outcomes.failed_or_empty(reason), reason, job=arn and arn.rsplit("/", 1)[-1])


def _found(describe: Any, **name: str) -> dict[str, Any] | None:
    try:
        return dict(describe(**name))
    except Exception as error:
        if not hasattr(error, "response") or not is_missing(error):
            raise
        return None
