"""How an analysis of a window ended, whoever ran it, and what its violations mean: pure functions.

A window without data is no failure of the model and none of the monitor: where the outcome is ours to name it
is NO_DATA, said and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["Completed", "CompletedWithViolations", "NO_DATA", "Failed"]
Violation = Mapping[str, Any]

CONCLUDED = ("Completed", "CompletedWithViolations")
# How the scripts, the managed containers and the service say that there was nothing to look at.
NOTHING = ("Job inputs had no data", "No S3 objects found")
# What is wrong with records themselves. A retraining would learn the fault, so these call for a person.
BROKEN = frozenset(
    {"data_type_check", "completeness_check", "missing_column_check", "extra_column_check", "record_check"}
)


@dataclass(frozen=True)
class Outcome:
    """One monitor's execution. `report`: prefix of its files (None when it has none), `reason`: in words."""

    monitor: str
    status: Status
    reason: str
    report: str | None = None
    job: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def of_job(monitor: str, job: Mapping[str, Any]) -> Outcome:
    """From DescribeProcessingJob's answer."""
    status, message = job["ProcessingJobStatus"], str(job.get("ExitMessage") or "")
    reason = message or str(job.get("FailureReason") or f"the job is {status}, without a reason")
    outputs = job.get("ProcessingOutputConfig", {}).get("Outputs", [])
    report = f"{outputs[0]['S3Output']['S3Uri'].rstrip('/')}/" if outputs else None
    if status == "Completed":
        violated = message.startswith("CompletedWithViolations")
        ended: Status = "CompletedWithViolations" if violated else "Completed"
        return Outcome(monitor, ended, reason, report, job["ProcessingJobName"])
    return Outcome(monitor, failed_or_empty(reason), reason, None, job["ProcessingJobName"])


def failed_or_empty(reason: str) -> Status:
    """What an execution is that did not conclude."""
    return "NO_DATA" if reason.startswith(NOTHING) else "Failed"


def split(violations: Iterable[Violation]) -> tuple[list[Violation], list[Violation]]:
    """(drift, broken data) of one monitor's violations.

    A feature whose cells are broken also looks drifted; that is the same fault seen twice.
    """
    listed = list(violations)
    broken = {
        one.get("feature_name")
        for one in listed
        if one["constraint_check_type"] in BROKEN and one.get("feature_name")
    }
    drift = [
        one
        for one in listed
        if one["constraint_check_type"] not in BROKEN and one.get("feature_name", "") not in broken
    ]
    return drift, [one for one in listed if one not in drift]


def in_words(violation: Violation) -> str:
    """One line of a log or a page."""
    what = violation.get("feature_name") or violation.get("metric_name") or violation.get("label") or ""
    facet = f" ({violation['facet']})" if violation.get("facet") else ""
    return f"{what}{facet}: {violation['description']}"


@dataclass(frozen=True)
class Execution:
    """All monitors of one window: what is kept of it after the run."""

    endpoint: str
    model_package: str
    start: str
    end: str
    run_id: str
    outcomes: Sequence[Outcome]
    violations: Mapping[str, Sequence[Violation]]
    metrics: Mapping[str, float]
    """The model-quality metrics of the window; empty when it did not conclude."""
    records: Mapping[str, int]
    """Of the merge: `captures`, `matched`, `waiting`, `labels_without_capture`."""

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        drift, broken = self.drift, self.broken
        return {**values, "drift": {k: len(v) for k, v in drift.items()}, "broken_data": len(broken)}

    @property
    def drift(self) -> dict[str, list[Violation]]:
        """Drift found by each monitor that concluded: an empty list says that it looked and saw none."""
        return {
            one.monitor: split(self.violations.get(one.monitor, ()))[0]
            for one in self.outcomes
            if one.status in CONCLUDED
        }

    @property
    def broken(self) -> list[Violation]:
        return [one for found in self.violations.values() for one in split(found)[1]]

    @property
    def failures(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.status == "Failed"]

    @property
    def without_data(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.status == "NO_DATA"]


def metric_data(execution: Execution, *, resolution: int) -> list[dict[str, Any]]:
    """CloudWatch data of an execution, for PutMetricData.

    `drift` is there for monitors that concluded only: one that could not look leaves its alarm as it was.
    `resolution`: seconds, 1 or 60.
    """

    def datum(name: str, value: float, **dimensions: str) -> dict[str, Any]:
        pairs = {"Endpoint": execution.endpoint, **dimensions}
        return {
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": text} for key, text in pairs.items()],
            "Value": float(value),
            "Unit": "Count",
            "StorageResolution": resolution,
        }

    drift = execution.drift
    data = [datum("drift", len(found), Monitor=monitor) for monitor, found in drift.items()]
    if drift:
        data.append(datum("broken_data", len(execution.broken)))
    data.append(datum("no_data", len(execution.without_data)))
    data.append(datum("failed", len(execution.failures)))
    return data + [datum(name, value) for name, value in execution.records.items()]
