"""CloudWatch metrics of endpoints, added up in memory and published about once a second.

Namespace AWS/SageMaker, as on AWS: Invocations, Invocation4XXErrors, Invocation5XXErrors (0 or 1 a request),
ModelLatency and OverheadLatency (microseconds), by EndpointName and VariantName; while an endpoint has two
fleets also by EndpointConfigName, which is what the alarms of a canary look at.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

log = logging.getLogger(__name__)

NAMESPACE = "AWS/SageMaker"
UNITS = {
    "Invocations": "None",
    "Invocation4XXErrors": "None",
    "Invocation5XXErrors": "None",
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
}
DATUMS_AT_ONCE = 500

Dimensions = tuple[tuple[str, str], ...]


class MetricStore(Protocol):
    """The part of boto3's CloudWatch client that is used."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> Any: ...


@dataclass
class Statistic:
    """Count, sum and range of the values of one metric since it was last published."""

    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: Sequence[float]) -> None:
        self.count += len(values)
        self.total += sum(values)
        self.low = min(self.low, *values)
        self.high = max(self.high, *values)


class Sample(NamedTuple):
    """One invocation: the HTTP status the model gave, and seconds."""

    dimensions: tuple[Dimensions, ...]
    status: int
    model_seconds: float
    total_seconds: float


class Metrics:
    """`record` is called on the event loop for every request and only notes it; `flush` runs in a thread."""

    def __init__(
        self, store: MetricStore, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.store = store
        self.clock = clock
        self._samples: deque[Sample] = deque()
        self._values: dict[tuple[Dimensions, str], Statistic] = {}
        self._flushing = threading.Lock()

    def record(self, sample: Sample) -> None:
        self._samples.append(sample)

    def flush(self) -> int:
        """Publishes what was recorded; returns how many datums. What fails is kept and added to next time."""
        with self._flushing:
            self._add_up()
            sent = 0
            while self._values:
                batch = list(self._values.items())[:DATUMS_AT_ONCE]
                now = self.clock()
                datums = [_datum(dimensions, name, value, now) for (dimensions, name), value in batch]
                try:
                    self.store.put_metric_data(Namespace=NAMESPACE, MetricData=datums)
                except Exception as error:  # noqa: BLE001 - endpoints go on serving while CloudWatch is away
                    log.warning("Metrics cannot be published yet: %s", error)
                    break
                sent += len(batch)
                for key, _ in batch:
                    del self._values[key]
            return sent

    def _add_up(self) -> None:
        """By columns: while this thread runs Python, requests wait, and a second may have seen thousands."""
        batches: dict[tuple[Dimensions, ...], list[Sample]] = {}
        for _ in range(len(self._samples)):  # what is recorded meanwhile is for the next time
            sample = self._samples.popleft()
            batches.setdefault(sample.dimensions, []).append(sample)
        for dimensions, samples in batches.items():
            columns: dict[str, Sequence[float]] = {
                "Invocations": [1.0] * len(samples),
                "Invocation4XXErrors": [float(400 <= each.status < 500) for each in samples],
                "Invocation5XXErrors": [float(each.status >= 500) for each in samples],
                "ModelLatency": [each.model_seconds * 1e6 for each in samples],
                "OverheadLatency": [
                    max(each.total_seconds - each.model_seconds, 0.0) * 1e6 for each in samples
                ],
            }
            for key in dimensions:
                for name, values in columns.items():
                    self._values.setdefault((key, name), Statistic()).add(values)


def _datum(dimensions: Dimensions, name: str, statistic: Statistic, now: datetime) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
        "Timestamp": now,
        "Unit": UNITS[name],
        "StatisticValues": {
            "SampleCount": float(statistic.count),
            "Sum": statistic.total,
            "Minimum": statistic.low,
            "Maximum": statistic.high,
        },
    }
