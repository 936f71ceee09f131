"""The format and the columns of a file: CSV, JSON lines or Parquet.

The rules are those of Glue's built-in classifiers
(https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html): what is a CSV header, which types are told
apart. Only the beginning of a text file is read, of a Parquet file its footer.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

SAMPLE_BYTES = 1 << 20
_DELIMITERS = (",", "|", "\t", ";", "\x01")
_LONGEST_NAME = 150
_NAME = re.compile(r"[A-Za-z_][\w .:/()#%+-]*")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# From narrow to wide: two different ones of a column become the wider, and text holds all.
_WIDTHS = ("int", "bigint", "float", "double", "string")

Columns = dict[str, str]  # name -> Hive type, in order


@dataclass(frozen=True)
class Schema:
    """`classification`: csv, json or parquet. `rows`: in the file, for text estimated from its beginning."""

    classification: str
    columns: Columns
    rows: int
    delimiter: str | None = None
    header: bool = False
    compression: str = "none"

    def is_like(self, other: Schema) -> bool:
        """Whether both can be partitions of one table: seven of ten columns in common."""
        if (self.classification, self.delimiter, self.header) != (
            other.classification,
            other.delimiter,
            other.header,
        ):
            return False
        names, others = set(self.columns), set(other.columns)
        return len(names & others) >= 0.7 * len(names | others)

    def merged(self, other: Schema) -> Schema:
        """The columns of both, each with the wider type."""
        columns = dict(self.columns)
        for name, kind in other.columns.items():
            columns[name] = wider(columns[name], kind) if name in columns else kind
        return replace(self, columns=columns, rows=self.rows + other.rows)


def read(path: Path, size: int) -> Schema | None:
    """The schema of a file of so many bytes; None for a format that is not recognised."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return _parquet(path)
        compressed = start[:2] == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as file:
            sample = file.read(SAMPLE_BYTES)
    except (OSError, EOFError, pa.ArrowException):
        return None
    if b"\0" in sample:
        return None
    text = sample.decode("utf-8-sig", errors="replace")
    lines = text.splitlines()
    if len(sample) == SAMPLE_BYTES:
        lines = lines[:-1]  # cut off in the middle
    lines = [line for line in lines if line.strip()]
    if not lines:
        return None
    found = _json(lines) or _csv(lines)
    if found is None:
        return None
    average = max(1.0, len(sample) / len(lines))
    rows = len(lines) if len(sample) < SAMPLE_BYTES else int(size / average)
    return replace(found, rows=rows - found.header, compression="gzip" if compressed else "none")


def wider(one: str, other: str) -> str:
    """The type that holds the values of both."""
    if one == other or other == "void":
        return one
    if one == "void":
        return other
    if one in _WIDTHS and other in _WIDTHS:
        return max(one, other, key=_WIDTHS.index)
    return "string"


def _parquet(path: Path) -> Schema:
    file = pyarrow.parquet.ParquetFile(path)
    columns = {field.name.lower(): _hive(field.type) for field in file.schema_arrow}
    return Schema("parquet", columns, file.metadata.num_rows)


def _hive(kind: pa.DataType) -> str:
    simple = {
        pa.bool_(): "boolean",
        pa.int8(): "tinyint",
        pa.int16(): "smallint",
        pa.int32(): "int",
        pa.int64(): "bigint",
        pa.uint8(): "smallint",
        pa.uint16(): "int",
        pa.uint32(): "bigint",
        pa.float32(): "float",
        pa.float64(): "double",
        pa.date32(): "date",
    }
    if kind in simple:
        return simple[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{_hive(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{_hive(kind.key_type)},{_hive(kind.item_type)}>"
    if pa.types.is_struct(kind):
        fields = ",".join(f"{field.name}:{_hive(field.type)}" for field in kind)
        return f"struct<{fields}>"
    if pa.types.is_dictionary(kind):
        return _hive(kind.value_type)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "binary"
    return "string"


def _json(lines: Sequence[str]) -> Schema | None:
    """JSON lines, each an object."""
    shape: dict[str, Any] = {}
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        shape = _joined(shape, {key.lower(): _shape(item) for key, item in value.items()})
    return Schema("json", {name: _spelled(kind) for name, kind in shape.items()}, 0)


def _shape(value: Any) -> Any:
    """A type as a tree: a name, {"field": type}, or [type]."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int" if -(2**31) <= value < 2**31 else "bigint"
    if isinstance(value, float):
        return "double"
    if isinstance(value, dict):
        return {key.lower(): _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        inner: Any = "void"
        for item in value:
            inner = _joined(inner, _shape(item))
        return [inner]
    return "void" if value is None else "string"


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _joined(one.get(key, "void"), other.get(key, "void")) for key in [*one, *other.keys() - one]
        }
    if isinstance(one, list) and isinstance(other, list):
        return [_joined(one[0], other[0])]
    if "void" in (one, other):
        return other if one == "void" else one
    return wider(one, other) if isinstance(one, str) and isinstance(other, str) else "string"


def _spelled(kind: Any) -> str:
    if isinstance(kind, dict):
        return "struct<" + ",".join(f"{name}:{_spelled(inner)}" for name, inner in kind.items()) + ">"
    if isinstance(kind, list):
        return f"array<{_spelled(kind[0])}>"
    return "string" if kind == "void" else str(kind)


def _csv(lines: Sequence[str]) -> Schema | None:
    """Text in columns: the delimiter that gives the same number of them, at least two, on every line."""
    for delimiter in _DELIMITERS:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        width = len(rows[0])
        if width >= 2 and len(rows) >= 2 and all(len(row) == width for row in rows):
            return _with_header(rows, delimiter)
    return None


def _with_header(rows: list[list[str]], delimiter: str) -> Schema:
    first, rest = rows[0], rows[1:]
    body = [_type_of_all(column) for column in zip(*rest, strict=True)]
    header = (
        all(_type_of(cell) == "string" for cell in first)
        and all(len(cell) < _LONGEST_NAME and _NAME.fullmatch(cell.strip()) for cell in first)
        and len({cell.strip().lower() for cell in first}) == len(first)
        and any(kind != "string" for kind in body)
    )
    if header:
        names = [cell.strip().lower() for cell in first]
        return Schema("csv", dict(zip(names, body, strict=True)), 0, delimiter, header=True)
    every = [wider(kind, _type_of(cell)) for kind, cell in zip(body, first, strict=True)]
    return Schema("csv", {f"col{index}": kind for index, kind in enumerate(every)}, 0, delimiter)


def _type_of_all(cells: Sequence[str]) -> str:
    kind = "void"
    for cell in cells:
        kind = wider(kind, _type_of(cell))
    return "string" if kind == "void" else kind


def _type_of(cell: str) -> str:
    cell = cell.strip()
    if not cell:
        return "void"
    if _WHOLE.fullmatch(cell):
        return "bigint"
    return "double" if _NUMBER.fullmatch(cell) else "string"
