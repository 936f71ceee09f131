"""A function that rules, topics, buckets, alarms and log events call: each with the event that AWS writes.

The function gives its event back; a destination puts it, with what it was called with, into a queue.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

import pytest

from tests.contracts.boto3.queues import TestQueue

CODE = "def handler(event, context):\n    return event\n"


@pytest.fixture(scope="module")
def called(local_aws: Any) -> tuple[str, TestQueue]:
    """ARN of the function, and the queue with what it was called with."""
    functions, queue = local_aws.client("lambda"), TestQueue(local_aws.client("sqs"))
    name = f"echo-{uuid.uuid4().hex[:10]}"
    role = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", CODE)
    arn = functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=role,
        Handler="index.handler",
        Timeout=60,
        Code={"ZipFile": buffer.getvalue()},
    )["FunctionArn"]
    functions.put_function_event_invoke_config(
        FunctionName=name,
        DestinationConfig={
            "OnSuccess": {"Destination": queue.arn},
            "OnFailure": {"Destination": queue.arn},
        },
    )
    return arn, queue


def event_of(queue: TestQueue) -> Any:
    (record,) = queue.bodies(1)
    assert record["requestContext"]["condition"] == "Success", record
    return record["responsePayload"]


def test_a_rule(local_aws: Any, called: tuple[str, TestQueue]) -> None:
    arn, queue = called
    events, source = local_aws.client("events"), f"test.{uuid.uuid4().hex[:10]}"
    events.put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule=source, Targets=[{"Id": "1", "Arn": arn}])
    events.put_events(Entries=[{"Source": source, "DetailType": "t", "Detail": '{"n": 1}'}])
    event = event_of(queue)
    assert (event["source"], event["detail-type"], event["detail"]) == (source, "t", {"n": 1})


def test_a_topic(local_aws: Any, called: tuple[str, TestQueue]) -> None:
    arn, queue = called
    sns = local_aws.client("sns")
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:10]}")["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn, ReturnSubscriptionArn=True)
    attribute = {"DataType": "String", "StringValue": "v"}
    sns.publish(TopicArn=topic, Message="hello", Subject="s", MessageAttributes={"a": attribute})
    (record,) = event_of(queue)["Records"]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == subscription["SubscriptionArn"]
    told = record["Sns"]
    assert {key: told[key] for key in ("Type", "TopicArn", "Subject", "Message", "MessageAttributes")} == {
        "Type": "Notification",
        "TopicArn": topic,
        "Subject": "s",
        "Message": "hello",
        "MessageAttributes": {"a": {"Type": "String", "Value": "v"}},
    }
    assert {"SigningCertUrl", "UnsubscribeUrl", "Signature", "Timestamp", "MessageId"} <= told.keys()


def test_a_bucket(local_aws: Any, called: tuple[str, TestQueue]) -> None:
    arn, queue = called
    s3, bucket = local_aws.client("s3"), f"bucket-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=bucket)
    configuration = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
    )
    s3.put_object(Bucket=bucket, Key="a.csv", Body=b"x")
    (record,) = event_of(queue)["Records"]
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectCreated:Put", "a.csv")


def test_an_alarm(local_aws: Any, called: tuple[str, TestQueue]) -> None:
    arn, queue = called
    cloudwatch, name = local_aws.client("cloudwatch"), f"alarm-{uuid.uuid4().hex[:10]}"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Tests",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[arn],
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    event = event_of(queue)
    assert (event["source"], event["accountId"], event["region"]) == (
        "aws.cloudwatch",
        "123456789012",
        "us-east-1",
    )
    assert event["alarmArn"].endswith(f":alarm:{name}")
    data = event["alarmData"]
    assert (data["alarmName"], data["state"]["value"], data["state"]["reason"]) == (name, "ALARM", "a drill")
    assert data["previousState"]["value"] == "INSUFFICIENT_DATA"
