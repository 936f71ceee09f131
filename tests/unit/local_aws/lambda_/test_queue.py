"""The queue of asynchronous invocations over a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.services.lambda_.asynchronous import SCHEMA, Queue
from local_aws.services.lambda_.errors import NoSuchFunction, TooManyRequests
from local_aws.services.lambda_.outcomes import OnOutcome, Outcome
from local_aws.state import Database

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
GOOD = Outcome(None, b"1", "", "$LATEST")
BAD = Outcome("Unhandled", b'{"errorMessage": "bad"}', "", "$LATEST")
LOST = Outcome("Unhandled", b"", "", "$LATEST", lost=True)


class World:
    """Invocations that end when the test says, a clock that goes when it says, and what was delivered."""

    def __init__(self, folder: Path, **settings: int) -> None:
        self.folder = folder
        self.now = datetime(2026, 11, 21, 9, tzinfo=UTC)
        self.settings = settings
        self.full = False
        self.started: list[tuple[str, OnOutcome]] = []
        self.adopted: dict[str, OnOutcome] = {}
        self.alive: list[str] = []
        self.delivered: list[tuple[str, int, Outcome | None]] = []
        self.queue = self.new_queue()

    def new_queue(self) -> Queue:
        """As a server that starts on the same files."""
        return Queue(
            Database(self.folder / "lambda.sqlite", SCHEMA),
            self,  # type: ignore[arg-type]  # as far as the queue uses it
            self.find,
            lambda function, event, condition, outcome: self.delivered.append(
                (condition, event.failures, outcome)
            ),
            lambda: self.now,
        )

    def find(self, arn: str) -> Any:
        if arn != ARN:
            raise NoSuchFunction(arn)
        configuration = [SimpleNamespace(config=self.settings)] if self.settings else []
        return SimpleNamespace(event_invoke_config=configuration)

    def start(
        self, function: Any, arn: str, payload: bytes, request_id: str, on_outcome: OnOutcome, name: str
    ) -> None:
        if self.full:
            raise TooManyRequests("ConcurrentInvocationLimitExceeded")
        self.started.append((name, on_outcome))

    def left_over(self) -> list[str]:
        return self.alive

    def adopt(self, name: str, on_outcome: OnOutcome) -> None:
        self.adopted[name] = on_outcome

    def after(self, seconds: float) -> int:
        """Let time pass and the queue look; how many invocations have been started until now."""
        self.now += timedelta(seconds=seconds)
        self.queue.round()
        return len(self.started)

    def end(self, outcome: Outcome) -> None:
        """The last one that was started ends."""
        self.started[-1][1](outcome)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_event_is_started_once_and_forgotten_when_it_succeeds(world: World) -> None:
    world.queue.accept(ARN, b"{}", "test")
    assert world.after(0) == 1
    assert world.after(60) == 1
    world.end(GOOD)
    assert world.delivered == [("Success", 0, GOOD)]
    assert world.after(10_000) == 1


def test_a_failure_is_tried_again_after_one_minute_and_after_two(world: World) -> None:
    world.queue.accept(ARN, b"{}", "test")
    assert world.after(0) == 1
    world.end(BAD)
    assert world.after(59) == 1
    assert world.after(1) == 2
    world.end(BAD)
    assert world.after(119) == 2
    assert world.after(1) == 3
    world.end(BAD)
    assert world.after(10_000) == 3
    assert world.delivered == [("RetriesExhausted", 2, BAD)]


def test_the_functions_own_number_of_attempts_counts(tmp_path: Path) -> None:
    world = World(tmp_path, MaximumRetryAttempts=0)
    world.queue.accept(ARN, b"{}", "test")
    world.after(0)
    world.end(BAD)
    assert world.delivered == [("RetriesExhausted", 0, BAD)]


def test_a_throttled_event_waits_until_it_is_too_old(tmp_path: Path) -> None:
    world = World(tmp_path, MaximumEventAgeInSeconds=60)
    world.full = True
    world.queue.accept(ARN, b"{}", "test")
    assert [world.after(30), world.after(30)] == [0, 0]
    assert world.delivered == []
    world.after(1)
    assert world.delivered == [("EventAgeExceeded", 0, None)]


def test_a_process_that_was_lost_is_no_attempt_of_the_function(world: World) -> None:
    world.queue.accept(ARN, b"{}", "test")
    world.after(0)
    for _ in range(4):
        world.end(LOST)
        world.after(0)
    world.end(GOOD)
    assert len({name for name, _ in world.started}) == 5
    assert world.delivered == [("Success", 0, GOOD)]


def test_after_a_kill_what_runs_is_followed_and_what_does_not_is_started_again(world: World) -> None:
    for _ in range(2):
        world.queue.accept(ARN, b"{}", "test")
    world.after(0)
    (running, _), (lost, _) = world.started
    world.alive = [running, "a-callers-that-is-gone"]

    world.queue = world.new_queue()
    world.queue.resume()

    assert set(world.adopted) == {running, "a-callers-that-is-gone"}
    assert world.after(0) == 3
    assert world.started[2][0].rpartition("-")[0] == lost.rpartition("-")[0]
    world.adopted[running](GOOD)
    world.end(GOOD)
    assert len(world.delivered) == 2
    assert world.after(10_000) == 3


def test_an_event_of_a_function_that_is_gone_is_dropped(world: World) -> None:
    world.queue.accept(ARN + "-gone", b"{}", "test")
    assert world.after(0) == 0
    assert world.after(10_000) == 0
    assert world.delivered == []


def test_the_queue_sleeps_until_the_next_event_is_due(world: World) -> None:
    assert world.queue.round() == 30
    world.queue.accept(ARN, b"{}", "test")
    world.queue.round()
    world.now += timedelta(seconds=40)
    world.end(BAD)
    world.now += timedelta(seconds=45)
    assert world.queue.round() == pytest.approx(15)
