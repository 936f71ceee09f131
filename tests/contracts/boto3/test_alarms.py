"""CloudWatch through boto3: statistics of what was put, alarms that ring and tell."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

PATIENCE = 30.0


@pytest.fixture
def cloudwatch(local_aws: Any) -> Any:
    return local_aws.client("cloudwatch")


@pytest.fixture
def endpoint() -> str:
    return f"endpoint-{uuid.uuid4().hex[:8]}"


def dimensions(endpoint: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]


def put_errors(cloudwatch: Any, endpoint: str, value: float) -> None:
    datum = {"MetricName": "Invocation5XXErrors", "Dimensions": dimensions(endpoint), "Value": value}
    cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])


def put_alarm(cloudwatch: Any, endpoint: str, **options: Any) -> str:
    cloudwatch.put_metric_alarm(
        AlarmName=endpoint,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=dimensions(endpoint),
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        **{
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            **options,
        },
    )
    return endpoint


def wait_for(cloudwatch: Any, alarm: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        found: dict[str, Any] = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        if found["StateValue"] == state:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_an_alarm_rings_when_its_metric_crosses_the_threshold(cloudwatch: Any, endpoint: str) -> None:
    alarm = put_alarm(cloudwatch, endpoint)
    wait_for(cloudwatch, alarm, "OK")
    put_errors(cloudwatch, endpoint, 1)
    found = wait_for(cloudwatch, alarm, "ALARM")
    assert found["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [1.0]")
    history = cloudwatch.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")
    summaries = [item["HistorySummary"] for item in history["AlarmHistoryItems"]]
    assert "Alarm updated from OK to ALARM" in summaries


def test_an_alarm_tells_its_topic(cloudwatch: Any, local_aws: Any, endpoint: str) -> None:
    sns, sqs = local_aws.client("sns"), local_aws.client("sqs")
    topic = sns.create_topic(Name=endpoint)["TopicArn"]
    queue = sqs.create_queue(QueueName=endpoint)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm = put_alarm(cloudwatch, endpoint, AlarmActions=[topic])
    wait_for(cloudwatch, alarm, "OK")
    put_errors(cloudwatch, endpoint, 3)
    wait_for(cloudwatch, alarm, "ALARM")
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["AlarmName"], told["OldStateValue"], told["NewStateValue"]) == (alarm, "OK", "ALARM")


def test_a_state_may_be_set_by_hand(cloudwatch: Any, endpoint: str) -> None:
    alarm = put_alarm(cloudwatch, endpoint, TreatMissingData="ignore")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")
    found = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
    assert (found["StateValue"], found["StateReason"]) == ("ALARM", "a drill")


def test_statistics_of_values_and_of_statistic_sets(cloudwatch: Any, endpoint: str) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    common = {"MetricName": "ModelLatency", "Dimensions": dimensions(endpoint), "Timestamp": now}
    sets = {"SampleCount": 3, "Sum": 9, "Minimum": 2, "Maximum": 4}
    cloudwatch.put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[{**common, "Values": [10, 20], "Counts": [1, 2]}, {**common, "StatisticValues": sets}],
    )
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=dimensions(endpoint),
        StartTime=now - timedelta(minutes=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum", "Average"],
    )["Datapoints"]
    assert point["Timestamp"] == now
    assert {name: point[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum")} == {
        "SampleCount": 6,
        "Sum": 59,
        "Minimum": 2,
        "Maximum": 20,
    }
    assert point["Average"] == pytest.approx(59 / 6)


def test_what_would_never_be_evaluated_is_refused(cloudwatch: Any, endpoint: str) -> None:
    with pytest.raises(ClientError) as error:
        put_alarm(cloudwatch, endpoint, ComparisonOperator="GreaterThanUpperThreshold")
    assert "is not supported by local AWS" in error.value.response["Error"]["Message"]


def test_metrics_and_alarms_survive_a_kill(new_local_aws: Callable[[], Any], endpoint: str) -> None:
    aws = new_local_aws()
    cloudwatch = aws.client("cloudwatch")
    alarm = put_alarm(cloudwatch, endpoint)
    put_errors(cloudwatch, endpoint, 2)
    wait_for(cloudwatch, alarm, "ALARM")
    aws.restart(kill=True)
    wait_for(cloudwatch, alarm, "ALARM")
    found = cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors")["Metrics"]
    assert [metric["Dimensions"] for metric in found] == [dimensions(endpoint)]
