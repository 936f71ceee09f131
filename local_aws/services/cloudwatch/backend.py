"""moto's CloudWatch over the metric store, and the clock that evaluates the alarms."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from moto.cloudwatch.exceptions import InvalidParameterValue, ValidationError
from moto.cloudwatch.metric_data_expression_parser import parse_expression
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatumBase,
    Statistics,
    cloudwatch_backends,
)
from moto.sns.models import sns_backends

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.cloudwatch.alarms import COMPARISONS, EXTRA_PERIODS, Rule, State, judge
from local_aws.services.cloudwatch.metrics import Bucket, Metric, MetricStore
from local_aws.services.cloudwatch.responses import Responses

log = logging.getLogger(__name__)

EVALUATION_INTERVAL = 2.0  # seconds; AWS evaluates each minute


class Backend(CloudWatchBackend):
    """One region. Metrics live in `store`; alarms and dashboards in the snapshot, as moto has them."""

    store: ClassVar[MetricStore]
    context: ClassVar[Context]

    def put_metric_alarm(self, **arguments: Any) -> Alarm:
        """As moto, but refuses what would never be evaluated. An update keeps the state, as on AWS."""
        name = arguments["name"]
        for feature, used in (
            ("Metrics (metric math)", arguments.get("metric_data_queries")),
            ("ThresholdMetricId (anomaly detection)", arguments.get("threshold_metric_id")),
            ("AlarmRule (composite alarms)", arguments.get("rule")),
        ):
            if used:
                raise ValidationError(f"Alarm {name}: {feature} is not supported by local AWS")
        if arguments["comparison_operator"] not in COMPARISONS:
            raise ValidationError(
                f"Alarm {name}: ComparisonOperator {arguments['comparison_operator']} is not supported by "
                f"local AWS, which has {', '.join(COMPARISONS)}"
            )
        previous = self.alarms.get(name)
        alarm = super().put_metric_alarm(**arguments)
        if previous is not None:
            alarm.history = previous.history
            alarm.state_value, alarm.state_reason = previous.state_value, previous.state_reason
            alarm.state_reason_data = previous.state_reason_data
            alarm.state_updated_timestamp = previous.state_updated_timestamp
        else:
            alarm.state_value = "INSUFFICIENT_DATA"
        return alarm

    def set_alarm_state(self, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """As moto, and the actions of a changed state run. The next evaluation judges anew, as on AWS."""
        before = self.alarms[alarm_name].state_value if alarm_name in self.alarms else None
        super().set_alarm_state(alarm_name, reason, reason_data, state_value)
        if before != state_value:
            self._act(self.alarms[alarm_name], before or "INSUFFICIENT_DATA")

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        for number, datum in enumerate(metric_data, start=1):
            self._validate_parameters_put_metric_data(datum, number)
        self.store.put(self.region_name, namespace, metric_data, self.context.clock())

    def get_metric_statistics(
        self,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict[str, str]],
        unit: str | None = None,
    ) -> list[Statistics]:
        if start_time >= end_time:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        metric = Metric.of(namespace, metric_name, dimensions)
        found = self.store.buckets(self.region_name, metric, start_time, end_time, period, unit)
        return [_statistics(metric, bucket, stats) for bucket in found]

    def get_metric_data(
        self,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        if start_time >= end_time:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        results = [self._metric_stat(q, start_time, end_time) for q in queries if "MetricStat" in q]
        for query in queries:
            if (expression := query.get("Expression")) is None:
                continue
            if expression.lstrip().upper().startswith("SELECT"):
                raise ValidationError(f"Metrics Insights is not supported by local AWS: {expression}")
            values, timestamps = parse_expression(expression, results)
            results.append(_result(query, query["Id"], list(values), list(timestamps)))
        if scan_by == "TimestampDescending":
            for result in results:
                result["values"].reverse()
                result["timestamps"].reverse()
        shown = {query["Id"] for query in queries if query.get("ReturnData", True)}
        return [result for result in results if result["id"] in shown]

    def _metric_stat(self, query: dict[str, Any], start: datetime, end: datetime) -> dict[str, Any]:
        stat = query["MetricStat"]
        named, name, period = stat["Metric"], stat["Stat"], int(stat["Period"])
        metric = Metric.of(named["Namespace"], named["MetricName"], named.get("Dimensions") or ())
        found = self.store.buckets(
            self.region_name, metric, start, end, period, stat.get("Unit"), values=name.startswith("p")
        )
        try:
            points = [(b.start, value) for b in found if (value := b.statistic(name)) is not None]
        except ValueError as error:
            raise ValidationError(str(error)) from None
        label = f"{metric.name} {name}"
        return _result(query, label, [v for _, v in points], [t for t, _ in points])

    def get_all_metrics(self) -> list[MetricDatumBase]:
        """One datum a metric: what ListMetrics needs."""
        stored = [
            MetricDatumBase(metric.namespace, metric.name, metric.api_dimensions(), None)
            for metric in self.store.names(self.region_name)
        ]
        return stored + self.aws_metric_data

    def evaluate(self, now: datetime) -> bool:
        """Judge every alarm; return whether any changed its state."""
        changed = False
        for alarm in list(self.alarms.values()):
            before: State = alarm.state_value
            rule = _rule(alarm)
            points = self._points(alarm, rule, now)
            after = judge(rule, points, before)
            if after != before:
                changed = True
                alarm.update_state(*_reason(rule, points, after), after)
                self._act(alarm, before)
        return changed

    def _points(self, alarm: Alarm, rule: Rule, now: datetime) -> list[float | None]:
        """The data points of the evaluation range, oldest first."""
        period = int(alarm.period)
        running = int(now.timestamp()) // period * period
        last = running if rule.counts_running_period else running - period
        starts = [last - period * back for back in reversed(range(rule.evaluation_periods + EXTRA_PERIODS))]
        metric = Metric(
            alarm.namespace, alarm.metric_name, tuple(sorted((d.name, d.value) for d in alarm.dimensions))
        )
        statistic = alarm.statistic or alarm.extended_statistic or "Average"
        first = datetime.fromtimestamp(starts[0], now.tzinfo)
        end = datetime.fromtimestamp(last + period, now.tzinfo)
        found = {
            int(bucket.start.timestamp()): bucket.statistic(statistic)
            for bucket in self.store.buckets(
                self.region_name, metric, first, end, period, alarm.unit, values=statistic.startswith("p")
            )
        }
        return [found.get(start) for start in starts]

    def _act(self, alarm: Alarm, before: str) -> None:
        if not alarm.actions_enabled:
            return
        actions: Iterable[str] = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[alarm.state_value]
        for arn in actions:
            if arn.split(":")[2] != "sns":
                log.error("alarm %s: action %s is not supported by local AWS (only SNS is)", alarm.name, arn)
                continue
            message = {
                "AlarmName": alarm.name,
                "AlarmDescription": alarm.description,
                "NewStateValue": alarm.state_value,
                "OldStateValue": before,
                "NewStateReason": alarm.state_reason,
                "StateChangeTime": alarm.state_updated_timestamp.isoformat(),
                "Region": self.region_name,
                "AlarmArn": alarm.alarm_arn,
            }
            try:
                subject = f'{alarm.state_value}: "{alarm.name}" in {self.region_name}'
                sns_backends[self.account_id][self.region_name].publish(
                    json.dumps(message), arn=arn, subject=subject[:100]
                )
            except Exception:
                log.exception("alarm %s: action %s failed", alarm.name, arn)


def install(context: Context) -> None:
    Backend.store = MetricStore(context.data_dir / "cloudwatch" / "metrics.db")
    Backend.store.forget_old(context.clock())
    Backend.context = context
    moto_hooks.replace_backend("cloudwatch", Backend)
    moto_hooks.replace_responses("cloudwatch", Responses)
    moto_hooks.not_supported("cloudwatch", "PutCompositeAlarm")
    moto_hooks.not_supported("cloudwatch", "PutAnomalyDetector")
    threading.Thread(target=_watch, name="alarms", daemon=True).start()


def evaluate_now() -> None:
    """Judge the alarms of every region now and store what changed: for a deployment about to decide."""
    context = Backend.context
    with context.state.lock("cloudwatch"):
        changed = [
            backend.evaluate(context.clock())
            for regions in cloudwatch_backends.values()
            for backend in regions.values()
            if isinstance(backend, Backend)
        ]
        if any(changed):
            context.state.commit("cloudwatch")


def _watch() -> None:
    pause = threading.Event()
    while not pause.wait(EVALUATION_INTERVAL):
        try:
            evaluate_now()
        except Exception:
            log.exception("alarms could not be evaluated")


def _rule(alarm: Alarm) -> Rule:
    return Rule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=int(alarm.evaluation_periods),
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        missing=alarm.treat_missing_data or "missing",
    )


def _reason(rule: Rule, points: list[float | None], state: State) -> tuple[str, str]:
    """The reason in words and as data, worded as CloudWatch words it."""
    real = [point for point in points if point is not None][-rule.evaluation_periods :]
    data = json.dumps({"version": "1.0", "recentDatapoints": real, "threshold": rule.threshold})
    if state == "INSUFFICIENT_DATA":
        return "Insufficient Data: no datapoints were received", data
    relation = {
        "GreaterThanThreshold": "greater than",
        "GreaterThanOrEqualToThreshold": "greater than or equal to",
        "LessThanThreshold": "less than",
        "LessThanOrEqualToThreshold": "less than or equal to",
    }[rule.comparison]
    breaching = sum(COMPARISONS[rule.comparison](point, rule.threshold) for point in real)
    count = breaching if state == "ALARM" else len(real) - breaching
    were = "were" if state == "ALARM" else "were not"
    return (
        f"Threshold Crossed: {count} out of the last {rule.evaluation_periods} datapoints "
        f"{real} {were} {relation} the threshold ({rule.threshold}); missing data is {rule.missing}",
        data,
    )


def _statistics(metric: Metric, bucket: Bucket, stats: list[str]) -> Statistics:
    statistics = Statistics(stats, bucket.start, bucket.unit)
    statistics.metric_data = [
        MetricAggregatedDatum(
            metric.namespace,
            metric.name,
            bucket.minimum,
            bucket.maximum,
            bucket.count,
            bucket.sum,
            metric.api_dimensions(),
            bucket.start,
            bucket.unit,
        )
    ]
    return statistics


def _result(
    query: dict[str, Any], label: str, values: list[Any], timestamps: list[datetime]
) -> dict[str, Any]:
    return {
        "id": query["Id"],
        "label": query.get("Label") or label,
        "values": values,
        "timestamps": timestamps,
        "status_code": "Complete",
    }
