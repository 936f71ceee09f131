"""Records between their acknowledgement and their delivery, in a SQLite file.

A record is first in its stream's open buffer. Closing the buffer fixes, in one transaction, which records
make up one object and under which key it is stored. From then on a delivery can be repeated: after a kill
between the upload and `done` the same bytes go to the same key, so nothing is lost, and nobody reads twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_aws.state import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
    gzip INTEGER NOT NULL, opened REAL NOT NULL, log_group TEXT, log_stream TEXT);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, arrived REAL NOT NULL, data BLOB NOT NULL,
    delivery INTEGER REFERENCES deliveries (id));
CREATE INDEX IF NOT EXISTS records_delivery ON records (delivery, stream);
"""


@dataclass
class Buffer:
    """Open buffer of one stream. opened: seconds since the epoch of its oldest record. size in bytes."""

    opened: float
    size: int = 0


@dataclass(frozen=True)
class Delivery:
    """One object to store. log_group, log_stream: where its failures are told, if the stream says so."""

    id: int
    stream: str
    bucket: str
    key: str
    gzip: bool
    opened: float
    log_group: str | None = None
    log_stream: str | None = None


class Spool:
    """Callers hold the lock of the service; the file has one of its own besides."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)
        self.buffers: dict[str, Buffer] = {}
        query = (
            "SELECT stream, MIN(arrived), SUM(LENGTH(data)) FROM records WHERE delivery IS NULL GROUP BY 1"
        )
        with self._database.reading() as connection:
            for stream, opened, size in connection.execute(query):
                self.buffers[stream] = Buffer(opened, size)

    def append(self, stream: str, records: Iterable[bytes], now: float) -> Buffer:
        """Store records for good; returns the stream's buffer with them in it."""
        rows = [(stream, now, data) for data in records]
        with self._database.transaction() as connection:
            connection.executemany("INSERT INTO records (stream, arrived, data) VALUES (?, ?, ?)", rows)
        buffer = self.buffers.setdefault(stream, Buffer(now))
        buffer.size += sum(len(data) for _, _, data in rows)
        return buffer

    def close_buffer(self, delivery: Delivery) -> None:
        """Everything in the open buffer of delivery.stream becomes that delivery (its id is chosen here)."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO deliveries (stream, bucket, key, gzip, opened, log_group, log_stream) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    delivery.stream,
                    delivery.bucket,
                    delivery.key,
                    delivery.gzip,
                    delivery.opened,
                    delivery.log_group,
                    delivery.log_stream,
                ),
            )
            connection.execute(
                "UPDATE records SET delivery = ? WHERE delivery IS NULL AND stream = ?",
                (cursor.lastrowid, delivery.stream),
            )
        self.buffers.pop(delivery.stream, None)

    def pending(self) -> list[Delivery]:
        """Deliveries that are not done, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, stream, bucket, key, gzip, opened, log_group, log_stream "
                "FROM deliveries ORDER BY id"
            ).fetchall()
        return [Delivery(row[0], row[1], row[2], row[3], bool(row[4]), *row[5:]) for row in rows]

    def records(self, delivery: Delivery) -> Iterator[bytes]:
        """Its records in the order of their arrival, one in memory at a time."""
        with self._database.reading() as connection:
            ids = [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM records WHERE delivery = ? ORDER BY id", (delivery.id,)
                )
            ]
        for number in ids:
            with self._database.reading() as connection:
                (data,) = connection.execute("SELECT data FROM records WHERE id = ?", (number,)).fetchone()
            yield data

    def done(self, delivery: Delivery) -> None:
        """The object is stored (or given up): forget its records."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM records WHERE delivery = ?", (delivery.id,))
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery.id,))
