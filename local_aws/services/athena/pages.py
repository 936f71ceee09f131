"""Result files read back a page at a time, for GetQueryResults."""

from collections.abc import Iterator
from typing import Any, BinaryIO

Row = list[str | None]


def page(file: BinaryIO, offset: int, limit: int, *, is_csv: bool) -> tuple[list[Row], int | None]:
    """Up to `limit` rows from a byte offset, and the offset of the next page (None at the end)."""
    file.seek(offset)
    rows: list[Row] = []
    for row, size in _records(file) if is_csv else _lines(file):
        if len(rows) == limit:
            return rows, offset
        rows.append(row)
        offset += size
    return rows, None


def result_rows(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as GetQueryResults gives them: no VarCharValue for NULL."""
    return [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows]


def _lines(file: BinaryIO) -> Iterator[tuple[Row, int]]:
    for line in file:
        yield [line.decode("utf-8").removesuffix("\n")], len(line)


def _records(file: BinaryIO) -> Iterator[tuple[Row, int]]:
    """CSV records of the one form that `engine/results.py` writes; a quoted value may hold line ends."""
    record = b""
    for line in file:
        record += line
        if record.count(b'"') % 2 == 0:
            yield _parse(record.decode("utf-8").removesuffix("\n")), len(record)
            record = b""


def _parse(text: str) -> Row:
    row: Row = []
    position = 0
    while True:
        if text[position : position + 1] == '"':
            end = position + 1
            while True:
                end = text.index('"', end)
                if text[end + 1 : end + 2] != '"':
                    break
                end += 2
            row.append(text[position + 1 : end].replace('""', '"'))
            position = end + 1
        else:
            row.append(None)
        if position >= len(text):
            return row
        position += 1
