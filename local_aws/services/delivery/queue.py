"""The deliveries that are due, on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local_aws.state import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, due REAL NOT NULL, added REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due, id);
CREATE TABLE IF NOT EXISTS slots (name TEXT PRIMARY KEY, expression TEXT NOT NULL, next REAL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class DeadLetter:
    """Where a delivery goes that fails for good. tell_why: with EventBridge's message attributes."""

    queue: str
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    tell_why: bool = False


@dataclass(frozen=True)
class Delivery:
    """target, source: ARNs. body: what the target receives. options: what only some targets know (see
    targets). maximum_attempts: retries after the first attempt; maximum_age: seconds; EventBridge's defaults.
    """

    target: str
    body: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    maximum_attempts: int = 185
    maximum_age: float = 86_400
    dead_letter: DeadLetter | None = None


@dataclass(frozen=True)
class Due:
    id: int
    added: float
    attempts: int
    delivery: Delivery


@dataclass(frozen=True)
class Slot:
    """When a schedule is next due, in seconds since the epoch; None: never again."""

    expression: str
    next: float | None


class Queue:
    """Times are seconds since the epoch. Safe from several threads."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def add(self, deliveries: Sequence[Delivery], now: float) -> None:
        """All of them or none."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO deliveries (due, added, content) VALUES (?, ?, ?)",
                [(now, now, json.dumps(asdict(delivery))) for delivery in deliveries],
            )

    def due(self, now: float, limit: int = 100) -> list[Due]:
        """In the order in which they were added, retries in between."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, added, attempts, content FROM deliveries WHERE due <= ? ORDER BY due, id LIMIT ?",
                (now, limit),
            ).fetchall()
        return [Due(id_, added, attempts, _delivery(json.loads(text))) for id_, added, attempts, text in rows]

    def next_due(self) -> float | None:
        with self._database.reading() as connection:
            (moment,) = connection.execute("SELECT min(due) FROM deliveries").fetchone()
        return moment if moment is None else float(moment)

    def settle(self, done: Iterable[int], again: Iterable[tuple[int, float]]) -> None:
        """Remove what is done; postpone what failed, as (id, due)."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM deliveries WHERE id = ?", [(id_,) for id_ in done])
            connection.executemany(
                "UPDATE deliveries SET attempts = attempts + 1, due = ? WHERE id = ?",
                [(due, id_) for id_, due in again],
            )

    def slots(self) -> dict[str, Slot]:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, expression, next FROM slots").fetchall()
        return {name: Slot(expression, moment) for name, expression, moment in rows}

    def store_slot(self, name: str, slot: Slot, owed: Sequence[Delivery], now: float) -> None:
        """A schedule's next slot and what its last one owes, in one transaction."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (name, slot.expression, slot.next)
            )
            self.add(owed, now)

    def forget_slot(self, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM slots WHERE name = ?", (name,))

    def close(self) -> None:
        self._database.close()


def _delivery(content: dict[str, Any]) -> Delivery:
    letter = content.pop("dead_letter")
    return Delivery(**content, dead_letter=DeadLetter(**letter) if letter else None)
