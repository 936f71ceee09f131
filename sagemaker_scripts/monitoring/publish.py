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
from pathlib import Path
from typing import Any

Json = dict[str, Any]

INFINITY = 2.348543e108  # what Clarify publishes for an infinite metric
MESSAGE_BYTES = 1024


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


def publish(report: Report, output: Path, base: Path) -> None:
    """Write a report below ``output`` and its message and metrics below ``base``."""
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
    write_message(base, report.message)


def write_message(base: Path, text: str) -> None:
    """The exit message, cut to 1 KB at a character boundary (the service refuses broken UTF-8)."""
    write_text(base / "output" / "message", text.encode()[:MESSAGE_BYTES].decode(errors="ignore"))


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
