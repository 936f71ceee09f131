"""Queues as the place where tests see what was delivered."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

PATIENCE = 120.0


class TestQueue:
    """A queue of its own name. arn: for targets. messages(n): the first n that arrive."""

    __test__ = False

    def __init__(self, sqs: Any, name: str = "", **attributes: str) -> None:
        self._sqs = sqs
        self.name = name or f"q-{uuid.uuid4().hex[:12]}" + (".fifo" if "FifoQueue" in attributes else "")
        self.url = sqs.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn: str = found["Attributes"]["QueueArn"]

    def messages(self, count: int) -> list[dict[str, Any]]:
        """Wait for `count` messages and delete them. More than that stay."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages came: {found}"
            answer = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(10, count - len(found)),
                WaitTimeSeconds=5,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            for message in answer.get("Messages", []):
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
        return found

    def bodies(self, count: int) -> list[Any]:
        return [json.loads(message["Body"]) for message in self.messages(count)]

    def size(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)
