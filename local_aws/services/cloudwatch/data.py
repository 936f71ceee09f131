"""GetMetricData and GetMetricStatistics: what the store has, and what expressions make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Dimension, MetricDataQuery, MetricStat
from moto.cloudwatch.models import Metric as MotoMetric

from local_aws.services.cloudwatch import expressions
from local_aws.services.cloudwatch.expressions import InvalidExpression, Series
from local_aws.services.cloudwatch.metrics import Metric, MetricStore


def metric_data(
    store: MetricStore, region: str, queries: Sequence[Mapping[str, Any]], start: datetime, end: datetime
) -> list[tuple[Mapping[str, Any], str, Series]]:
    """Of each query, in their order: (query, label, series), oldest first. Queries in the API's words.

    Raises ValidationError (the API's) for a query that cannot be computed.
    """
    found: dict[str, Series] = {}
    labels: dict[str, str] = {}
    waiting = []
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            named = stat["Metric"]
            metric = Metric.of(named["Namespace"], named["MetricName"], named.get("Dimensions") or ())
            found[query["Id"]] = series(store, region, metric, stat, start, end)
            labels[query["Id"]] = f"{metric.name} {stat['Stat']}"
        else:
            waiting.append(query)
    for query in _in_order(waiting, set(found)):
        expression = query["Expression"]
        try:
            found[query["Id"]] = expressions.compute(expression, dict(found))
        except InvalidExpression as error:
            raise ValidationError(str(error)) from None
        labels[query["Id"]] = query["Id"]
    return [
        (query, query.get("Label") or labels[query["Id"]], dict(sorted(found[query["Id"]].items())))
        for query in queries
    ]


def series(
    store: MetricStore, region: str, metric: Metric, stat: Mapping[str, Any], start: datetime, end: datetime
) -> Series:
    name, period = stat["Stat"], int(stat["Period"])
    buckets = store.buckets(region, metric, start, end, period, stat.get("Unit"), values=name.startswith("p"))
    try:
        points = [(bucket.start, bucket.statistic(name)) for bucket in buckets]
    except ValueError as error:
        raise ValidationError(str(error)) from None
    return {moment: value for moment, value in points if value is not None}


def statistics(
    store: MetricStore,
    region: str,
    metric: Metric,
    names: Iterable[str],
    extended: Iterable[str],
    period: int,
    unit: str | None,
    start: datetime,
    end: datetime,
) -> list[dict[str, Any]]:
    """Datapoints of GetMetricStatistics."""
    extended = list(extended)
    points = []
    for bucket in store.buckets(region, metric, start, end, period, unit, values=bool(extended)):
        point: dict[str, Any] = {"Timestamp": bucket.start, "Unit": bucket.unit or "None"}
        try:
            point |= {name: bucket.statistic(name) for name in names}
            more = {name: bucket.statistic(name) for name in extended}
        except ValueError as error:
            raise ValidationError(str(error)) from None
        if known := {name: value for name, value in more.items() if value is not None}:
            point["ExtendedStatistics"] = known
        points.append(point)
    return points


def alarm_queries(alarm: Any) -> list[dict[str, Any]]:
    """The queries of an alarm on an expression, in the API's words."""
    found = []
    for query in alarm.metric_data_queries:
        one: dict[str, Any] = {"Id": query.id, "ReturnData": query.return_data is not False}
        if query.expression:
            one["Expression"] = query.expression
        else:
            stat = query.metric_stat
            dimensions = [{"Name": d.name, "Value": d.value} for d in stat.metric.dimensions or []]
            one["MetricStat"] = {
                "Metric": {
                    "Namespace": stat.metric.namespace,
                    "MetricName": stat.metric.metric_name,
                    "Dimensions": dimensions,
                },
                "Period": int(stat.period),
                "Stat": stat.stat,
                "Unit": stat.unit,
            }
        found.append(one)
    return found


def moto_queries(metrics: Iterable[Mapping[str, Any]]) -> list[MetricDataQuery]:
    """The API's Metrics of an alarm, or a template's, as moto's alarm keeps them."""
    found = []
    for metric in metrics:
        stat = metric.get("MetricStat")
        if stat is not None:
            named = stat["Metric"]
            dimensions = [Dimension(d["Name"], d["Value"]) for d in named.get("Dimensions") or ()]
            of = MotoMetric(named["MetricName"], named["Namespace"], dimensions)
            stat = MetricStat(of, stat["Period"], stat["Stat"], stat.get("Unit"))
        returned = metric.get("ReturnData")
        returned = returned if returned is None else str(returned).lower() == "true"
        found.append(
            MetricDataQuery(
                metric["Id"],
                metric.get("Label"),
                metric.get("Period"),
                returned,
                metric.get("Expression"),
                stat,
            )
        )
    return found


def period_of(queries: Iterable[Mapping[str, Any]]) -> int:
    """The longest period among an expression's metrics, in seconds."""
    return max(int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query)


def utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _in_order(queries: list[Mapping[str, Any]], known: set[str]) -> list[Mapping[str, Any]]:
    """Expressions after those that they read."""
    ordered: list[Mapping[str, Any]] = []
    waiting = list(queries)
    for query in waiting:
        if (
            str(query["Expression"])
            .lstrip()
            .upper()
            .startswith(("SELECT", "SEARCH", "ANOMALY_DETECTION_BAND"))
        ):
            raise ValidationError(f"{query['Expression']} is not supported by local AWS")
    while waiting:
        try:
            ready = [query for query in waiting if expressions.names(query["Expression"]) <= known]
        except InvalidExpression as error:
            raise ValidationError(str(error)) from None
        if not ready:
            missing = expressions.names(waiting[0]["Expression"]) - known
            raise ValidationError(
                f"Error in expression '{waiting[0]['Id']}': no such query: {', '.join(sorted(missing))}"
            )
        ordered += ready
        known |= {query["Id"] for query in ready}
        waiting = [query for query in waiting if query not in ready]
    return ordered
