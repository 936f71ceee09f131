"""Asynchronous invocations: a durable queue, retries, the event's maximum age, and where failures go.

An event is on disk before it is acknowledged and leaves the disk after its function has succeeded or its
failure was delivered. A kill in between repeats a step: at least once, as on AWS.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from local_aws.services.lambda_.errors import NoSuchFunction, TooManyRequests
from local_aws.services.lambda_.invocations import Invocations
from local_aws.services.lambda_.outcomes import OnOutcome, Outcome
from local_aws.services.lambda_.records import Function
from local_aws.state import Database

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, arn TEXT NOT NULL, payload BLOB NOT NULL, source TEXT NOT NULL,
    accepted REAL NOT NULL, due REAL NOT NULL, failures INTEGER NOT NULL, starts INTEGER NOT NULL,
    running INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS events_due ON events (running, due);
"""

RETRY_SECONDS = (60.0, 120.0)  # AWS waits a minute before the second attempt, two before the third
THROTTLED_SECONDS = 1.0
MAXIMUM_AGE_SECONDS = 21_600
IDLE_SECONDS = 30.0

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded"]


@dataclass(frozen=True)
class Event:
    """accepted: seconds since the epoch. failures: attempts that failed. starts: processes started for it,
    among them those that were lost, which are no attempts of the function."""

    id: str
    arn: str
    payload: bytes
    source: str
    accepted: float
    failures: int
    starts: int

    @property
    def run_name(self) -> str:
        return f"{self.id}-{self.starts}"


Deliver = Callable[[Function, Event, Condition, Outcome | None], None]


class Queue:
    def __init__(
        self,
        database: Database,
        invocations: Invocations,
        find: Callable[[str], Function],
        deliver: Deliver,
        clock: Callable[[], datetime],
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        """find: function of an ARN, raises NoSuchFunction. deliver: hands an event that is done with to the
        function's destinations."""
        self._database = database
        self._invocations = invocations
        self._find = find
        self._deliver = deliver
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._wake = threading.Event()

    def accept(self, arn: str, payload: bytes, source: str) -> str:
        """Store an event; returns its request id."""
        request_id = str(uuid.uuid4())
        now = self._now()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0)",
                (request_id, arn, payload, source, now, now),
            )
        self._wake.set()
        return request_id

    def resume(self) -> None:
        """Take up the events of an earlier server: those whose function was running are followed or, when its
        process is gone, started again. Call once, before `run`."""
        known = set(self._invocations.left_over())
        for event in self._select("running = 1"):
            if event.run_name in known:
                known.discard(event.run_name)
                self._invocations.adopt(event.run_name, self._on_outcome(event))
            else:
                self._again(event, 0)
        for name in known:  # a caller that waited is gone with the server it waited for
            self._invocations.adopt(name, lambda _: None)

    def run(self) -> None:
        """Start what is due, for ever."""
        while True:
            try:
                pause = self.round()
            except sqlite3.ProgrammingError:  # closed: local AWS is stopping
                return
            except Exception:
                log.exception("asynchronous invocations: a round failed, the next follows")
                pause = THROTTLED_SECONDS
            self._wake.wait(pause)
            self._wake.clear()

    def round(self) -> float:
        """Start every event that is due; returns the seconds until the next one is."""
        for event in self._select("running = 0 AND due <= ?", self._now()):
            self._start(event)
        with self._database.reading() as connection:
            (due,) = connection.execute("SELECT min(due) FROM events WHERE running = 0").fetchone()
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(0.01, due - self._now()))

    def _start(self, event: Event) -> None:
        try:
            function = self._find(event.arn)
        except NoSuchFunction:
            log.warning("event %s for %s is dropped: there is no such function", event.id, event.arn)
            self._forget(event)
            return
        if self._now() - event.accepted > _setting(function, "MaximumEventAgeInSeconds", MAXIMUM_AGE_SECONDS):
            self._deliver(function, event, "EventAgeExceeded", None)
            self._forget(event)
            return
        event = replace(event, starts=event.starts + 1)
        self._mark(event, running=1)
        try:
            self._invocations.start(
                function, event.arn, event.payload, event.id, self._on_outcome(event), event.run_name
            )
        except TooManyRequests:
            self._again(event, THROTTLED_SECONDS)
        except RuntimeError:  # local AWS is stopping: the next server starts it
            self._mark(event, running=0)
        except Exception:
            log.exception("event %s for %s could not be started", event.id, event.arn)
            self._again(event, IDLE_SECONDS)

    def _on_outcome(self, event: Event) -> OnOutcome:
        return lambda outcome: self._ended(event, outcome)

    def _ended(self, event: Event, outcome: Outcome) -> None:
        if outcome.lost:
            self._again(event, 0)
            return
        try:
            function = self._find(event.arn)
        except NoSuchFunction:
            self._forget(event)
            return
        if outcome.function_error is None:
            self._deliver(function, event, "Success", outcome)
            self._forget(event)
        elif event.failures < _setting(function, "MaximumRetryAttempts", 2):
            delay = self._retry_seconds[min(event.failures, len(self._retry_seconds) - 1)]
            self._again(replace(event, failures=event.failures + 1), delay)
        else:
            self._deliver(function, event, "RetriesExhausted", outcome)
            self._forget(event)

    def _now(self) -> float:
        return self._clock().timestamp()

    def _select(self, where: str, *values: float) -> list[Event]:
        query = "SELECT id, arn, payload, source, accepted, failures, starts FROM events"
        with self._database.reading() as connection:
            rows = connection.execute(f"{query} WHERE {where} ORDER BY due", values).fetchall()
        return [Event(*row) for row in rows]

    def _mark(self, event: Event, running: int) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE events SET running = ?, starts = ? WHERE id = ?", (running, event.starts, event.id)
            )

    def _again(self, event: Event, seconds: float) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE events SET running = 0, failures = ?, due = ? WHERE id = ?",
                (event.failures, self._now() + seconds, event.id),
            )
        self._wake.set()

    def _forget(self, event: Event) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM events WHERE id = ?", (event.id,))


def _setting(function: Function, name: str, default: int) -> int:
    for configuration in function.event_invoke_config:
        value = configuration.config.get(name)
        if value is not None:
            return int(value)
    return default
