"""What SQS tells CloudWatch of its queues."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends
from moto.sqs.models import sqs_backends

from local_aws.services.sqs.metrics import Gauges

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def told(monkeypatch):
    put: list[Any] = []
    monkeypatch.setattr(
        cloudwatch_backends[ACCOUNT][REGION], "put_metric_data", lambda space, data: put.append((space, data))
    )
    sqs_backends.clear()
    yield put
    sqs_backends.clear()


def test_depth_and_age_of_filled_queues_and_one_zero_when_they_are_empty(told):
    sqs = sqs_backends[ACCOUNT][REGION]
    sqs.create_queue("idle")
    sqs.create_queue("busy")
    message = sqs.send_message("busy", "x")
    message.sent_timestamp -= 30_000
    state = SimpleNamespace(lock=lambda _: contextlib.nullcontext())
    context: Any = SimpleNamespace(state=state, clock=lambda: datetime.now(UTC))
    gauges = Gauges(context)
    gauges.publish()
    ((namespace, data),) = told
    assert namespace == "AWS/SQS"
    assert {datum["Dimensions"][0]["Value"] for datum in data} == {"busy"}
    values = {datum["MetricName"]: datum["Value"] for datum in data}
    assert values.pop("ApproximateAgeOfOldestMessage") == pytest.approx(30, abs=20)
    assert values == {
        "ApproximateNumberOfMessagesVisible": 1.0,
        "ApproximateNumberOfMessagesNotVisible": 0.0,
        "ApproximateNumberOfMessagesDelayed": 0.0,
    }
    sqs.purge_queue("busy")
    for _ in range(2):
        gauges.publish()
    assert [{datum["Value"] for datum in data} for _, data in told[1:]] == [{0.0}]
