"""Asynchronous invocations and queues as event sources: retried, buried, and not lost."""

from __future__ import annotations

import io
import json
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.pytest_plugin import LocalAws

PATIENCE = 90.0
# Writes one object for each invocation, so that a test can count them; fails where the event says so.
RECORDER = """
    import json, time, uuid
    import boto3

    def handler(event, context):
        s3 = boto3.client("s3")
        body = json.dumps({"event": event, "request": context.aws_request_id})
        s3.put_object(Bucket="{bucket}", Key=f"{name}/{time.time():.3f}-{uuid.uuid4().hex}", Body=body)
        if "wait_for" in event:
            while not s3.list_objects_v2(Bucket="{bucket}", Prefix=event["wait_for"])["KeyCount"]:
                time.sleep(0.1)
        if event.get("fail"):
            raise RuntimeError(event["fail"])
        records = event.get("Records", [])
        bad = [r["messageId"] for r in records if r.get("body") == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": m} for m in bad]} if records else {"done": event}
"""
BUCKET = "recorded"


class Functions:
    """Functions of one local AWS that record their events."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.client, self.s3, self.sqs = (aws.client(name) for name in ("lambda", "s3", "sqs"))
        role = f"functions-{uuid.uuid4().hex[:8]}"
        made = aws.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        self.role = made["Role"]["Arn"]
        self.s3.create_bucket(Bucket=BUCKET)

    def create(self, **options: Any) -> tuple[str, str]:
        """Name and ARN of a new function."""
        name = f"recorder-{uuid.uuid4().hex[:8]}"
        code = textwrap.dedent(RECORDER).replace("{bucket}", BUCKET).replace("{name}", name)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", code)
        made = self.client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=self.role,
            Handler="index.handler",
            Code={"ZipFile": buffer.getvalue()},
            **({"Timeout": 30} | options),
        )
        return name, made["FunctionArn"]

    def queue(self, **attributes: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        url = self.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}", Attributes=attributes)[
            "QueueUrl"
        ]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, found["Attributes"]["QueueArn"]

    def send_event(self, name: str, event: dict[str, Any]) -> str:
        answer = self.client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        return str(answer["ResponseMetadata"]["RequestId"])

    def recorded(self, name: str) -> list[dict[str, Any]]:
        """What the function was invoked with, in order."""
        keys = [
            item["Key"]
            for item in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/").get("Contents", [])
        ]
        return [json.load(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"]) for key in sorted(keys)]

    def messages(self, url: str, count: int) -> list[dict[str, Any]]:
        """Wait for so many messages of a queue, and delete them."""
        found: list[dict[str, Any]] = []

        def receive() -> bool:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                found.append(message)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return len(found) >= count

        eventually(receive)
        return found

    def is_empty(self, url: str) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return all(value == "0" for value in counts.values())


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def functions(local_aws: Any) -> Functions:
    return Functions(local_aws)


def test_an_event_runs_once_and_its_result_goes_to_the_destination(functions: Functions) -> None:
    url, arn = functions.queue()
    name, function_arn = functions.create()
    functions.client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )

    request = functions.send_event(name, {"order": 1})

    (message,) = functions.messages(url, 1)
    record = json.loads(message["Body"])
    assert record["requestContext"] == {
        "requestId": request,
        "functionArn": f"{function_arn}:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert record["requestPayload"] == {"order": 1}
    assert record["responsePayload"] == {"done": {"order": 1}}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert [item["request"] for item in functions.recorded(name)] == [request]


def test_what_fails_for_good_is_buried_with_its_reason(functions: Functions) -> None:
    dead_url, dead_arn = functions.queue()
    record_url, record_arn = functions.queue()
    name, _ = functions.create(DeadLetterConfig={"TargetArn": dead_arn})
    functions.client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": record_arn}},
    )

    request = functions.send_event(name, {"fail": "no such customer"})

    (dead,) = functions.messages(dead_url, 1)
    assert json.loads(dead["Body"]) == {"fail": "no such customer"}
    attributes = {key: value["StringValue"] for key, value in dead["MessageAttributes"].items()}
    assert attributes == {"RequestID": request, "ErrorCode": "200", "ErrorMessage": "no such customer"}
    (failed,) = functions.messages(record_url, 1)
    record = json.loads(failed["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"] == "no such customer"
    assert len(functions.recorded(name)) == 1


def test_a_throttled_event_waits_for_its_turn(functions: Functions) -> None:
    name, _ = functions.create()
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)

    for number in range(3):
        functions.send_event(name, {"number": number})

    eventually(lambda: len(functions.recorded(name)) == 3)
    assert {item["event"]["number"] for item in functions.recorded(name)} == {0, 1, 2}


def test_a_queue_is_read_in_batches_and_emptied(functions: Functions) -> None:
    url, arn = functions.queue()
    name, _ = functions.create()
    entries = [
        {
            "Id": str(number),
            "MessageBody": f"message {number}",
            "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "test"}},
        }
        for number in range(3)
    ]
    functions.sqs.send_message_batch(QueueUrl=url, Entries=entries)

    mapping = functions.client.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=name, BatchSize=10
    )

    eventually(lambda: functions.is_empty(url) and functions.recorded(name))
    (invoked,) = functions.recorded(name)
    records = invoked["event"]["Records"]
    assert sorted(record["body"] for record in records) == ["message 0", "message 1", "message 2"]
    assert {record["eventSource"] for record in records} == {"aws:sqs"}
    assert {record["eventSourceARN"] for record in records} == {arn}
    assert records[0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert records[0]["messageAttributes"]["kind"] == {
        "stringValue": "test",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    functions.client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    functions.sqs.send_message(QueueUrl=url, MessageBody="later")
    assert not functions.is_empty(url)
    functions.client.delete_event_source_mapping(UUID=mapping["UUID"])


def test_only_the_messages_that_failed_come_again_and_end_in_the_dead_letter_queue(
    functions: Functions,
) -> None:
    dead_url, dead_arn = functions.queue()
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = functions.queue(VisibilityTimeout="5", RedrivePolicy=policy)
    name, _ = functions.create(Timeout=5)
    for body in ("good", "bad", "fine"):
        functions.sqs.send_message(QueueUrl=url, MessageBody=body)

    functions.client.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=name, FunctionResponseTypes=["ReportBatchItemFailures"]
    )

    (dead,) = functions.messages(dead_url, 1)
    assert dead["Body"] == "bad"
    eventually(lambda: functions.is_empty(url))
    batches = [item["event"]["Records"] for item in functions.recorded(name)]
    seen = [record["body"] for batch in batches for record in batch]
    assert (seen.count("good"), seen.count("fine"), seen.count("bad")) == (1, 1, 2)


def test_what_a_mapping_cannot_do_is_refused(functions: Functions) -> None:
    _, arn = functions.queue()
    _, hasty = functions.queue(VisibilityTimeout="29")
    name, _ = functions.create()
    stream = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
    for options, code in (
        ({"EventSourceArn": arn.rpartition(":")[0] + ":nowhere"}, "InvalidParameterValueException"),
        ({"EventSourceArn": hasty}, "InvalidParameterValueException"),
        ({"EventSourceArn": arn, "BatchSize": 100}, "InvalidParameterValueException"),
        ({"EventSourceArn": arn, "FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "UnsupportedOperation"),
        ({"EventSourceArn": stream, "StartingPosition": "LATEST"}, "UnsupportedOperation"),
    ):
        with pytest.raises(ClientError) as error:
            functions.client.create_event_source_mapping(FunctionName=name, **options)
        assert error.value.response["Error"]["Code"] == code


def test_a_kill_loses_no_event_and_a_failure_is_retried_twice(
    monkeypatch: pytest.MonkeyPatch, new_local_aws: Callable[[], LocalAws]
) -> None:
    monkeypatch.setenv("LOCAL_AWS_LAMBDA_RETRY_SECONDS", "0.2,0.4")
    aws = new_local_aws()
    functions = Functions(aws)
    dead_url, dead_arn = functions.queue()
    name, _ = functions.create(DeadLetterConfig={"TargetArn": dead_arn}, Timeout=300)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    running = functions.send_event(name, {"wait_for": "go"})
    eventually(lambda: functions.recorded(name))
    waiting = functions.send_event(name, {"fail": "always"})

    aws.restart(kill=True)
    functions.s3.put_object(Bucket=BUCKET, Key="go")

    (dead,) = functions.messages(dead_url, 1)
    assert dead["MessageAttributes"]["ErrorMessage"]["StringValue"] == "always"
    requests = [item["request"] for item in functions.recorded(name)]
    assert requests.count(running) == 1  # adopted, not started again
    assert requests.count(waiting) == 3
    listed = functions.client.list_functions()["Functions"]
    assert [function["FunctionName"] for function in listed] == [name]
