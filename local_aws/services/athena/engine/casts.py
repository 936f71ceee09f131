"""CAST and TRY_CAST with Trino's rules: what text is a number, how a number or a time is written."""

import re

from sqlglot import exp

from local_aws.services.athena.engine.errors import QueryError, raising
from local_aws.services.athena.engine.typing_rules import INTEGERS, is_unknown, kind_of

_T = exp.DType
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
# What Trino accepts as text. DuckDB accepts more: '1.9' and ' 1 ' as an integer, '2024/01/31' as a date.
PATTERNS: dict[exp.DType, str] = {
    **dict.fromkeys(INTEGERS, r"[+-]?[0-9]+"),
    _T.DOUBLE: rf"\s*({_NUMBER}|[+-]?(NaN|Infinity))\s*",
    _T.FLOAT: rf"\s*({_NUMBER}|[+-]?(NaN|Infinity))\s*",
    _T.DECIMAL: _NUMBER,
    _T.BOOLEAN: r"(?i)t|f|true|false|1|0",
    _T.DATE: r"\s*[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\s*",
    _T.TIMESTAMP: r"\s*[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?)?)?\s*",
}
_MOMENTS = (_T.DATE, _T.TIMESTAMP, _T.TIMESTAMPTZ, _T.TIME)


def name(kind: exp.DataType) -> str:
    """Trino's name of a type, in lower case."""
    text = kind.sql("trino").lower()
    return {"int": "integer", "timestamp": "timestamp(3)", "timestamptz": "timestamp(3) with time zone"}.get(
        text, text
    )


def rewrite(node: exp.Cast) -> exp.Expr | None:
    """A cast as DuckDB computes it with Trino's meaning."""
    target: exp.DataType = node.to
    source = kind_of(node.this)
    attempt = isinstance(node, exp.TryCast)
    if target.is_type(_T.TIMESTAMP, _T.TIMESTAMPTZ, _T.TIME) and target.expressions:
        target = exp.DataType(this=target.this)
        node.set("to", target)
    if target.is_type(_T.CHAR, _T.NCHAR):
        raise QueryError("NOT_SUPPORTED", "CAST to char(n) is not computed by local AWS; use varchar")
    if target.is_type(_T.VARCHAR, _T.TEXT):
        text = to_text(node.this, source)
        return _shortened(text, target)
    if target.is_type(_T.JSON):
        return exp.Anonymous(this="to_json", expressions=[node.this.copy()])
    if source.is_type(_T.JSON) and not target.is_type(_T.JSON):
        node.set("this", exp.Anonymous(this="t_json_text", expressions=[node.this.copy()]))
        return node
    if source.is_type(*exp.DataType.TEXT_TYPES) and target.this in PATTERNS:
        return _from_text(node, target, attempt)
    if source.is_type(_T.DOUBLE, _T.FLOAT) and target.this in INTEGERS:
        node.set("this", exp.Anonymous(this="round", expressions=[node.this.copy()]))
        return node
    if is_unknown(source) and target.this in PATTERNS and not isinstance(node.this, exp.Null):
        raise QueryError(
            "NOT_SUPPORTED",
            f"local AWS cannot tell the type of {node.this.sql('trino')!r}, which it needs for this CAST",
        )
    return node


def to_text(value: exp.Expr, kind: exp.DataType, *, java: bool = False) -> exp.Expr:
    """A value as text. `java`: as `format('%s', ...)` writes it, where a double is `1.0` and not `1.0E0`."""
    del java
    if kind.is_type(_T.DOUBLE, _T.FLOAT):
        return exp.Anonymous(this="t_double_text", expressions=[value.copy()])
    if kind.is_type(_T.TIMESTAMP):
        return exp.Anonymous(this="t_timestamp_text", expressions=[value.copy()])
    if kind.is_type(_T.TIMESTAMPTZ):
        text = exp.Anonymous(this="t_timestamp_text", expressions=[value.copy()])
        return exp.paren(exp.DPipe(this=text, expression=exp.Literal.string(" UTC")))
    if kind.is_type(_T.JSON):
        return exp.Anonymous(this="t_json_text", expressions=[value.copy()])
    if kind.is_type(_T.ARRAY, _T.MAP, _T.STRUCT):
        raise QueryError("TYPE_MISMATCH", f"Cannot cast {name(kind)} to varchar")
    if is_unknown(kind) and not isinstance(value, exp.Null):
        raise QueryError(
            "NOT_SUPPORTED",
            f"local AWS cannot tell the type of {value.sql('trino')!r}, on which its text depends",
        )
    return exp.cast(value.copy(), "VARCHAR", dialect="duckdb")


def _shortened(text: exp.Expr, target: exp.DataType) -> exp.Expr:
    """varchar(n) keeps the first n characters."""
    if not target.expressions:
        return text
    return exp.Anonymous(this="left", expressions=[text, exp.Literal.number(target.expressions[0].name)])


def _from_text(node: exp.Cast, target: exp.DataType, attempt: bool) -> exp.Expr:
    pattern = PATTERNS[target.this]
    value = node.this
    if isinstance(value, exp.Literal) and re.fullmatch(pattern, value.name):
        return node
    text = value.sql("duckdb")
    condition = f"regexp_full_match({text}, {exp.Literal.string(pattern).sql('duckdb')})"
    otherwise = "NULL"
    if not attempt:
        message = f"'Cannot cast ''' || ({text}) || ''' to {name(target).upper()}'"
        otherwise = raising("INVALID_CAST_ARGUMENT", message)
    checked = (
        f"CASE WHEN {condition} THEN {text} WHEN ({text}) IS NOT NULL THEN CAST({otherwise} AS VARCHAR) END"
    )
    node.set("this", exp.maybe_parse(checked, dialect="duckdb"))
    return node
