"""The thread of a tuning job: keeps as many training jobs running as it may, until there is enough."""

from __future__ import annotations

import copy
import logging
import secrets
import threading
from typing import Any

from local_aws.services.sagemaker import jobs, training
from local_aws.services.sagemaker.backend import Record, Service

from . import search, trials

log = logging.getLogger(__name__)

KIND = "hyper-parameter-tuning-job"
LOOK_SECONDS = 0.2
# Evaluations before a job may be stopped as hopeless.
GRACE_EVALUATIONS = 3


def start(service: Service, record: Record) -> None:
    name = record["HyperParameterTuningJobName"]
    threading.Thread(target=_guarded, args=(service, name), name=f"{KIND}/{name}", daemon=True).start()


def resume(service: Service) -> None:
    """After a start of the server: go on with the tuning jobs that have not ended."""
    for record in service.records(KIND).values():
        if record["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping"):
            start(service, record)


def training_request(record: Record, name: str, tuned: search.Values) -> dict[str, Any]:
    """The training job that tries these values."""
    definition = copy.deepcopy(record["TrainingJobDefinition"])
    request = {
        key: definition[key]
        for key in (
            *("AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig"),
            *("ResourceConfig", "StoppingCondition", "EnableNetworkIsolation", "EnableManagedSpotTraining"),
            *("EnableInterContainerTrafficEncryption", "RetryStrategy", "Environment"),
        )
        if key in definition
    }
    if "CheckpointConfig" in definition:  # each training job has a folder of its own
        given = definition["CheckpointConfig"]
        request["CheckpointConfig"] = {**given, "S3Uri": f"{given['S3Uri'].rstrip('/')}/{name}"}
    # The tuning job's own way to say the same.
    request.setdefault("ResourceConfig", definition.get("HyperParameterTuningResourceConfig"))
    request["TrainingJobName"] = name
    aim = {"_tuning_objective_metric": record["_objective"]["MetricName"]}
    request["HyperParameters"] = {**definition.get("StaticHyperParameters", {}), **tuned, **aim}
    return request


def _guarded(service: Service, name: str) -> None:
    """A fault of ours must not leave a tuning job in progress for ever."""
    try:
        while not _step(service, name):
            threading.Event().wait(LOOK_SECONDS)
    except Exception as error:
        log.exception("tuning job %s", name)
        _end(service, name, "Failed", f"InternalServerError: {error}")


def _step(service: Service, name: str) -> bool:
    """Look once; whether the tuning job has ended."""
    with service.lock:
        record = service.find(KIND, name)
        if record is None:
            return True
        record = copy.deepcopy(record)
        children = copy.deepcopy(trials.children(service, record))
    running = [child for child in children if child["TrainingJobStatus"] in trials.RUNNING]
    enough = _enough(service, record, children)
    if record["HyperParameterTuningJobStatus"] == "Stopping" or enough:
        for child in running:
            _stop(service, child)
        if running:
            return False
        if record["HyperParameterTuningJobStatus"] == "Stopping":
            _end(service, name, "Stopped")
        else:
            _end(service, name, *_outcome(children))
        return True
    _stop_hopeless(service, record, children, running)
    limits = record["HyperParameterTuningJobConfig"]["ResourceLimits"]
    if len(children) < record["_most"] and len(running) < limits["MaxParallelTrainingJobs"]:
        _try_next(service, record)
        return _step(service, name)
    return False


def _enough(service: Service, record: Record, children: list[Record]) -> bool:
    """Whether no further training job is to be started, and those that run are to be stopped."""
    config, aim = record["HyperParameterTuningJobConfig"], record["_objective"]
    if len(children) == record["_most"] and not any(
        c["TrainingJobStatus"] in trials.RUNNING for c in children
    ):
        return True
    seconds = config["ResourceLimits"].get("MaxRuntimeInSeconds")
    if seconds and (service.now() - record["CreationTime"]).total_seconds() > seconds:
        return True
    criteria = config.get("TuningJobCompletionCriteria") or {}
    reached = [value for c in children if (value := trials.objective(c, aim["MetricName"])) is not None]
    sign = 1 if aim["Type"] == "Maximize" else -1
    target = criteria.get("TargetObjectiveMetricValue")
    if target is not None and any(sign * value >= sign * target for value in reached):
        return True
    patience = (criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
    if patience and reached:
        since = len(reached) - 1 - reached.index(max(reached, key=lambda value: sign * value))
        return since >= patience
    return False


def _try_next(service: Service, record: Record) -> None:
    """Choose values and start their training job: both in the record, durably, before anything runs."""
    name = record["HyperParameterTuningJobName"]
    number = len(record["_children"])
    wanted = search.space(record["HyperParameterTuningJobConfig"]["ParameterRanges"])
    with service.lock:
        known = trials.history(service, record, wanted)
    tuned = search.choose(
        wanted,
        record["HyperParameterTuningJobConfig"]["Strategy"],
        known,
        number=number,
        seed=record["_seed"],
        maximize=record["_objective"]["Type"] == "Maximize",
    )
    child = f"{name}-{number + 1:03d}-{secrets.token_hex(4)}"
    with service.lock:
        live = service.records(KIND)[name]
        if live["HyperParameterTuningJobStatus"] != "InProgress":
            return
        training.create(service, training_request(live, child, tuned))
        job = service.records("training-job")[child]
        job.update(_tuned=tuned, TuningJobArn=live["HyperParameterTuningJobArn"])
        live["_children"].append(child)
        service.commit()


def _stop_hopeless(service: Service, record: Record, children: list[Record], running: list[Record]) -> None:
    if record["HyperParameterTuningJobConfig"].get("TrainingJobEarlyStoppingType", "Off") != "Auto":
        return
    aim = record["_objective"]
    ended = [c.get("_objectives", []) for c in children if trials.objective(c, aim["MetricName"]) is not None]
    for child in running:
        values = child.get("_objectives", [])
        hopeless = trials.is_hopeless(values, ended, maximize=aim["Type"] == "Maximize")
        if len(values) >= GRACE_EVALUATIONS and hopeless:
            _stop(service, child)


def _stop(service: Service, child: Record) -> None:
    with service.lock:
        jobs.stop(service, training.TRAINING, child["TrainingJobName"])
        service.commit()


def _outcome(children: list[Record]) -> tuple[str, str | None]:
    """A tuning job fails when every one of its training jobs did."""
    if children and all(child["TrainingJobStatus"] == "Failed" for child in children):
        return "Failed", f"All training jobs failed. The last reason: {children[-1].get('FailureReason', '')}"
    return "Completed", None


def _end(service: Service, name: str, status: str, reason: str | None = None) -> None:
    changes: dict[str, Any] = {"HyperParameterTuningJobStatus": status}
    if reason:
        changes["FailureReason"] = reason[:1024]
    service.update(KIND, name, **changes, HyperParameterTuningEndTime=service.now())
