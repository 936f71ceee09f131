"""CloudWatch metrics of endpoints, added up in memory and published about once a second.

Namespace AWS/SageMaker, as on AWS: Invocations, Invocation4XXErrors, Invocation5XXErrors (0 or 1 a request),
ModelLatency and OverheadLatency (microseconds), by EndpointName and VariantName; while an endpoint has two
fleets also by EndpointConfigName, which is what the alarms of a canary look at.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

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

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)

    def merge(self, other: Statistic) -> None:
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)


class Metrics:
    """`record` is called on the event loop, `flush` from a thread."""

    def __init__(
        self, store: MetricStore, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.store = store
        self.clock = clock
        self._values: dict[tuple[Dimensions, str], Statistic] = {}
        self._lock = threading.Lock()

    def record(
        self, dimensions: tuple[Dimensions, ...], status: int, model_seconds: float, total_seconds: float
    ) -> None:
        """One invocation, under each of its dimension sets. `status`: HTTP status that the model gave."""
        values = {
            "Invocations": 1.0,
            "Invocation4XXErrors": float(400 <= status < 500),
            "Invocation5XXErrors": float(status >= 500),
            "ModelLatency": model_seconds * 1e6,
            "OverheadLatency": max(total_seconds - model_seconds, 0.0) * 1e6,
        }
        with self._lock:
            for key in dimensions:
                for name, value in values.items():
                    statistic = self._values.get((key, name))
                    if statistic is None:
                        statistic = self._values[key, name] = Statistic()
                    statistic.add(value)

    def flush(self) -> int:
        """Publishes what has been added up; returns how many datums. What fails is kept for next time."""
        with self._lock:
            waiting, self._values = list(self._values.items()), {}
        sent = 0
        while waiting:
            batch = waiting[:DATUMS_AT_ONCE]
            now = self.clock()
            datums = [_datum(dimensions, name, value, now) for (dimensions, name), value in batch]
            try:
                self.store.put_metric_data(Namespace=NAMESPACE, MetricData=datums)
            except Exception as error:  # noqa: BLE001 - an endpoint goes on serving while CloudWatch is away
                log.warning("Metrics cannot be published yet: %s", error)
                self._keep(waiting)
                break
            sent += len(batch)
            waiting = waiting[DATUMS_AT_ONCE:]
        return sent

    def _keep(self, unsent: list[tuple[tuple[Dimensions, str], Statistic]]) -> None:
        with self._lock:
            for key, statistic in unsent:
                self._values.setdefault(key, Statistic()).merge(statistic)


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
