"""The metric store: one SQLite row for each datum, statistics by SQL.

A datum is a value (count 1) or a statistic set. Buckets are aligned to multiples of the period, as CloudWatch
aligns them (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local_aws.state.database import Database

RETENTION = timedelta(days=15)  # AWS keeps one-minute data for 15 days

SCHEMA = """
CREATE TABLE IF NOT EXISTS datum (
    region TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL,
    at REAL NOT NULL, unit TEXT, count REAL NOT NULL, sum REAL NOT NULL, minimum REAL NOT NULL,
    maximum REAL NOT NULL);
CREATE INDEX IF NOT EXISTS datum_metric ON datum (region, namespace, name, dimensions, at);
"""

PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


@dataclass(frozen=True, order=True)
class Metric:
    """What CloudWatch calls a metric: dimensions as sorted (name, value) pairs are part of its identity."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Iterable[Mapping[str, str]]) -> Metric:
        """From the API's form of dimensions, [{"Name": ..., "Value": ...}]."""
        return cls(namespace, name, tuple(sorted((d["Name"], d["Value"]) for d in dimensions)))

    def api_dimensions(self) -> list[dict[str, str]]:
        return [{"Name": name, "Value": value} for name, value in self.dimensions]


@dataclass(frozen=True)
class Bucket:
    """The data of one period; `start` in UTC. `values` are (value, count) and serve percentiles: a statistic
    set has a percentile only when all its values are the same."""

    start: datetime
    count: float
    sum: float
    minimum: float
    maximum: float
    unit: str | None
    values: tuple[tuple[float, float], ...] | None

    def statistic(self, name: str) -> float | None:
        """SampleCount, Sum, Average, Minimum, Maximum or pNN; None where it cannot be known.

        Raises ValueError for a statistic that is not supported.
        """
        match name:
            case "SampleCount":
                return self.count
            case "Sum":
                return self.sum
            case "Average":
                return self.sum / self.count if self.count else None
            case "Minimum":
                return self.minimum
            case "Maximum":
                return self.maximum
        found = PERCENTILE.fullmatch(name)
        if not found:
            raise ValueError(f"The statistic {name} is not supported by local AWS")
        return self._percentile(float(found[1]))

    def _percentile(self, percent: float) -> float | None:
        if self.values is None:
            return None
        rank, seen = max(1, math.ceil(self.count * percent / 100)), 0.0
        for value, count in sorted(self.values):
            seen += count
            if seen >= rank:
                return value
        return None


class MetricStore:
    """Metrics of one account, every region. Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def put(self, region: str, namespace: str, data: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Store the API's MetricData. All of it or nothing."""
        rows: list[tuple[Any, ...]] = []
        for datum in data:
            metric = Metric.of(namespace, datum["MetricName"], datum.get("Dimensions") or ())
            at = (datum.get("Timestamp") or now).timestamp()
            head = (region, namespace, metric.name, json.dumps(metric.dimensions), at, datum.get("Unit"))
            if sets := datum.get("StatisticValues"):
                count, total = float(sets["SampleCount"]), float(sets["Sum"])
                rows.append((*head, count, total, float(sets["Minimum"]), float(sets["Maximum"])))
                continue
            values = [float(value) for value in datum.get("Values") or [datum.get("Value", 0)]]
            counts = [float(count) for count in datum.get("Counts") or [1] * len(values)]
            rows += [(*head, n, v * n, v, v) for v, n in zip(values, counts, strict=True)]
        with self._database.transaction() as connection:
            connection.executemany("INSERT INTO datum VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def buckets(
        self,
        region: str,
        metric: Metric,
        start: datetime,
        end: datetime,
        period: int,
        unit: str | None = None,
        values: bool = False,
    ) -> list[Bucket]:
        """The periods with data from `start` to `end` (exclusive), oldest first; `period` in seconds.

        Whole periods: a start inside a period reads that period from its beginning. `values` also collects
        what percentiles need.
        """
        first = start.timestamp() // period * period
        query = """
            SELECT CAST(at / :period AS INTEGER) * :period AS bucket, SUM(count), SUM(sum), MIN(minimum),
                   MAX(maximum), MAX(unit),
                   CASE WHEN :values AND MAX(maximum > minimum) = 0
                        THEN json_group_array(json_array(minimum, count)) END
            FROM datum
            WHERE region = :region AND namespace = :namespace AND name = :name AND dimensions = :dimensions
              AND at >= :first AND at < :end AND (:unit IS NULL OR unit = :unit)
            GROUP BY bucket ORDER BY bucket"""
        parameters = {
            "period": period,
            "region": region,
            "namespace": metric.namespace,
            "name": metric.name,
            "dimensions": json.dumps(metric.dimensions),
            "first": first,
            "end": end.timestamp(),
            "unit": unit,
            "values": values,
        }
        with self._database.reading() as connection:
            rows = connection.execute(query, parameters).fetchall()
        return [
            Bucket(
                datetime.fromtimestamp(bucket, UTC),
                count,
                total,
                minimum,
                maximum,
                unit_,
                None if pairs is None else tuple((v, n) for v, n in json.loads(pairs)),
            )
            for bucket, count, total, minimum, maximum, unit_, pairs in rows
        ]

    def names(self, region: str, namespace: str | None = None, name: str | None = None) -> list[Metric]:
        """Every metric that has data, sorted."""
        with self._database.reading() as connection:
            rows = connection.execute(
                """SELECT DISTINCT namespace, name, dimensions FROM datum
                   WHERE region = ? AND (? IS NULL OR namespace = ?) AND (? IS NULL OR name = ?)""",
                (region, namespace, namespace, name, name),
            ).fetchall()
        return sorted(Metric(ns, n, tuple((k, v) for k, v in json.loads(d))) for ns, n, d in rows)

    def forget_old(self, now: datetime) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM datum WHERE at < ?", ((now - RETENTION).timestamp(),))

    def close(self) -> None:
        self._database.close()
