"""CloudWatch Logs on disk: streams and events, append-only, read by position.

Beside the events it keeps how far a source (a job's output file) has been stored, in the same transaction.
Times are milliseconds since the epoch. A position within a stream is (timestamp, id): the order of reading.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws.state.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, log_group TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    first INTEGER, last INTEGER, ingested INTEGER, bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (log_group, name));
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    ingested INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_in_order ON events (stream, timestamp, id);
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
"""

Position = tuple[int, int]
FIRST: Position = (-1, -1)
EVENT_BYTES = 26  # what AWS counts for an event beside its text


@dataclass(frozen=True)
class Stream:
    id: int
    log_group: str
    name: str
    created: int
    first: int | None
    last: int | None
    ingested: int | None
    bytes: int


@dataclass(frozen=True)
class Event:
    id: int
    stream: str
    timestamp: int
    ingested: int
    message: str

    @property
    def position(self) -> Position:
        return self.timestamp, self.id


class LogEvents:
    """Log groups are named by ARN: two regions may have groups of one name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_stream(self, group: str, name: str) -> bool:
        """False when it is there already."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO streams (log_group, name, created) VALUES (?, ?, ?)",
                (group, name, _now()),
            )
            return cursor.rowcount > 0

    def delete_stream(self, group: str, name: str) -> None:
        self._delete("log_group = ? AND name = ?", (group, name))

    def delete_group(self, group: str) -> None:
        self._delete("log_group = ?", (group,))

    def append(
        self,
        group: str,
        name: str,
        events: Iterable[tuple[int, str]],
        position: tuple[str, int] | None = None,
    ) -> list[Event]:
        """Store (timestamp, message) events, and how far their source has now been read. The stream is made
        when it is missing."""
        events = list(events)
        now = _now()
        stored: list[Event] = []
        with self._database.transaction() as connection:
            if position is not None:
                connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", position)
            if not events:
                return []
            self.create_stream(group, name)
            (stream,) = connection.execute(
                "SELECT id FROM streams WHERE log_group = ? AND name = ?", (group, name)
            ).fetchone()
            for timestamp, message in events:
                cursor = connection.execute(
                    "INSERT INTO events (stream, timestamp, ingested, message) VALUES (?, ?, ?, ?)",
                    (stream, timestamp, now, message),
                )
                stored.append(Event(int(cursor.lastrowid or 0), name, timestamp, now, message))
            times = [timestamp for timestamp, _ in events]
            connection.execute(
                "UPDATE streams SET first = min(ifnull(first, :first), :first), "
                "last = max(ifnull(last, :last), :last), ingested = :now, bytes = bytes + :bytes "
                "WHERE id = :stream",
                {
                    "first": min(times),
                    "last": max(times),
                    "now": now,
                    "bytes": sum(len(text.encode()) + EVENT_BYTES for _, text in events),
                    "stream": stream,
                },
            )
        return stored

    def position(self, source: str) -> int:
        with self._database.reading() as connection:
            row = connection.execute("SELECT position FROM positions WHERE source = ?", (source,)).fetchone()
        return int(row[0]) if row else 0

    def forget_position(self, source: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM positions WHERE source = ?", (source,))

    def stream(self, group: str, name: str) -> Stream | None:
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT * FROM streams WHERE log_group = ? AND name = ?", (group, name)
            ).fetchone()
        return Stream(*row) if row else None

    def streams(
        self,
        group: str,
        prefix: str = "",
        by_last_event: bool = False,
        descending: bool = False,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Stream]:
        """limit -1: all. The order is total: the name decides between streams of the same last event."""
        direction = "DESC" if descending else "ASC"
        order = f"ifnull(last, 0) {direction}, name {direction}" if by_last_event else f"name {direction}"
        # substr instead of LIKE: names hold % and _, and case matters.
        query = (  # of constants
            "SELECT * FROM streams WHERE log_group = ? AND substr(name, 1, ?) = ? "  # noqa: S608  # constants
            f"ORDER BY {order} LIMIT ? OFFSET ?"  # two constants
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, (group, len(prefix), prefix, limit, offset)).fetchall()
        return [Stream(*row) for row in rows]

    def stored_bytes(self, group: str) -> int:
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT sum(bytes) FROM streams WHERE log_group = ?", (group,)
            ).fetchone()
        return int(row[0] or 0)

    def read(
        self,
        streams: Sequence[Stream],
        after: Position | None = None,
        before: Position | None = None,
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        newest: bool = False,
    ) -> list[Event]:
        """Events in reading order. after, before: exclusive positions; start inclusive, end exclusive times.

        newest: the last `limit` of them instead of the first.
        """
        names = {stream.id: stream.name for stream in streams}
        marks = ",".join("?" * len(names))
        where = [f"stream IN ({marks})"]
        values: list[Any] = list(names)
        for sign, position in ((">", after), ("<", before)):
            if position is not None:
                where.append(f"(timestamp, id) {sign} (?, ?)")
                values += position
        for sign, moment in ((">=", start), ("<", end)):
            if moment is not None:
                where.append(f"timestamp {sign} ?")
                values.append(moment)
        direction = "DESC" if newest else "ASC"
        query = (  # of constants
            "SELECT id, stream, timestamp, ingested, message FROM events "  # noqa: S608
            f"WHERE {' AND '.join(where)} ORDER BY timestamp {direction}, id {direction} LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, (*values, limit)).fetchall()
        events = [Event(row[0], names[row[1]], *row[2:]) for row in rows]
        return events[::-1] if newest else events

    def scan(
        self, streams: Sequence[Stream], after: Position | None, start: int | None, end: int | None
    ) -> Iterator[Event]:
        """All events from a position on, read in pages."""
        while page := self.read(streams, after=after, start=start, end=end, limit=1000):
            yield from page
            after = page[-1].position

    def delete_before(self, group: str, moment: int) -> None:
        """Retention: remove a group's events older than `moment`."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM events WHERE timestamp < ? AND stream IN "
                "(SELECT id FROM streams WHERE log_group = ?)",
                (moment, group),
            )

    def _delete(self, where: str, values: tuple[str, ...]) -> None:
        chosen = f"(SELECT id FROM streams WHERE {where})"  # noqa: S608  # a constant of this module
        with self._database.transaction() as connection:
            connection.execute(f"DELETE FROM events WHERE stream IN {chosen}", values)  # noqa: S608
            connection.execute(f"DELETE FROM streams WHERE {where}", values)  # noqa: S608


def _now() -> int:
    return time.time_ns() // 1_000_000
