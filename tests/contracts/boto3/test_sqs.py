"""SQS through boto3: what must be true of a queue that pipelines rely on."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.boto3.queues import PATIENCE, TestQueue


@pytest.fixture(scope="module")
def sqs(local_aws: Any) -> Any:
    return local_aws.client("sqs")


def receive(sqs: Any, queue: TestQueue, **options: Any) -> list[dict[str, Any]]:
    answer = sqs.receive_message(QueueUrl=queue.url, AttributeNames=["All"], **options)
    return list(answer.get("Messages", []))


def test_a_long_poll_ends_when_a_message_comes_and_holds_nobody_up(local_aws: Any, sqs: Any) -> None:
    queue = TestQueue(sqs)
    received: list[dict[str, Any]] = []
    own = local_aws.client("sqs")
    poll = threading.Thread(target=lambda: received.extend(receive(own, queue, WaitTimeSeconds=20)))
    began = time.monotonic()
    poll.start()
    sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    poll.join(PATIENCE)
    assert [message["Body"] for message in received] == ["x"]
    assert time.monotonic() - began < 20


def test_a_message_that_is_not_deleted_comes_back(sqs: Any) -> None:
    queue = TestQueue(sqs)
    sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    (first,) = receive(sqs, queue, VisibilityTimeout=600)
    assert receive(sqs, queue) == []
    sqs.change_message_visibility(
        QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
    )
    (again,) = receive(sqs, queue, WaitTimeSeconds=20, VisibilityTimeout=1)
    assert (again["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (first["MessageId"], "2")
    (third,) = receive(sqs, queue, WaitTimeSeconds=20)
    assert third["Attributes"]["ApproximateReceiveCount"] == "3"
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=third["ReceiptHandle"])
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=third["ReceiptHandle"])  # as on AWS, no error
    assert queue.size() == 0


def test_a_message_received_too_often_is_redriven(sqs: Any) -> None:
    dead = TestQueue(sqs)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    queue = TestQueue(sqs, RedrivePolicy=policy, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=queue.url, MessageBody="poison")
    assert [len(receive(sqs, queue)) for _ in range(3)] == [1, 1, 0]
    (message,) = dead.messages(1)
    assert message["Body"] == "poison"
    sources = sqs.list_dead_letter_source_queues(QueueUrl=dead.url)["queueUrls"]
    assert [url.rpartition("/")[2] for url in sources] == [queue.name]


def test_fifo_queues_keep_their_order_and_drop_duplicates(sqs: Any) -> None:
    queue = TestQueue(sqs, FifoQueue="true", ContentBasedDeduplication="true")
    for text in ("1", "2", "2", "3"):
        sqs.send_message(QueueUrl=queue.url, MessageBody=text, MessageGroupId="g")
    assert [message["Body"] for message in queue.messages(3)] == ["1", "2", "3"]


def test_messages_past_their_retention_are_gone(sqs: Any) -> None:
    queue = TestQueue(sqs, MessageRetentionPeriod="60")
    sqs.send_message(QueueUrl=queue.url, MessageBody="kept")
    assert queue.size() == 1
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"MessageRetentionPeriod": "0"})
    assert receive(sqs, queue) == []
    assert queue.size() == 0


def test_messages_visibility_and_redrive_survive_a_kill(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    sqs = aws.client("sqs")
    dead = TestQueue(sqs)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    queue = TestQueue(sqs, f"q-{uuid.uuid4().hex[:8]}", RedrivePolicy=policy)
    for text in ("hidden", "deleted", "free"):
        sqs.send_message(QueueUrl=queue.url, MessageBody=text)
    (hidden,) = receive(sqs, queue, VisibilityTimeout=600)
    (deleted,) = receive(sqs, queue)
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=deleted["ReceiptHandle"])
    aws.restart(kill=True)
    (free,) = receive(sqs, queue, MaxNumberOfMessages=10)
    assert (hidden["Body"], deleted["Body"], free["Body"]) == ("hidden", "deleted", "free")
    change = {"QueueUrl": queue.url, "ReceiptHandle": hidden["ReceiptHandle"], "VisibilityTimeout": 0}
    sqs.change_message_visibility(**change)
    (again,) = receive(sqs, queue, VisibilityTimeout=0)
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("hidden", "2")
    assert receive(sqs, queue) == []
    assert [message["Body"] for message in dead.messages(1)] == ["hidden"]


def test_what_an_empty_poll_moved_to_the_dead_letters_survives_a_kill(
    new_local_aws: Callable[[], Any],
) -> None:
    aws = new_local_aws()
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    queue = sqs.create_queue(QueueName="alive", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="too often")
    assert len(sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]) == 1
    assert sqs.receive_message(QueueUrl=queue).get("Messages", []) == []
    aws.kill()
    aws.start()
    sqs = aws.client("sqs")
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=dead)["Messages"]] == ["too often"]
    assert sqs.receive_message(QueueUrl=queue).get("Messages", []) == []
