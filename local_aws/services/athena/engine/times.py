"""Dates and times: units, full-unit differences, dates that stay dates, and MySQL's format letters."""

import re

from sqlglot import exp

from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.typing_rules import is_unknown, kind_of

_T = exp.DType
_DATE_UNITS = ("day", "week", "month", "quarter", "year")
_UNITS = (*_DATE_UNITS, "hour", "minute", "second", "millisecond")
# strftime letters that both sides write alike, after sqlglot has turned MySQL's into strftime's.
_LETTERS = re.compile(r"%(-?[a-zA-Z%])")
_KNOWN_LETTERS = frozenset(
    ["a", "A", "b", "B", "d", "-d", "H", "-H", "I", "-I", "j", "m", "-m", "M", "S", "y", "Y", "p", "f", "%"]
)
_FIELDS = {
    "year": "year",
    "quarter": "quarter",
    "month": "month",
    "week": "week",
    "day": "day",
    "day_of_month": "day",
    "day_of_week": "isodow",
    "dayofweek": "isodow",
    "dow": "isodow",
    "day_of_year": "dayofyear",
    "dayofyear": "dayofyear",
    "doy": "dayofyear",
    "year_of_week": "isoyear",
    "yow": "isoyear",
    "hour": "hour",
    "minute": "minute",
    "second": "second",
}


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _unit(node: exp.Expr) -> str:
    unit = node.args.get("unit")
    text = unit.name.lower() if unit is not None else "day"
    if text not in _UNITS:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"'{text}' is not a valid TIMESTAMP field")
    return text


def _as_date(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, "DATE", dialect="duckdb")


def _need_type(value: exp.Expr) -> exp.DataType:
    kind = kind_of(value)
    if is_unknown(kind):
        raise QueryError(
            "NOT_SUPPORTED",
            f"local AWS cannot tell whether {value.sql('trino')!r} is a date or a timestamp: add a CAST",
        )
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        raise QueryError(
            "TYPE_MISMATCH", f"{value.sql('trino')!r} is a varchar, not a date or timestamp: add a CAST"
        )
    return kind


def truncate(node: exp.TimestampTrunc) -> exp.Expr:
    """date_trunc: of a date a date."""
    cut = _call("date_trunc", exp.Literal.string(_unit(node)), node.this)
    return _as_date(cut) if _need_type(node.this).is_type(_T.DATE) else cut


def add(node: exp.DateAdd) -> exp.Expr:
    """date_add: of a date a date."""
    unit = _unit(node)
    is_date = _need_type(node.this).is_type(_T.DATE)
    if is_date and unit not in _DATE_UNITS:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid DATE field")
    amount = exp.cast(
        node.expression.copy(), "INTEGER" if unit in _DATE_UNITS else "BIGINT", dialect="duckdb"
    )
    moved = exp.paren(exp.Add(this=exp.paren(node.this.copy()), expression=_call(f"to_{unit}s", amount)))
    return _as_date(moved) if is_date else moved


def difference(node: exp.DateDiff) -> exp.Expr:
    """date_diff counts full units."""
    start, end = node.expression, node.this
    kinds = {_need_type(start).this, _need_type(end).this}
    values = [value.copy() for value in (start, end)]
    if len(kinds) > 1:
        values = [exp.cast(value, "TIMESTAMP", dialect="duckdb") for value in values]
    return _call("date_sub", exp.Literal.string(_unit(node)), *values)


def arithmetic(node: exp.Binary, left: exp.DataType, right: exp.DataType) -> exp.Expr | None:
    """date + interval stays a date; date - date is an interval."""
    if left.is_type(_T.DATE) and right.is_type(_T.DATE):
        sides = [exp.cast(side.copy(), "TIMESTAMP", dialect="duckdb") for side in (node.left, node.right)]
        return exp.paren(type(node)(this=sides[0], expression=sides[1]))
    for moment, other, interval in ((left, right, node.right), (right, left, node.left)):
        if moment.is_type(_T.DATE) and other.is_type(_T.INTERVAL):
            unit = interval.find(exp.Interval)
            if unit is None or unit.args.get("unit") is None or _unit(unit) not in _DATE_UNITS:
                raise QueryError("NOT_SUPPORTED", "Cannot add hour, minutes or seconds to a date")
            return _as_date(exp.paren(node.copy()))
    return None


def extract(node: exp.Extract) -> exp.Expr:
    """extract(field FROM x), with Monday as day 1."""
    field = node.this.name.lower()
    if field not in _FIELDS:
        raise QueryError("NOT_SUPPORTED", f"extract({field}) is not computed by local AWS")
    return _call(_FIELDS[field], node.expression)


def _format_of(node: exp.Expr) -> exp.Expr:
    pattern = node.args["format"]
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise QueryError("NOT_SUPPORTED", "a computed date format is not computed by local AWS")
    for letter in _LETTERS.findall(pattern.name):
        if letter not in _KNOWN_LETTERS:
            raise QueryError(
                "INVALID_FUNCTION_ARGUMENT", f"%{letter} not supported in date format string by local AWS"
            )
    return pattern


def to_text(node: exp.TimeToStr) -> exp.Expr:
    """date_format."""
    _need_type(node.this)
    return _call("strftime", node.this, _format_of(node))


def from_text(node: exp.StrToTime) -> exp.Expr:
    """date_parse."""
    return _call("strptime", node.this, _format_of(node))


def from_unix(node: exp.UnixToTime) -> exp.Expr:
    """from_unixtime with one argument."""
    if node.args.get("zone") or node.args.get("hours") or node.args.get("minutes"):
        raise QueryError("NOT_SUPPORTED", "from_unixtime with a time zone is not computed by local AWS")
    return _call("to_timestamp", exp.cast(node.this.copy(), "DOUBLE", dialect="duckdb"))


def to_iso8601(node: exp.Anonymous) -> exp.Expr:
    """to_iso8601 of a date, a timestamp, or a timestamp with time zone."""
    (value,) = node.expressions
    kind = _need_type(value)
    pattern = "%Y-%m-%d" if kind.is_type(_T.DATE) else "%Y-%m-%dT%H:%M:%S.%g"
    zone = "Z" if kind.is_type(_T.TIMESTAMPTZ) else ""
    return _call("strftime", value, exp.Literal.string(pattern + zone))
