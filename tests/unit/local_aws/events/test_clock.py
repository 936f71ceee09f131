"""Scheduled rules by a clock that the test sets: each slot once, none after a kill twice, none replayed."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from moto.events.models import events_backends

from local_aws import moto_hooks
from local_aws.services import delivery
from local_aws.services.delivery.courier import Courier
from local_aws.services.delivery.queue import Queue
from local_aws.services.events import clock
from local_aws.services.events.backend import Backend

TEN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"


class World:
    def __init__(self, path):
        self.now = TEN
        self.path = path
        state = SimpleNamespace(lock=lambda _: contextlib.nullcontext(), commit=lambda _: None)
        self.context: Any = SimpleNamespace(clock=lambda: self.now, state=state, account="123456789012")
        Backend.context = self.context  # type: ignore[assignment]
        self.backend = events_backends["123456789012"]["us-east-1"]
        self.restart()

    def restart(self):
        """As after a kill: what is not in the file is gone. Nothing is delivered here."""
        delivery._courier = Courier(self.context, Queue(self.path))

    def rule(self, expression, name="hourly", **options):
        self.backend.put_rule(name, scheduled_expression=expression, **options)
        self.backend.put_targets(name, None, [{"Id": "1", "Arn": QUEUE}])

    def tick(self, *moments):
        for moment in moments:
            self.now = moment
            clock.tick(self.context)

    @property
    def events(self):
        owed = delivery._installed().queue.due((self.now + timedelta(days=3650)).timestamp(), limit=1000)
        return [json.loads(item.delivery.body) for item in owed]

    @property
    def times(self):
        return [event["time"][11:16] for event in self.events]


@pytest.fixture
def world(tmp_path):
    moto_hooks.replace_backend("events", Backend)
    yield World(tmp_path / "deliveries.sqlite")
    delivery._courier = None
    events_backends.clear()


def minutes(*numbers):
    return [TEN + timedelta(minutes=number) for number in numbers]


def test_a_slot_fires_once_with_the_event_of_eventbridge(world):
    world.rule("cron(5 10 * * ? *)")
    world.tick(*minutes(0, 4, 5, 5.5, 6, 65))
    (event,) = world.events
    assert event | {"id": ""} == {
        "version": "0",
        "id": "",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-21T10:05:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/hourly"],
        "detail": {},
    }


def test_a_rate_counts_from_the_making_of_its_rule(world):
    world.rule("rate(2 minutes)")
    world.tick(*minutes(0.5, 1, 2.4, 2.6, 3, 4.5, 5))
    assert world.times == ["10:02", "10:04"]


def test_a_kill_between_two_looks_fires_no_slot_twice(world):
    world.rule("cron(* * * * ? *)")
    for moment in minutes(0, 1, 1.2, 2, 2.2, 3):
        world.tick(moment)
        world.restart()
        world.tick(moment)
    assert world.times == ["10:01", "10:02", "10:03"]
    assert len({event["id"] for event in world.events}) == 3


def test_slots_of_a_time_in_which_nothing_ran_are_not_replayed(world):
    world.rule("cron(0/10 * * * ? *)", "cron")
    world.rule("rate(10 minutes)", "rate")
    world.tick(*minutes(0, 10, 47, 50, 57))
    assert [(event["resources"][0][-4:], event["time"][11:16]) for event in world.events] == [
        ("cron", "10:10"),
        ("rate", "10:10"),
        ("cron", "10:50"),
        ("rate", "10:57"),
    ]


def test_a_slot_found_within_its_minute_still_fires(world):
    world.rule("cron(5 10 * * ? *)")
    world.tick(TEN, TEN + timedelta(minutes=5, seconds=59))
    assert world.times == ["10:05"]


def test_a_disabled_rule_does_not_fire_and_does_not_catch_up(world):
    world.rule("cron(* * * * ? *)", state="DISABLED")
    world.tick(*minutes(0, 1, 2))
    world.backend.enable_rule("hourly", None)
    world.tick(*minutes(2.5, 3))
    assert world.times == ["10:03"]


def test_a_changed_expression_starts_anew_and_a_deleted_rule_is_forgotten(world):
    world.rule("cron(5 10 * * ? *)")
    world.tick(TEN)
    world.rule("cron(7 10 * * ? *)")
    world.tick(*minutes(4, 5, 7))
    assert world.times == ["10:07"]
    world.backend.remove_targets("hourly", None, ["1"])
    world.backend.delete_rule("hourly", None)
    world.tick(*minutes(8))
    assert delivery.slots() == {}


def test_a_schedule_that_is_over_stays_over(world):
    world.rule("cron(5 10 21 11 ? 2026)")
    world.tick(*minutes(0, 5, 6, 60 * 24 * 365))
    assert world.times == ["10:05"]
    world.restart()
    world.tick(*minutes(60 * 24 * 366))
    assert len(world.events) == 1
