"""Result files as Athena writes them: `ID.csv` (each value quoted, NULL as nothing), `ID.csv.metadata`."""

import json
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

_BATCH = 10_000


def write_csv(path: Path, columns: list[dict[str, Any]], batches: Iterator[list[tuple[Any, ...]]]) -> int:
    """Write header and rows; returns the number of rows."""
    formats = [_format_of(column["Type"]) for column in columns]
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_line([column["Name"] for column in columns]))
        for batch in batches:
            rows += len(batch)
            file.writelines(
                csv_line(
                    [None if value is None else form(value) for form, value in zip(formats, row, strict=True)]
                )
                for row in batch
            )
    return rows


def csv_line(values: list[str | None]) -> str:
    """One line; NULL is nothing between the commas, an empty string is `""`."""
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"


def write_metadata(path: Path, columns: list[dict[str, Any]], update_count: int | None) -> None:
    """Write what GetQueryResults needs beside the rows. AWS does not document its form; this is JSON."""
    path.write_text(json.dumps({"columns": columns, "update_count": update_count}), encoding="utf-8")


def batches(cursor: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a DuckDB result, a batch at a time."""
    while rows := cursor.fetchmany(_BATCH):
        yield rows


def _format_of(kind: str) -> Callable[[Any], str]:
    if kind == "float":
        return java_float
    return {"varchar": str, "integer": str, "bigint": str}.get(kind, text)


def text(value: Any) -> str:
    """A value as Athena prints it; NULL, which only arrays, maps and rows hold, is `null`."""
    if value is None:
        return "null"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        stamp = value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
        return f"{stamp} UTC" if value.tzinfo else stamp
    if isinstance(value, time):
        return value.strftime("%H:%M:%S.") + f"{value.microsecond // 1000:03d}"
    if isinstance(value, timedelta):
        return _interval(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.hex(" ")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}={text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "{" + ", ".join(f"field{index}={text(item)}" for index, item in enumerate(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(text(item) for item in value) + "]"
    return str(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        return text(key)
    return (
        f"field{key[1:]}" if key[:1] == "_" and key[1:].isdigit() else key
    )  # DuckDB's names of unnamed fields


def _interval(value: timedelta) -> str:
    """Trino's `interval day to second`: `2 03:04:05.000`."""
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{sign}{value.days} {hours:02d}:{minutes:02d}:{seconds:02d}.{value.microseconds // 1000:03d}"


def java_double(value: float) -> str:
    """`Double.toString`: plain between 1e-3 and 1e7, `1.0E10` outside."""
    return _java(repr(value), value)


def java_float(value: float) -> str:
    """`Float.toString` of a 32-bit value that Python holds as 64 bits."""
    digits = f"{value:.9g}"
    for precision in range(1, 9):
        shorter = f"{value:.{precision}g}"
        if _float32(float(shorter)) == value:
            digits = shorter
            break
    return _java(repr(float(digits)), value)


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _java(shortest: str, value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if str(value).startswith("-") else "0.0"
    sign, digits, exponent = Decimal(shortest).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + int(exponent) - 1
    prefix = "-" if sign else ""
    if -3 <= power < 7:
        if power < 0:
            return f"{prefix}0.{'0' * (-power - 1)}{figures}"
        padded = figures.ljust(power + 1, "0")
        return f"{prefix}{padded[: power + 1]}.{padded[power + 1 :] or '0'}"
    return f"{prefix}{figures[0]}.{figures[1:] or '0'}E{power}"
