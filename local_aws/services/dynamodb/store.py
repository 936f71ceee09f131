"""Items on disk: one row each, so that a write costs what it writes, whatever the table holds."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from moto.dynamodb.models.dynamo_type import DynamoType, Item

from local_aws.state import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    table_id TEXT NOT NULL, key TEXT NOT NULL, item BLOB NOT NULL, PRIMARY KEY (table_id, key)) WITHOUT ROWID;
"""

Key = tuple[DynamoType, DynamoType | None]  # hash, and range where the table has one
Change = tuple[str, Key, Item | None]  # table id, key, what is there now


class ItemStore:
    """tables: ids of the tables that have rows."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)
        with self._database.reading() as connection:
            rows = connection.execute("SELECT DISTINCT table_id FROM items").fetchall()
        self.tables = {table for (table,) in rows}

    def write(self, changes: Iterable[Change]) -> None:
        """All of them or none."""
        with self._database.transaction() as connection:
            for table, key, item in changes:
                self.tables.add(table)
                if item is None:
                    connection.execute("DELETE FROM items WHERE table_id = ? AND key = ?", (table, text(key)))
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO items VALUES (?, ?, ?)",
                        (table, text(key), pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)),
                    )

    def items(self, table: str) -> Iterator[Item]:
        with self._database.reading() as connection:
            rows = connection.execute("SELECT item FROM items WHERE table_id = ?", (table,)).fetchall()
        for (data,) in rows:
            yield pickle.loads(data)  # noqa: S301  # written above; see local_aws.state.snapshots

    def drop(self, table: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM items WHERE table_id = ?", (table,))
        self.tables.discard(table)


def text(key: Key) -> str:
    """Equal keys have equal texts: the number 1 is 1.0. The length tells where the hash key ends."""
    parts = [_text(part) for part in key if part is not None]
    return f"{len(parts[0])}:{''.join(parts)}"


def _text(part: DynamoType) -> str:
    value = part.cast_value
    if isinstance(value, Decimal):
        value = format(value.normalize(), "f")
    return f"{part.type}{value.hex() if isinstance(value, bytes) else value}"
