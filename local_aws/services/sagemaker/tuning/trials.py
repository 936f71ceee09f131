"""What the training jobs of a tuning job have tried and reached, read from their records."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from local_aws.services.sagemaker.backend import Record, Service

from .search import Space, Trial

RUNNING = ("InProgress", "Stopping")


def children(service: Service, record: Record) -> list[Record]:
    """The training jobs of a tuning job, oldest first."""
    found = (service.find("training-job", name) for name in record["_children"])
    return [child for child in found if child is not None]


def objective(child: Record, metric: str) -> float | None:
    """The last value of the objective metric, of a job that has ended; None when it reached none."""
    if child["TrainingJobStatus"] in (*RUNNING, "Failed"):
        return None
    value = child.get("_metrics", {}).get(metric, {}).get("Value")
    return None if value is None else float(value)


def history(service: Service, record: Record, space: Space) -> list[Trial]:
    """What is known before the next choice: this job's trials, then those of its warm start's parents that
    lie in the space.
    """
    metric = record["_objective"]["MetricName"]
    own = [
        Trial(child["_tuned"], objective(child, metric), child["TrainingJobStatus"] in RUNNING)
        for child in children(service, record)
    ]
    earlier = [
        Trial(child["_tuned"], reached)
        for parent in parents(service, record)
        for child in children(service, parent)
        if (reached := objective(child, parent["_objective"]["MetricName"])) is not None
        and all(each.name in child["_tuned"] and each.holds(child["_tuned"][each.name]) for each in space)
    ]
    return [*earlier, *own]


def parents(service: Service, record: Record) -> list[Record]:
    given = (record.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs", ())
    found = (
        service.find("hyper-parameter-tuning-job", each["HyperParameterTuningJobName"]) for each in given
    )
    return [parent for parent in found if parent is not None]


def best(jobs: Iterable[Record], aim: dict[str, str]) -> Record | None:
    """The training job with the best objective; the earliest of equals."""
    reached = [(objective(job, aim["MetricName"]), job) for job in jobs]
    known = [(value, job) for value, job in reached if value is not None]
    if not known:
        return None
    choose = max if aim["Type"] == "Maximize" else min
    return choose(known, key=lambda pair: pair[0])[1]


def summary(child: Record, record: Record) -> dict[str, Any]:
    """HyperParameterTrainingJobSummary."""
    aim = record["_objective"]
    value = objective(child, aim["MetricName"])
    running = child["TrainingJobStatus"] in RUNNING
    answer: dict[str, Any] = {
        key: child[key]
        for key in (
            *("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingJobStatus", "FailureReason"),
            *("TrainingStartTime", "TrainingEndTime"),
        )
        if key in child
    }
    answer["TunedHyperParameters"] = child["_tuned"]
    answer["ObjectiveStatus"] = "Pending" if running else "Failed" if value is None else "Succeeded"
    if value is not None:
        answer["FinalHyperParameterTuningJobObjectiveMetric"] = {**aim, "Value": value}
    return answer


def counters(jobs: list[Record], record: Record) -> dict[str, Any]:
    """TrainingJobStatusCounters and ObjectiveStatusCounters."""
    statuses = [job["TrainingJobStatus"] for job in jobs]
    reached = [summary(job, record)["ObjectiveStatus"] for job in jobs]
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses.count("Completed"),
            "InProgress": sum(status in RUNNING for status in statuses),
            "RetryableError": 0,
            "NonRetryableError": statuses.count("Failed"),
            "Stopped": statuses.count("Stopped"),
        },
        "ObjectiveStatusCounters": {
            status: reached.count(status) for status in ("Succeeded", "Pending", "Failed")
        },
    }


def is_hopeless(running: list[float], others: list[list[float]], *, maximize: bool) -> bool:
    """SageMaker's rule of early stopping: the job's value is worse than the median of the running averages of
    the other jobs, up to the same evaluation.

    running: the objective after each evaluation so far. others: the same of jobs that have ended.
    """
    count = len(running)
    averages = [sum(values[:count]) / count for values in others if len(values) >= count > 0]
    if not averages:
        return False
    middle = median(averages)
    return running[-1] < middle if maximize else running[-1] > middle
