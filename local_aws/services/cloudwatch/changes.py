"""What happens when an alarm changes its state: history, actions and the event on the default bus.

Shapes, at docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/: the notification of SNS
(Notify_Users_Alarm_Changes.html), the event of a function (alarms-and-actions-Lambda.html) and of EventBridge
(cloudwatch-and-eventbridge.html).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.cloudwatch.models import Alarm

from local_aws.context import Context
from local_aws.services import delivery, events

ACTIONS = ("sns", "lambda")  # what an alarm may do here
MOST_HISTORY = 1000  # items an alarm


def change(context: Context, account: str, alarm: Alarm, state: str, reason: str, data: str) -> None:
    """Set an alarm's state; when it is another one, tell everybody. The caller commits."""
    before = {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": _time(alarm.state_updated_timestamp),
    }
    now = context.clock()
    alarm.state_reason, alarm.state_reason_data = reason, data
    alarm.state_value, alarm.state_updated_timestamp = state, now
    if before["value"] == state:
        return
    after = {"value": state, "reason": reason, "reasonData": data, "timestamp": _time(now)}
    record(
        alarm,
        now,
        "StateUpdate",
        f"Alarm updated from {before['value']} to {state}",
        {
            "version": "1.0",
            "oldState": {"stateValue": before["value"], "stateReason": before["reason"]},
            "newState": {"stateValue": state, "stateReason": reason, "stateReasonData": _loaded(data)},
        },
    )
    told = {
        "alarmName": alarm.name,
        "state": _given(after),
        "previousState": _given(before),
        "configuration": _configuration(alarm),
    }
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[state]
    if alarm.actions_enabled and actions:
        delivery.add(_delivery(account, alarm, arn, before["value"], told, now) for arn in actions)
        for arn in actions:
            record(alarm, now, "Action", f"Successfully executed action {arn}", {"notificationResource": arn})
    events.emit(
        context,
        "aws.cloudwatch",
        "CloudWatch Alarm State Change",
        told,
        [alarm.alarm_arn],
        region=alarm.region_name,
    )


def record(alarm: Alarm, now: datetime, kind: str, summary: str, data: Mapping[str, Any]) -> None:
    """One item of DescribeAlarmHistory."""
    alarm.history.append(
        {
            "AlarmName": alarm.name,
            "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
            "Timestamp": now,
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data),
        }
    )
    del alarm.history[:-MOST_HISTORY]


def _delivery(
    account: str, alarm: Alarm, arn: str, before: str, told: Mapping[str, Any], now: datetime
) -> delivery.Delivery:
    if arn.split(":")[2] == "lambda":
        body: dict[str, Any] = {
            "source": "aws.cloudwatch",
            "alarmArn": alarm.alarm_arn,
            "accountId": account,
            "time": _time(now),
            "region": alarm.region_name,
            "alarmData": told,
        }
        return delivery.Delivery(arn, json.dumps(body), alarm.alarm_arn)
    place = region_name(alarm.region_name)
    body = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _time(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _time(now),
        "Region": place,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }
    if alarm.rule:
        body["AlarmRule"] = alarm.rule
    else:
        body["Trigger"] = _trigger(alarm)
    subject = f'{alarm.state_value}: "{alarm.name}" in {place}'
    return delivery.Delivery(arn, json.dumps(body), alarm.alarm_arn, {"subject": subject[:100]})


def _trigger(alarm: Alarm) -> dict[str, Any]:
    trigger: dict[str, Any] = {
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.datapoints_to_alarm:
        trigger["DatapointsToAlarm"] = alarm.datapoints_to_alarm
    if alarm.metric_data_queries:
        return trigger | {"Metrics": [_query(query) for query in alarm.metric_data_queries]}
    extended = {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
    plain = {"StatisticType": "Statistic", "Statistic": str(alarm.statistic).upper()}
    return (
        {"MetricName": alarm.metric_name, "Namespace": alarm.namespace}
        | (extended if alarm.extended_statistic else plain)
        | {
            "Unit": alarm.unit,
            "Dimensions": [{"value": d.value, "name": d.name} for d in alarm.dimensions],
        }
        | trigger
    )


def _configuration(alarm: Alarm) -> dict[str, Any]:
    described = _given({"description": alarm.description})
    if alarm.rule:
        return described | {"alarmRule": alarm.rule}
    if alarm.metric_data_queries:
        return described | {"metrics": [_query(query) for query in alarm.metric_data_queries]}
    metric = {
        "namespace": alarm.namespace,
        "name": alarm.metric_name,
        "dimensions": {dimension.name: dimension.value for dimension in alarm.dimensions},
    }
    stat = {
        "metric": metric,
        "period": alarm.period,
        "stat": alarm.extended_statistic or alarm.statistic,
        "unit": alarm.unit,
    }
    return described | {"metrics": [{"id": "m1", "metricStat": _given(stat), "returnData": True}]}


def _query(query: Any) -> dict[str, Any]:
    """One of the queries of an alarm on an expression."""
    stat = query.metric_stat
    found = None if stat is None else {
        "metric": {
            "namespace": stat.metric.namespace,
            "name": stat.metric.metric_name,
            "dimensions": {dimension.name: dimension.value for dimension in stat.metric.dimensions or []},
        },
        "period": int(stat.period),
        "stat": stat.stat,
    }  # fmt: skip
    return _given(
        {
            "id": query.id,
            "label": query.label,
            "expression": query.expression,
            "metricStat": found,
            "returnData": query.return_data is not False,
        }
    )


@functools.cache
def region_name(region: str) -> str:
    """ "us-east-1" -> "US East (N. Virginia)", as notifications say it."""
    from botocore.session import get_session

    for partition in get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _loaded(data: str) -> Any:
    try:
        return json.loads(data)
    except (TypeError, ValueError):
        return None
