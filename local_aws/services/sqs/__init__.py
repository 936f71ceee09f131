"""SQS: moto's queues, made durable, with long polls that hold nobody up and expiry that removes messages.

Messages, their visibility, receive counts and deduplication are in the snapshot, which is written before a
request is answered. It holds all queues: a request costs more the more messages wait.
"""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

from moto.core.utils import unix_time
from moto.sqs.models import Message, SQSBackend

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.sqs.metrics import Gauges

LOOK_SECONDS = 0.5  # how late a long poll may see a message whose visibility timeout or delay has passed
MOST_DELETED = 10_000  # receipt handles of deleted messages that a queue remembers

_arrived = threading.Condition()


class Backend(SQSBackend):
    context: ClassVar[Context]

    def send_message(self, *args: Any, **kwargs: Any) -> Message:
        message = super().send_message(*args, **kwargs)
        with _arrived:
            _arrived.notify_all()
        return message

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        """As moto, but a long poll takes the lock for each look only, and what it changed is on disk: what
        was received, what went to the dead letters, what was too old."""
        state = self.context.state
        deadline = time.monotonic() + wait_seconds_timeout
        while True:
            with state.lock("sqs"):
                queue: Any = self.get_queue(queue_name)
                waiting = len(queue._messages)
                self._expire(queue_name)
                found = super().receive_message(
                    queue_name, count, 0, visibility_timeout, message_attribute_names
                )
                if found or len(queue._messages) != waiting:
                    state.commit("sqs")
            if found:
                return found
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return []
            with _arrived:
                _arrived.wait(min(remaining, LOOK_SECONDS))

    def delete_message(self, queue_name: str, receipt_handle: str) -> None:
        super().delete_message(queue_name, receipt_handle)
        deleted = self.get_queue(queue_name).deleted_messages
        if len(deleted) > MOST_DELETED:
            deleted.clear()

    def _expire(self, queue_name: str) -> None:
        """Past their retention period messages are gone. moto keeps them, and stops at the first."""
        queue: Any = self.get_queue(queue_name)
        oldest = (unix_time() - queue.message_retention_period) * 1000
        for message in [m for m in queue._messages if m.sent_timestamp <= oldest]:
            queue._messages.remove(message)
            queue.pending_messages.discard(message)


def install(context: Context) -> None:
    Backend.context = context
    moto_hooks.replace_backend("sqs", Backend)
    # moto counts the visible messages of a queue with every message it sends, and asks a slow clock for each.
    visible = property(lambda message: time.time() * 1000 > message.visible_at)
    delayed = property(lambda message: time.time() * 1000 < message.delayed_until)
    moto_hooks.replace_attribute("sqs", "Message", "visible", visible)
    moto_hooks.replace_attribute("sqs", "Message", "delayed", delayed)


def resume(context: Context) -> None:
    Gauges(context).start()
