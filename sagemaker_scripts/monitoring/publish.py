"""What a monitoring job leaves behind: report files, CloudWatch metric lines, the exit message.

Paths are those of the processing container contract: ``<base>/output/message`` (its first 1 KB becomes the
job's
``ExitMessage``) and ``<base>/output/metrics/cloudwatch/cloudwatch_metrics.jsonl`` (a file in a *directory*).
The service decides on ``CompletedWithViolations`` by the beginning of the message.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]

INFINITY = 2.348543e108  # what Clarify publishes for an infinite metric
MESSAGE_BYTES = 1024
METRICS_A_REQUEST = 1000  # PutMetricData's limit


@dataclass(frozen=True)
class Report:
    """The outcome of one analysis. ``violations`` is None where the contract writes no such file."""

    files: Mapping[str, Json]
    violations: list[Json] | None = None
    violations_version: str | None = None
    metrics: list[Json] = field(default_factory=list)
    pages: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        count = len(self.violations or [])
        if count:
            return f"CompletedWithViolations: Job completed successfully with {count} violations."
        return "Completed: Job completed successfully with no violations."


def publish(report: Report, output: Path, base: Path, env: Mapping[str, str]) -> None:
    """Write a report below ``output`` and its message and metrics below ``base``.

    A plain processing job has no service that would read the metrics: with ``cloudwatch_namespace`` in its
    environment they are sent from here.
    """
    for name, content in report.files.items():
        write_json(output / name, content)
    if report.violations is not None:
        version = {"version": report.violations_version} if report.violations_version else {}
        write_json(output / "constraint_violations.json", version | {"violations": report.violations})
    for name, text in report.pages.items():
        write_text(output / name, text)
    if report.metrics:
        lines = "".join(json.dumps(metric) + "\n" for metric in report.metrics)
        write_text(base / "output" / "metrics" / "cloudwatch" / "cloudwatch_metrics.jsonl", lines)
    if namespace := env.get("cloudwatch_namespace"):
        send([*report.metrics, _count_of(report, env)], namespace)
    write_message(base, report.message)


def send(metrics: list[Json], namespace: str) -> None:
    """Put stamped metrics into CloudWatch."""
    import boto3  # the managed images' jobs do without

    client = boto3.client("cloudwatch")
    for start in range(0, len(metrics), METRICS_A_REQUEST):
        client.put_metric_data(Namespace=namespace, MetricData=metrics[start : start + METRICS_A_REQUEST])


def _count_of(report: Report, env: Mapping[str, str]) -> Json:
    """``violations``, ours: what an alarm looks at that does not care which metric has drifted."""
    time = env.get("metric_time") or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    count = {"MetricName": "violations", "Value": float(len(report.violations or [])), "Unit": "Count"}
    return stamped([count], time, dimensions_of(env))[0]


def write_message(base: Path, text: str) -> None:
    """The exit message, cut to 1 KB at a character boundary (the service refuses broken UTF-8)."""
    write_text(base / "output" / "message", text.encode()[:MESSAGE_BYTES].decode(errors="ignore"))


def read_message(base: Path) -> str:
    return (base / "output" / "message").read_text()


def write_json(path: Path, content: Json) -> None:
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Publish whole or not at all.

    The folder of outputs may be watched while we write (Continuous upload).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """Publish lines as they come, whole or not at all; without lines there is no file."""
    first = next(lines, None)
    if first is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w") as stream:
            stream.write(first)
            stream.writelines(lines)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def dimensions_of(env: Mapping[str, str]) -> dict[str, str]:
    """A monitor's CloudWatch dimensions, as far as its environment names them."""
    schedule = "sagemaker_monitoring_schedule_name"
    names = {"Endpoint": "sagemaker_endpoint_name", "MonitoringSchedule": schedule}
    return {name: env[variable] for name, variable in names.items() if env.get(variable)}


def stamped(metrics: Iterable[Json], time: str, dimensions: Mapping[str, str]) -> list[Json]:
    """Add time and dimensions to metric entries.

    Entries may bring dimensions of their own. NaN is left out.
    """
    lines = []
    for metric in metrics:
        value = metric.get("Value")
        if isinstance(value, float) and math.isnan(value):
            continue
        if isinstance(value, float) and math.isinf(value):
            metric = metric | {"Value": math.copysign(INFINITY, value)}
        own = metric.get("Dimensions", {})
        pairs = [{"Name": name, "Value": text} for name, text in (dict(dimensions) | own).items()]
        lines.append(
            {"MetricName": metric["MetricName"], "Timestamp": time, "Dimensions": pairs} | _amount(metric)
        )
    return lines


def _amount(metric: Json) -> Json:
    return {key: metric[key] for key in ("Value", "StatisticValues", "Unit") if key in metric}
