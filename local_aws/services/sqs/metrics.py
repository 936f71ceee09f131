"""What SQS tells CloudWatch each minute of the queues that hold messages, and once more when one is empty."""

from __future__ import annotations

import logging
import threading
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.sqs.models import sqs_backends

from local_aws.context import Context

log = logging.getLogger(__name__)

ROUND_SECONDS = 60.0


class Gauges:
    """Depths of queues, and the age of their oldest message in seconds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._filled: set[str] = set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="queue metrics", daemon=True).start()

    def publish(self) -> None:
        now = self._context.clock().timestamp()
        with self._context.state.lock("sqs"):
            for account, region, backend in sqs_backends.iter_backends():
                data: list[dict[str, Any]] = []
                for queue in backend.queues.values():
                    if queue._messages or queue.queue_arn in self._filled:
                        data += _gauges(queue, now)
                    (self._filled.add if queue._messages else self._filled.discard)(queue.queue_arn)
                if data:
                    cloudwatch_backends[account][region].put_metric_data("AWS/SQS", data)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(ROUND_SECONDS):
            try:
                self.publish()
            except Exception:
                log.exception("the metrics of queues could not be stored")


def _gauges(queue: Any, now: float) -> list[dict[str, Any]]:
    oldest = min((message.sent_timestamp for message in queue._messages), default=None)
    values = {
        "ApproximateNumberOfMessagesVisible": (queue.approximate_number_of_messages, "Count"),
        "ApproximateNumberOfMessagesNotVisible": (queue.approximate_number_of_messages_not_visible, "Count"),
        "ApproximateNumberOfMessagesDelayed": (queue.approximate_number_of_messages_delayed, "Count"),
        "ApproximateAgeOfOldestMessage": (0 if oldest is None else max(now - oldest / 1000, 0), "Seconds"),
    }
    dimensions = [{"Name": "QueueName", "Value": queue.name}]
    return [
        {"MetricName": name, "Dimensions": dimensions, "Value": float(value), "Unit": unit}
        for name, (value, unit) in values.items()
    ]
