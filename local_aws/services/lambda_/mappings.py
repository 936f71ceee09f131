"""Event source mappings: queues are polled, a batch is one synchronous invocation, what succeeded is deleted.

What failed stays in the queue: it becomes visible again after the queue's visibility timeout, and the queue's
redrive policy moves it to the dead-letter queue in the end. Nothing of a poller needs to survive a restart.
"""

from __future__ import annotations

import base64
import json
import logging
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from moto.awslambda.models import EventSourceMapping, lambda_backends
from moto.sqs.models import Message, sqs_backends

from local_aws.context import Context
from local_aws.services.lambda_.errors import NoSuchFunction, TooManyRequests
from local_aws.services.lambda_.invocations import Invocations
from local_aws.services.lambda_.outcomes import Outcome

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RECEIVE_LIMIT = 10  # messages of one ReceiveMessage
PARALLEL_BATCHES = 5  # what Lambda begins with for a queue


@dataclass
class Batch:
    """Messages received and not yet handed over; `since` in monotonic seconds."""

    since: float
    messages: list[Message] = field(default_factory=list)


class Poller:
    def __init__(self, context: Context, invocations: Invocations) -> None:
        self._context = context
        self._invocations = invocations
        self._batches: dict[str, Batch] = {}
        self._under_way: Counter[str] = Counter()

    def run(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            with self._context.state.lock("awslambda"):
                backends = [backend for _, _, backend in lambda_backends.iter_backends()]
                mappings = [
                    mapping for backend in backends for mapping in backend._event_source_mappings.values()
                ]
            for mapping in mappings:
                try:
                    while mapping.enabled and self._round(mapping):
                        pass
                except Exception:
                    log.exception("event source mapping %s: this round failed", mapping.uuid)

    def _round(self, mapping: EventSourceMapping) -> bool:
        """Receive and hand over one batch; False when there is nothing more to do now."""
        parallel = int((mapping.scaling_config or {}).get("MaximumConcurrency", PARALLEL_BATCHES))
        if mapping.event_source_arn.endswith(".fifo"):
            parallel = 1  # the order of a group is kept
        try:
            function = lambda_backends[mapping.account_id][mapping.region].get_function(mapping.function_arn)
        except NoSuchFunction:
            return False
        if self._under_way[mapping.uuid] >= parallel or not self._invocations.has_room(function):
            return False
        batch = self._batches.setdefault(mapping.uuid, Batch(time.monotonic()))
        if not batch.messages:
            batch.since = time.monotonic()
        self._receive(mapping, batch)
        window = mapping.max_batch_window or 0
        complete = len(batch.messages) >= mapping.batch_size or time.monotonic() - batch.since >= window
        if not batch.messages or not complete:
            return False
        del self._batches[mapping.uuid]
        payload = json.dumps({"Records": [_record(mapping, message) for message in batch.messages]})
        self._under_way[mapping.uuid] += 1
        try:
            self._invocations.start(
                function,
                mapping.function_arn,
                payload.encode(),
                str(uuid.uuid4()),
                lambda outcome: self._done(mapping, batch.messages, outcome),
            )
        except (TooManyRequests, RuntimeError):  # visible again after their timeout
            self._under_way[mapping.uuid] -= 1
            return False
        return True

    def _receive(self, mapping: EventSourceMapping, batch: Batch) -> None:
        _, _, _, region, account, name = mapping.event_source_arn.split(":", 5)
        sqs = sqs_backends[account][region]
        with self._context.state.lock("sqs"):
            queue = sqs.queues.get(name)
            while queue is not None and queue.messages and len(batch.messages) < mapping.batch_size:
                count = min(RECEIVE_LIMIT, mapping.batch_size - len(batch.messages))
                received = sqs.receive_message(name, count, 0, int(queue.visibility_timeout or 0), ["All"])
                batch.messages += received
                self._context.state.commit("sqs")
                if not received:
                    return

    def _done(self, mapping: EventSourceMapping, messages: list[Message], outcome: Outcome) -> None:
        self._under_way[mapping.uuid] -= 1
        failed = failed_items(mapping, [message.id for message in messages], outcome)
        _, _, _, region, account, name = mapping.event_source_arn.split(":", 5)
        with self._context.state.lock("sqs"):
            sqs = sqs_backends[account][region]
            if name not in sqs.queues:
                return
            for message in messages:
                if message.id not in failed:
                    sqs.delete_message(name, str(message.receipt_handle))
            self._context.state.commit("sqs")


def failed_items(mapping: EventSourceMapping, ids: list[str], outcome: Outcome) -> set[str]:
    """Ids of the messages that failed; all of them when the function did, or when its answer is no answer.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if outcome.function_error is not None:
        return set(ids)
    if "ReportBatchItemFailures" not in (mapping.function_response_types or []):
        return set()
    try:
        answer = json.loads(outcome.payload)
        failures = (answer or {}).get("batchItemFailures") or []
        named = {failure["itemIdentifier"] for failure in failures}
    except (ValueError, AttributeError, TypeError, KeyError):
        return set(ids)
    return named if named <= set(ids) else set(ids)


def _record(mapping: EventSourceMapping, message: Message) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": str(message.sender_id),
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    fifo = {
        "SequenceNumber": message.sequence_number,
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.deduplication_id,
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {**attributes, **{name: value for name, value in fifo.items() if value}},
        "messageAttributes": {
            name: _attribute(value) for name, value in (message.message_attributes or {}).items()
        },
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.event_source_arn,
        "awsRegion": mapping.region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if value.get("StringValue") is not None:
        shown["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        binary = value["BinaryValue"]
        shown["binaryValue"] = binary if isinstance(binary, str) else base64.b64encode(binary).decode()
    return shown
