"""moto's CloudWatch over the metric store, and the clock that evaluates the alarms."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from moto.cloudwatch.exceptions import InvalidParameterValue, ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatumBase, cloudwatch_backends

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.cloudwatch import changes, composite, data
from local_aws.services.cloudwatch.alarms import COMPARISONS, EXTRA_PERIODS, Rule, judge
from local_aws.services.cloudwatch.metrics import Metric, MetricStore

log = logging.getLogger(__name__)

EVALUATION_INTERVAL = 2.0  # seconds; AWS evaluates each minute
UNCHECKED = "Unchecked: Initial alarm creation"


class Backend(CloudWatchBackend):
    """One region. Metrics live in `store`; alarms and dashboards in the snapshot, as moto has them."""

    store: ClassVar[MetricStore]
    context: ClassVar[Context]

    def put_metric_alarm(self, **arguments: Any) -> Alarm:
        """As moto, but refuses what would never be evaluated. An update keeps the state, as on AWS."""
        name = arguments["name"]
        if arguments.get("rule"):
            self._check_composite(name, arguments["rule"])
        else:
            self._check_metric(name, arguments)
        for kind in ("alarm_actions", "ok_actions", "insufficient_data_actions"):
            for arn in arguments.get(kind) or []:
                if arn.split(":")[2:3] not in [[service] for service in changes.ACTIONS]:
                    raise ValidationError(f"Alarm {name}: local AWS does not support the action {arn}")
        previous = self.alarms.get(name)
        alarm = super().put_metric_alarm(**arguments)
        if previous is not None:
            alarm.history = previous.history
            alarm.state_value, alarm.state_reason = previous.state_value, previous.state_reason
            alarm.state_reason_data = previous.state_reason_data
            alarm.state_updated_timestamp = previous.state_updated_timestamp
        else:
            alarm.state_value, alarm.state_reason = "INSUFFICIENT_DATA", UNCHECKED
        done = "created" if previous is None else "updated"
        now = self.context.clock()
        changes.record(alarm, now, "ConfigurationUpdate", f'Alarm "{name}" {done}', {"version": "1.0"})
        return alarm

    def delete_alarms(self, alarm_names: list[str]) -> None:
        for alarm in self.alarms.values():
            read = composite.parse(alarm.rule).alarms if alarm.rule else frozenset()
            if alarm.name not in alarm_names and (kept := read & set(alarm_names)):
                raise ValidationError(
                    f"Cannot delete {', '.join(sorted(kept))} as there are composite alarm(s) depending "
                    f"on it: {alarm.name}"
                )
        super().delete_alarms(alarm_names)

    def set_alarm_state(self, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """As moto, and all that belongs to a change of state. The next evaluation judges anew, as on AWS."""
        if alarm_name not in self.alarms or state_value not in composite.STATES:
            super().set_alarm_state(alarm_name, reason, reason_data, state_value)  # which refuses it
            return
        self._change(self.alarms[alarm_name], state_value, reason, reason_data or "")
        self._evaluate_composites()

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        for number, datum in enumerate(metric_data, start=1):
            self._validate_parameters_put_metric_data(datum, number)
        self.store.put(self.region_name, namespace, metric_data, self.context.clock())

    def metric_statistics(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """GetMetricStatistics, with the API's parameters."""
        start, end = data.utc(parameters["StartTime"]), data.utc(parameters["EndTime"])
        if start >= end:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        return data.statistics(
            self.store,
            self.region_name,
            Metric.of(parameters["Namespace"], parameters["MetricName"], parameters.get("Dimensions") or ()),
            parameters.get("Statistics") or (),
            parameters.get("ExtendedStatistics") or (),
            int(parameters["Period"]),
            parameters.get("Unit"),
            start,
            end,
        )

    def get_metric_data(
        self,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        if start_time >= end_time:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        results = []
        for query, label, series in data.metric_data(
            self.store, self.region_name, queries, data.utc(start_time), data.utc(end_time)
        ):
            if query.get("ReturnData", True):
                points = list(series.items())
                if scan_by == "TimestampDescending":
                    points.reverse()
                results.append(
                    {
                        "id": query["Id"],
                        "label": label,
                        "values": [value for _, value in points],
                        "timestamps": [moment for moment, _ in points],
                        "status_code": "Complete",
                    }
                )
        return results

    def get_all_metrics(self) -> list[MetricDatumBase]:
        """One datum a metric: what ListMetrics needs."""
        stored = [
            MetricDatumBase(metric.namespace, metric.name, metric.api_dimensions(), None)
            for metric in self.store.names(self.region_name)
        ]
        return stored + self.aws_metric_data

    def evaluate(self, now: datetime) -> bool:
        """Judge every alarm, composite ones after those they read; return whether any changed its state."""
        changed = False
        for alarm in [alarm for alarm in self.alarms.values() if not alarm.rule]:
            rule = _rule(alarm)
            points = self._points(alarm, rule, now)
            state = judge(rule, points, alarm.state_value)
            if state != alarm.state_value:
                changed = True
                self._change(alarm, state, *_reason(alarm, rule, points, state, now))
        return self._evaluate_composites() or changed

    def _evaluate_composites(self) -> bool:
        """A composite alarm may read another one: until nothing changes any more."""
        rounds = 0
        while rounds <= len(self.alarms) and self._evaluate_composites_once():
            rounds += 1
        return rounds > 0

    def _evaluate_composites_once(self) -> bool:
        states = {name: str(alarm.state_value) for name, alarm in self.alarms.items()}
        changed = False
        for alarm in [alarm for alarm in self.alarms.values() if alarm.rule]:
            rule = composite.parse(alarm.rule)
            state = "ALARM" if rule.holds(states) else "OK"
            if state != alarm.state_value:
                changed = True
                reading = ", ".join(f"{name} is {states[name]}" for name in sorted(rule.alarms))
                arns = [{"arn": self.alarms[name].alarm_arn, "state": {"value": states[name]}}
                        for name in sorted(rule.alarms)]  # fmt: skip
                reason = f"The rule {alarm.rule} is {'true' if state == 'ALARM' else 'false'}: {reading}"
                self._change(alarm, state, reason, json.dumps({"triggeringAlarms": arns}))
        return changed

    def _points(self, alarm: Alarm, rule: Rule, now: datetime) -> list[float | None]:
        """The data points of the evaluation range, oldest first."""
        queries = data.alarm_queries(alarm)
        period = data.period_of(queries) if queries else int(alarm.period)
        running = int(now.timestamp()) // period * period
        last = running if rule.counts_running_period else running - period
        starts = [last - period * back for back in reversed(range(rule.evaluation_periods + EXTRA_PERIODS))]
        first = datetime.fromtimestamp(starts[0], now.tzinfo)
        end = datetime.fromtimestamp(last + period, now.tzinfo)
        if queries:
            results = data.metric_data(self.store, self.region_name, queries, first, end)
            (series,) = [series for query, _, series in results if query["ReturnData"]]
        else:
            dimensions = tuple(sorted((d.name, d.value) for d in alarm.dimensions))
            metric = Metric(alarm.namespace, alarm.metric_name, dimensions)
            statistic = alarm.statistic or alarm.extended_statistic or "Average"
            stat = {"Stat": statistic, "Period": period, "Unit": alarm.unit}
            series = data.series(self.store, self.region_name, metric, stat, first, end)
        found = {int(moment.timestamp()): value for moment, value in series.items()}
        return [found.get(start) for start in starts]

    def _change(self, alarm: Alarm, state: str, reason: str, reason_data: str) -> None:
        changes.change(self.context, self.account_id, alarm, state, reason, reason_data)

    def _check_metric(self, name: str, arguments: Mapping[str, Any]) -> None:
        if arguments.get("threshold_metric_id"):
            raise ValidationError(
                f"Alarm {name}: ThresholdMetricId (anomaly detection) is not supported by local AWS"
            )
        if arguments["comparison_operator"] not in COMPARISONS:
            raise ValidationError(
                f"Alarm {name}: ComparisonOperator {arguments['comparison_operator']} is not supported by "
                f"local AWS, which has {', '.join(COMPARISONS)}"
            )
        if queries := arguments.get("metric_data_queries"):
            returned = [query for query in queries if query.return_data is not False]
            if len(returned) != 1:
                raise ValidationError(
                    f"Alarm {name}: exactly one element of Metrics must have ReturnData, not {len(returned)}"
                )
            probe = type("Probe", (), {"metric_data_queries": queries})
            now = self.context.clock()
            data.metric_data(self.store, self.region_name, data.alarm_queries(probe), now, now)

    def _check_composite(self, name: str, rule: str) -> None:
        try:
            read = composite.parse(rule).alarms
        except composite.InvalidRule as error:
            raise ValidationError(f"Alarm {name}: {error}") from None
        if missing := read - self.alarms.keys():
            raise ValidationError(
                f"Could not save the composite alarm as alarms [{', '.join(sorted(missing))}] "
                "in the alarm rule do not exist"
            )
        reached, waiting = set(), list(read)
        while waiting:
            one = waiting.pop()
            if one == name:
                raise ValidationError(f"Alarm {name}: its rule depends on itself, which local AWS refuses")
            if one not in reached and self.alarms[one].rule:
                waiting += composite.parse(self.alarms[one].rule or "").alarms
            reached.add(one)


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


def install(context: Context) -> None:
    from local_aws.services.cloudwatch.responses import Responses

    Backend.store = MetricStore(context.data_dir / "cloudwatch" / "metrics.db")
    Backend.store.forget_old(context.clock())
    Backend.context = context
    moto_hooks.replace_backend("cloudwatch", Backend)
    moto_hooks.replace_responses("cloudwatch", Responses)
    moto_hooks.not_supported("cloudwatch", "PutAnomalyDetector")
    threading.Thread(target=_watch, name="alarms", daemon=True).start()


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


def _reason(
    alarm: Alarm, rule: Rule, points: list[float | None], state: str, now: datetime
) -> tuple[str, str]:
    """The reason in words and as data, worded as CloudWatch words it."""
    real = [point for point in points if point is not None][-rule.evaluation_periods :]
    described = {
        "version": "1.0",
        "queryDate": now.isoformat(timespec="milliseconds"),
        "statistic": alarm.statistic or alarm.extended_statistic,
        "period": alarm.period,
        "recentDatapoints": real,
        "threshold": rule.threshold,
    }
    reason_data = json.dumps({name: value for name, value in described.items() if value is not None})
    if state == "INSUFFICIENT_DATA":
        return "Insufficient Data: no datapoints were received", reason_data
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
        reason_data,
    )
