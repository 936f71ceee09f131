"""Deliveries: kept, retried, given up, and none lost or made twice by a kill in between."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.services.delivery import DeadLetter, Delivery, Slot
from local_aws.services.delivery.courier import FIRST_PAUSE, LONGEST_PAUSE, Courier
from local_aws.services.delivery.queue import Queue
from local_aws.services.delivery.targets import Undeliverable, kind

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:dead"


class World:
    """A clock that is set, a target that does as it is told, and what it received."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.folder = folder
        self.received: list[Delivery] = []
        self.committed: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.courier = self.new_courier()

    def new_courier(self) -> Courier:
        state = SimpleNamespace(lock=lambda _: contextlib.nullcontext(), commit=self.committed.append)
        context: Any = SimpleNamespace(clock=lambda: self.now, state=state)
        return Courier(context, Queue(self.folder / "deliveries.sqlite"), self.send)

    def send(self, context: object, delivery: Delivery) -> str:
        if delivery.target in self.fail:
            raise self.fail[delivery.target]
        self.received.append(delivery)
        return "sqs"

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_what_is_added_is_delivered_once_in_order_and_committed(world):
    world.courier.add([Delivery("a", "1", "rule"), Delivery("b", "2", "rule", {"group_id": "g"})])
    assert world.courier.deliver_due() == 2
    assert world.courier.deliver_due() == 0
    assert [(one.target, one.body, one.options) for one in world.received] == [
        ("a", "1", {}),
        ("b", "2", {"group_id": "g"}),
    ]
    assert world.committed == ["sqs"]


def test_what_an_earlier_run_owed_is_delivered_by_the_next(world):
    world.courier.add([Delivery("a", "1", "rule", dead_letter=DeadLetter(QUEUE, "letter", {"k": "v"}, True))])
    assert world.new_courier().deliver_due() == 1
    (received,) = world.received
    assert received.dead_letter == DeadLetter(QUEUE, "letter", {"k": "v"}, True)


def test_a_bad_target_does_not_hold_up_the_others(world):
    world.fail["bad"] = RuntimeError("broken")
    world.courier.add([Delivery("bad", "1", "rule"), Delivery("good", "2", "rule")])
    world.courier.deliver_due()
    assert [one.target for one in world.received] == ["good"]


def test_retries_wait_longer_each_time_until_it_succeeds(world):
    world.fail["a"] = Undeliverable("THROTTLING", "busy", retry=True)
    world.courier.add([Delivery("a", "1", "rule")])
    pauses = []
    for _ in range(12):
        assert world.courier.deliver_due() == 1
        due = world.courier.queue.next_due()
        pauses.append(due - world.now.timestamp())
        world.later(pauses[-1] - 0.01)
        assert world.courier.deliver_due() == 0
        world.later(0.01)
    assert pauses == [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(12)]
    world.fail.clear()
    world.courier.deliver_due()
    assert [one.body for one in world.received] == ["1"]
    assert world.courier.queue.next_due() is None


def test_the_dead_letter_says_what_was_tried(world):
    world.fail["a"] = Undeliverable("THROTTLING", "busy", retry=True)
    letter = DeadLetter(QUEUE, "the event", {"RULE_ARN": "rule", "TARGET_ARN": "a"}, tell_why=True)
    world.courier.add([Delivery("a", "1", "rule", maximum_attempts=2, dead_letter=letter)])
    for _ in range(3):
        world.courier.deliver_due()
        world.later(60)
    (received,) = world.received
    assert (received.target, received.body) == (QUEUE, "the event")
    assert received.options["attributes"] == {
        "RULE_ARN": "rule",
        "TARGET_ARN": "a",
        "ERROR_CODE": "THROTTLING",
        "ERROR_MESSAGE": "busy",
        "RETRY_ATTEMPTS": "2",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    assert world.courier.queue.next_due() is None


def test_an_event_grows_too_old_to_be_retried(world):
    world.fail["a"] = RuntimeError("broken")
    letter = DeadLetter(QUEUE, "the event", tell_why=True)
    world.courier.add([Delivery("a", "1", "rule", maximum_age=60, dead_letter=letter)])
    while world.courier.queue.next_due() is not None:
        world.courier.deliver_due()
        world.later(7)
    (received,) = world.received
    attributes = received.options["attributes"]
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert (attributes["ERROR_CODE"], attributes["ERROR_MESSAGE"]) == (
        "INTERNAL_ERROR",
        "RuntimeError: broken",
    )
    assert world.now - NOON <= timedelta(seconds=75)


def test_what_no_retry_can_mend_is_given_up_at_once(world):
    world.fail["a"] = Undeliverable("NO_RESOURCE", "gone")
    world.courier.add([Delivery("a", "1", "rule", dead_letter=DeadLetter(QUEUE, "letter", tell_why=True))])
    world.courier.deliver_due()
    (received,) = world.received
    assert received.options["attributes"] == {
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": "gone",
        "RETRY_ATTEMPTS": "0",
    }


def test_a_full_dead_letter_queue_loses_only_its_letter(world):
    world.fail |= {"a": Undeliverable("NO_RESOURCE", "gone"), QUEUE: Undeliverable("NO_RESOURCE", "gone too")}
    world.courier.add(
        [Delivery("a", "1", "rule", dead_letter=DeadLetter(QUEUE, "x")), Delivery("b", "2", "r")]
    )
    world.courier.deliver_due()
    assert [one.target for one in world.received] == ["b"]


def test_a_slot_and_what_it_owes_are_stored_together(world):
    world.courier.store_slot("rule", Slot("rate(1 minute)", 60.0), [Delivery("a", "1", "rule")])
    queue = Queue(world.folder / "deliveries.sqlite")
    assert queue.slots() == {"rule": Slot("rate(1 minute)", 60.0)}
    assert [item.delivery.body for item in queue.due(world.now.timestamp())] == ["1"]
    queue.forget_slot("rule")
    assert queue.slots() == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from local_aws.services.delivery.queue import Queue, Delivery, Slot
queue = Queue(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    queue.store_slot("rule", Slot("rate(1 minute)", float(number)), [Delivery("a", str(number), "rule")], 0.0)
    print(number, flush=True)
"""


def test_a_kill_neither_loses_nor_doubles_a_slot(tmp_path):
    path = tmp_path / "deliveries.sqlite"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(50)]
    process.kill()
    rest = process.stdout.read().splitlines()
    process.wait()
    acknowledged = int(rest[-1] if rest else said[-1])
    queue = Queue(path)
    owed = [int(item.delivery.body) for item in queue.due(1.0, limit=1_000_000)]
    assert owed == list(range(1, len(owed) + 1))
    assert len(owed) in (acknowledged, acknowledged + 1)  # the last one may be stored and not yet printed
    assert queue.slots()["rule"].next == float(len(owed))


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:sqs:us-east-1:123456789012:q", "sqs"),
        ("arn:aws:sns:us-east-1:123456789012:t", "sns"),
        ("arn:aws:lambda:us-east-1:123456789012:function:f:live", "lambda"),
        ("arn:aws:logs:us-east-1:123456789012:log-group:/aws/events/x", "logs"),
        ("arn:aws:events:us-east-1:123456789012:event-bus/other", "events"),
        ("arn:aws:events:us-east-1:123456789012:api-destination/x", ""),
        ("arn:aws:states:us-east-1:123456789012:stateMachine:x", ""),
        ("nonsense", ""),
    ],
)
def test_targets_are_known_by_their_arn(arn, expected):
    assert kind(arn) == expected
