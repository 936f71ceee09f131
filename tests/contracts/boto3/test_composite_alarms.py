"""Composite alarms, expressions, and all that a change of state sets off, through boto3."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.queues import PATIENCE, TestQueue


@pytest.fixture(scope="module")
def cloudwatch(local_aws: Any) -> Any:
    return local_aws.client("cloudwatch")


@pytest.fixture(scope="module")
def sqs(local_aws: Any) -> Any:
    return local_aws.client("sqs")


@pytest.fixture
def name() -> str:
    return f"alarm-{uuid.uuid4().hex[:10]}"


def metric_alarm(cloudwatch: Any, name: str, **options: Any) -> str:
    """An alarm without data, which keeps the state that it is given."""
    described = {
        "Namespace": "Tests",
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **{**described, **options})
    return name


def set_state(cloudwatch: Any, name: str, state: str) -> None:
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"made {state}")


def wait_for(cloudwatch: Any, name: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found: dict[str, Any] = (answer["MetricAlarms"] + answer["CompositeAlarms"])[0]
        if found["StateValue"] == state:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def topic_with_queue(local_aws: Any, sqs: Any, name: str) -> tuple[str, TestQueue]:
    sns, queue = local_aws.client("sns"), TestQueue(sqs)
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"}
    )
    return topic, queue


def test_a_composite_alarm_follows_its_rule_and_acts(
    local_aws: Any, cloudwatch: Any, sqs: Any, name: str
) -> None:
    topic, queue = topic_with_queue(local_aws, sqs, name)
    first, second = (metric_alarm(cloudwatch, f"{name}-{n}") for n in (1, 2))
    rule = f'ALARM("{first}") AND NOT OK({second})'
    cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=rule, AlarmActions=[topic])
    cloudwatch.put_composite_alarm(AlarmName=f"{name}-outer", AlarmRule=f"ALARM({name})")
    wait_for(cloudwatch, name, "OK")
    set_state(cloudwatch, first, "ALARM")
    found = wait_for(cloudwatch, name, "ALARM")
    assert found["AlarmRule"] == rule
    assert f"{first} is ALARM, {second} is INSUFFICIENT_DATA" in found["StateReason"]
    wait_for(cloudwatch, f"{name}-outer", "ALARM")
    (told,) = queue.bodies(1)
    assert (told["AlarmName"], told["AlarmRule"], told["NewStateValue"], told["OldStateValue"]) == (
        name,
        rule,
        "ALARM",
        "OK",
    )
    set_state(cloudwatch, second, "OK")
    wait_for(cloudwatch, f"{name}-outer", "OK")
    shown = cloudwatch.describe_alarms(AlarmNamePrefix=name)  # composite ones only when asked for
    assert ([alarm["AlarmName"] for alarm in shown["MetricAlarms"]], shown["CompositeAlarms"]) == (
        [first, second],
        [],
    )


def test_composite_alarms_that_could_not_be_judged_are_refused(cloudwatch: Any, name: str) -> None:
    metric_alarm(cloudwatch, f"{name}-1")
    put = cloudwatch.put_composite_alarm
    code, message = refusal(put, AlarmName=name, AlarmRule="ALARM(no-such-alarm)")
    assert (code, "[no-such-alarm] in the alarm rule do not exist" in message) == ("ValidationError", True)
    code, message = refusal(put, AlarmName=name, AlarmRule="ALARM(")
    assert (code, "expected the name of an alarm" in message) == ("ValidationError", True)
    put(AlarmName=name, AlarmRule=f"ALARM({name}-1)")
    put(AlarmName=f"{name}-2", AlarmRule=f"ALARM({name})")
    assert "depends on itself" in refusal(put, AlarmName=name, AlarmRule=f"OK({name}-2)")[1]
    assert f"Cannot delete {name}-1" in refusal(cloudwatch.delete_alarms, AlarmNames=[f"{name}-1"])[1]
    cloudwatch.delete_alarms(AlarmNames=[name, f"{name}-1", f"{name}-2"])


def test_a_state_set_by_hand_sets_off_the_topic_the_event_and_the_history(
    local_aws: Any, cloudwatch: Any, sqs: Any, name: str
) -> None:
    topic, notified = topic_with_queue(local_aws, sqs, name)
    events, heard = local_aws.client("events"), TestQueue(sqs)
    events.put_rule(Name=name, EventPattern=json.dumps({"detail": {"alarmName": [name]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": heard.arn}])
    metric_alarm(
        cloudwatch,
        name,
        AlarmDescription="a test",
        Dimensions=[{"Name": "EndpointName", "Value": "churn"}],
        AlarmActions=[topic],
    )
    set_state(cloudwatch, name, "ALARM")
    (told,) = notified.bodies(1)
    arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{name}"
    chosen = ("AlarmName", "AlarmDescription", "AWSAccountId", "NewStateValue", "OldStateValue", "Region")
    assert [told[key] for key in (*chosen, "NewStateReason", "AlarmArn")] == [
        name,
        "a test",
        "123456789012",
        "ALARM",
        "INSUFFICIENT_DATA",
        "US East (N. Virginia)",
        "made ALARM",
        arn,
    ]
    assert told["Trigger"] == {
        "MetricName": name,
        "Namespace": "Tests",
        "StatisticType": "Statistic",
        "Statistic": "SUM",
        "Unit": None,
        "Dimensions": [{"value": "churn", "name": "EndpointName"}],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1.0,
        "TreatMissingData": "ignore",
        "EvaluateLowSampleCountPercentile": "",
    }
    (event,) = heard.bodies(1)
    assert (event["source"], event["detail-type"], event["resources"]) == (
        "aws.cloudwatch",
        "CloudWatch Alarm State Change",
        [arn],
    )
    detail = event["detail"]
    assert (detail["state"]["value"], detail["state"]["reason"]) == ("ALARM", "made ALARM")
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"namespace": "Tests", "name": name, "dimensions": {"EndpointName": "churn"}},
        "period": 60,
        "stat": "Sum",
    }
    items = cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]
    assert [(item["HistoryItemType"], item["HistorySummary"]) for item in reversed(items)] == [
        ("ConfigurationUpdate", f'Alarm "{name}" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"),
        ("Action", f"Successfully executed action {topic}"),
    ]


def test_disabled_actions_stay_silent_but_the_event_comes(
    local_aws: Any, cloudwatch: Any, sqs: Any, name: str
) -> None:
    topic, notified = topic_with_queue(local_aws, sqs, name)
    events, heard = local_aws.client("events"), TestQueue(sqs)
    events.put_rule(Name=name, EventPattern=json.dumps({"detail": {"alarmName": [name]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": heard.arn}])
    metric_alarm(cloudwatch, name, AlarmActions=[topic], ActionsEnabled=False)
    set_state(cloudwatch, name, "ALARM")
    heard.messages(1)
    assert notified.size() == 0


def test_an_alarm_on_an_expression(cloudwatch: Any, name: str) -> None:
    def stat(query: str, metric: str) -> dict[str, Any]:
        named = {"Namespace": "Tests", "MetricName": metric}
        return {
            "Id": query,
            "MetricStat": {"Metric": named, "Period": 60, "Stat": "Sum"},
            "ReturnData": False,
        }

    rate = {"Id": "rate", "Expression": "100 * errors / calls", "ReturnData": True}
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Metrics=[rate, stat("errors", f"{name}-errors"), stat("calls", f"{name}-calls")],
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    wait_for(cloudwatch, name, "OK")
    data = [
        {"MetricName": f"{name}-{what}", "Value": value} for what, value in (("errors", 3), ("calls", 20))
    ]
    cloudwatch.put_metric_data(Namespace="Tests", MetricData=data)
    found = wait_for(cloudwatch, name, "ALARM")
    assert "[15.0] were greater than the threshold (10.0)" in found["StateReason"]


def test_metric_data_of_expressions_and_percentiles(cloudwatch: Any, name: str) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    values = {"MetricName": name, "Timestamp": now, "Values": [float(n) for n in range(1, 101)]}
    cloudwatch.put_metric_data(Namespace="Tests", MetricData=[values])
    span = {"StartTime": now - timedelta(minutes=1), "EndTime": now + timedelta(minutes=1)}

    def stat(query: str, statistic: str) -> dict[str, Any]:
        metric = {"Namespace": "Tests", "MetricName": name}
        return {"Id": query, "MetricStat": {"Metric": metric, "Period": 60, "Stat": statistic}}

    queries = [
        {"Id": "twice", "Expression": "double / 1"},
        {"Id": "double", "Expression": "m * 2", "ReturnData": False},
        stat("m", "Average"),
        stat("p", "p99"),
    ]
    found = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert {one["Id"]: (one["Values"], one["Timestamps"]) for one in found} == {
        "twice": ([101.0], [now]),
        "m": ([50.5], [now]),
        "p": ([99.0], [now]),
    }
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="Tests", MetricName=name, Period=60, ExtendedStatistics=["p50", "p99.9"], **span
    )["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 50.0, "p99.9": 100.0}
    for expression, words in (
        ("SELECT AVG(x) FROM Tests", "is not supported by local AWS"),
        ("RATE(m)", "does not support RATE"),
        ("m + gone", "no such query: gone"),
    ):
        bad = [{"Id": "x", "Expression": expression}, stat("m", "Sum")]
        code, message = refusal(cloudwatch.get_metric_data, MetricDataQueries=bad, **span)
        assert (code, words in message) == ("ValidationError", True), message


def test_what_would_never_act_is_refused(cloudwatch: Any, name: str) -> None:
    action = "arn:aws:automate:us-east-1:ec2:stop"
    code, message = refusal(metric_alarm, cloudwatch=cloudwatch, name=name, AlarmActions=[action])
    assert (code, action in message) == ("ValidationError", True)
    code, _ = refusal(
        cloudwatch.put_composite_alarm,
        AlarmName=name,
        AlarmRule="TRUE",
        ActionsSuppressor="x",
        ActionsSuppressorWaitPeriod=1,
        ActionsSuppressorExtensionPeriod=1,
    )
    assert code == "UnsupportedOperation"


def test_pages_of_alarms_and_of_history(cloudwatch: Any, name: str) -> None:
    for n in range(5):
        metric_alarm(cloudwatch, f"{name}-{n}")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["MetricAlarms"]) for page in pages] == [2, 2, 1]
    for state in ("ALARM", "OK", "ALARM"):
        set_state(cloudwatch, f"{name}-0", state)
    pages = cloudwatch.get_paginator("describe_alarm_history").paginate(
        AlarmName=f"{name}-0",
        HistoryItemType="StateUpdate",
        ScanBy="TimestampAscending",
        PaginationConfig={"PageSize": 2},
    )
    summaries = [[item["HistorySummary"] for item in page["AlarmHistoryItems"]] for page in pages]
    assert summaries == [
        ["Alarm updated from INSUFFICIENT_DATA to ALARM", "Alarm updated from ALARM to OK"],
        ["Alarm updated from OK to ALARM"],
    ]


def test_composite_alarms_survive_a_kill(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    cloudwatch = aws.client("cloudwatch")
    metric_alarm(cloudwatch, "child")
    cloudwatch.put_composite_alarm(AlarmName="parent", AlarmRule="ALARM(child)")
    set_state(cloudwatch, "child", "ALARM")
    wait_for(cloudwatch, "parent", "ALARM")
    aws.restart(kill=True)
    wait_for(cloudwatch, "parent", "ALARM")
    set_state(cloudwatch, "child", "OK")
    wait_for(cloudwatch, "parent", "OK")
