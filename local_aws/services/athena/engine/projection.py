"""Partition projection: partitions computed from a table's properties instead of listed in the catalog.

https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlglot import exp

from local_aws.services.athena.engine.errors import QueryError

_MOST = 100_000  # of one key's values, and of the partitions that a query's filters leave
_UNITS = {"SECONDS": "seconds", "MINUTES": "minutes", "HOURS": "hours", "DAYS": "days", "WEEKS": "weeks"}
_NOW = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?)?", re.IGNORECASE)
# Java's letters -> strptime's; longest first, so that MMM is not read as MM and M.
_LETTERS = {
    "yyyy": "%Y",
    "MMM": "%b",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
    "yy": "%y",
}
_PATTERN = re.compile(
    r"'(?P<text>(?:[^']|'')*)'|" + "|".join(_LETTERS) + r"|(?P<other>[A-Za-z]+)|(?P<sign>.)"
)


def is_enabled(table: Mapping[str, Any]) -> bool:
    """Whether a table's partitions are projected; the catalog's own are then ignored."""
    return str(table["parameters"].get("projection.enabled", "false")).lower() == "true"


def values(table: Mapping[str, Any], key: str, filters: list[exp.Expr], now: datetime) -> list[str]:
    """All values that a partition key can have. Raises QueryError naming a property that is wrong."""
    settings = _Settings(table, key)
    kind = settings.need("type").lower()
    readers = {"enum": _enum, "integer": _integers, "date": _dates}
    if kind == "injected":
        return _injected(table, key, filters)
    if kind not in readers:
        raise settings.wrong("type", "it is one of enum, integer, date, injected")
    found = list(itertools.islice(readers[kind](settings, now), _MOST + 1))
    if len(found) > _MOST:
        raise settings.wrong("range", f"local AWS projects at most {_MOST:,} values of a key")
    return found


def partitions(table: Mapping[str, Any], of_keys: list[list[str]]) -> list[dict[str, Any]]:
    """Every combination of the keys' values, with its location."""
    keys = [key["name"] for key in table["partition_keys"]]
    count = 1
    for found in of_keys:
        count *= len(found)
    if count > _MOST:
        raise QueryError(
            "NOT_SUPPORTED",
            f"the query's filters leave {count:,} projected partitions of {table['name']}, local AWS reads "
            f"at most {_MOST:,}: narrow its WHERE on {', '.join(keys)}",
        )
    template = table["parameters"].get("storage.location.template")
    folders = "/".join(f"{key}=${{{key}}}" for key in keys)
    template = template or f"{table['location'].rstrip('/')}/{folders}/"
    missing = [key for key in keys if f"${{{key}}}" not in template]
    if missing:
        raise QueryError("INVALID_TABLE_PROPERTY", f"storage.location.template lacks ${{{missing[0]}}}")
    return [
        {"values": list(chosen), "location": _filled(template, dict(zip(keys, chosen, strict=True)))}
        for chosen in itertools.product(*of_keys)
    ]


def _filled(template: str, chosen: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda hole: chosen.get(hole[1].lower(), hole[0]), template)


class _Settings:
    """The properties `projection.<key>.*` of a table."""

    def __init__(self, table: Mapping[str, Any], key: str) -> None:
        self._table, self._key = table, key

    def get(self, name: str, otherwise: str = "") -> str:
        return str(self._table["parameters"].get(f"projection.{self._key}.{name}", otherwise))

    def need(self, name: str) -> str:
        found = self.get(name)
        if not found:
            raise self.wrong(name, "it is required")
        return found

    def number(self, name: str, otherwise: str = "") -> int:
        try:
            return int(self.get(name, otherwise))
        except ValueError:
            raise self.wrong(name, "it is a whole number") from None

    def wrong(self, name: str, why: str) -> QueryError:
        place = f"{self._table['database']}.{self._table['name']}"
        return QueryError(
            "INVALID_TABLE_PROPERTY",
            f"table {place} has projection.{self._key}.{name} = {self.get(name)!r}: {why}",
        )


def _enum(settings: _Settings, now: datetime) -> Iterator[str]:  # noqa: ARG001 - as the other kinds
    return (value.strip() for value in settings.need("values").split(","))


def _integers(settings: _Settings, now: datetime) -> Iterator[str]:  # noqa: ARG001 - as the other kinds
    try:
        first, last = (int(part) for part in settings.need("range").split(","))
    except ValueError:
        raise settings.wrong("range", "it is two whole numbers, like 0,23") from None
    digits, step = settings.number("digits", "0"), settings.number("interval", "1")
    if step < 1:
        raise settings.wrong("interval", "it is at least 1")
    return (f"{number:0{digits}d}" for number in range(first, last + 1, step))


def _dates(settings: _Settings, now: datetime) -> Iterator[str]:
    pattern = _strptime(settings)
    bounds = settings.need("range").split(",")
    if len(bounds) != 2:
        raise settings.wrong("range", "it is two dates, like 2024/01/01,NOW")
    first, last = (_moment(settings, bound.strip(), pattern, now) for bound in bounds)
    finest = next((unit for letter, unit in _FINEST if letter in pattern), "YEARS")
    if finest not in ("DAYS", "MONTHS") and not settings.get("interval.unit"):
        raise settings.wrong("interval.unit", "it is required unless the format ends with days or months")
    unit = settings.get("interval.unit", finest).upper()
    unit = unit if unit.endswith("S") else unit + "S"
    step = settings.number("interval", "1")
    if step < 1:
        raise settings.wrong("interval", "it is at least 1")
    if unit not in (*_UNITS, "MONTHS", "YEARS"):
        raise settings.wrong("interval.unit", "it is YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES or SECONDS")
    number = 0
    while (moment := _after(first, number * step, unit)) <= last:
        yield moment.strftime(pattern)
        number += 1


_FINEST = (("%S", "SECONDS"), ("%M", "MINUTES"), ("%H", "HOURS"), ("%d", "DAYS"), ("%m", "MONTHS"))


def _after(start: datetime, count: int, unit: str) -> datetime:
    if unit in _UNITS:
        return start + timedelta(**{_UNITS[unit]: count})
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "YEARS" else 1)
    return start.replace(year=months // 12, month=months % 12 + 1, day=1)


def _moment(settings: _Settings, text: str, pattern: str, now: datetime) -> datetime:
    relative = _NOW.fullmatch(text)
    if relative:
        sign, count, unit = relative.groups()
        moved = int(f"{sign}{count}") if count else 0
        # As a folder of the table would be called, so that NOW is the whole present day, hour or month.
        at = _after(now, moved, f"{unit.upper()}S") if unit else now
        return datetime.strptime(at.strftime(pattern), pattern).replace(tzinfo=UTC)
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC)
    except ValueError:
        raise settings.wrong("range", f"{text!r} does not have the format {settings.get('format')}") from None


def _strptime(settings: _Settings) -> str:
    """A java.time pattern as Python's; letters that are not translated are refused."""
    found = []
    for match in _PATTERN.finditer(settings.need("format")):
        if match["other"]:
            raise settings.wrong("format", f"local AWS does not know {match['other']!r} in it")
        text = match["text"] or match["sign"]
        found.append(text.replace("%", "%%") if text else _LETTERS[match[0]])
    return "".join(found)


def _injected(table: Mapping[str, Any], key: str, filters: list[exp.Expr]) -> list[str]:
    """The values that WHERE compares the key with: there is no other list of them."""
    for condition in filters:
        column, given = condition.this, condition.args.get("expression")
        if not isinstance(column, exp.Column) or column.name.lower() != key:
            continue
        if isinstance(condition, exp.EQ) and isinstance(given, exp.Literal):
            return [given.name]
        if isinstance(condition, exp.In) and all(isinstance(v, exp.Literal) for v in condition.expressions):
            return [value.name for value in condition.expressions]
    raise QueryError(
        "CONSTRAINT_VIOLATION",
        f"For the injected projected partition column {key}, the WHERE clause must contain only static "
        f"equality conditions, and at least one such condition must be present (table {table['name']})",
    )
