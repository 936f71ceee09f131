"""Rules, queues, topics, subscriptions, alarms and notifications from one template, which then deliver."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.contracts.boto3.queues import TestQueue


def template(name: str) -> dict[str, Any]:
    stat = {"Metric": {"Namespace": "Tests", "MetricName": name}, "Period": 60, "Stat": "Sum"}
    return {
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}},
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": {"Ref": "Topic"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "RawMessageDelivery": True,
                },
            },
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": name,
                    "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
                },
            },
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "Name": name,
                    "EventPattern": {
                        "source": ["aws.s3"],
                        "detail": {"bucket": {"name": [name]}, "object": {"key": [{"prefix": "in/"}]}},
                    },
                    "Targets": [
                        {
                            "Id": "1",
                            "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "InputPath": "$.detail.object.key",
                        }
                    ],
                },
            },
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "AlarmName": name,
                    "Metrics": [
                        {"Id": "twice", "Expression": "2 * m"},
                        {"Id": "m", "MetricStat": stat, "ReturnData": False},
                    ],
                    "EvaluationPeriods": 1,
                    "Threshold": 3,
                    "ComparisonOperator": "GreaterThanThreshold",
                    "TreatMissingData": "ignore",
                    "AlarmActions": [{"Ref": "Topic"}],
                },
            },
        }
    }


def test_a_stack_of_events_delivers_and_goes_away(local_aws: Any) -> None:
    name = f"events-{uuid.uuid4().hex[:10]}"
    formation, sqs = local_aws.client("cloudformation"), local_aws.client("sqs")
    formation.create_stack(StackName=name, TemplateBody=json.dumps(template(name)))
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    queue = TestQueue(sqs, name)
    s3 = local_aws.client("s3")
    for key in ("other/a", "in/b"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    assert queue.bodies(1) == ["in/b"]
    local_aws.client("cloudwatch").put_metric_data(
        Namespace="Tests", MetricData=[{"MetricName": name, "Value": 2}]
    )
    (told,) = queue.bodies(1)
    assert (told["AlarmName"], told["NewStateValue"]) == (name, "ALARM")
    assert "[4.0] were greater than the threshold (3.0)" in told["NewStateReason"]
    for key in ("other/a", "in/b"):
        s3.delete_object(Bucket=name, Key=key)
    formation.delete_stack(StackName=name)
    formation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert local_aws.client("events").list_rules(NamePrefix=name)["Rules"] == []
    assert local_aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
    topics = local_aws.client("sns").get_paginator("list_subscriptions").paginate()
    assert name not in json.dumps([page["Subscriptions"] for page in topics])
