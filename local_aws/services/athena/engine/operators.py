"""Operators: division by type, exact decimals, dates that stay dates, and comparisons that Trino refuses."""

from sqlglot import exp

from local_aws.services.athena.engine import casts, times
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.typing_rules import (
    INTEGERS,
    decimal_of,
    is_numeric,
    is_text,
    is_unknown,
    kind_of,
)

_T = exp.DType


def call(name: str, *arguments: exp.Expr | str | None) -> exp.Anonymous:
    """A call of a DuckDB function or macro."""
    parts = [
        part.copy() if isinstance(part, exp.Expr) else exp.maybe_parse(part, dialect="duckdb")
        for part in arguments
        if part is not None
    ]
    return exp.Anonymous(this=name, expressions=parts)


def divide(node: exp.Div) -> exp.Expr:
    """`/`: whole numbers truncate, decimals are exact, doubles may be infinite."""
    left, right = kind_of(node.left), kind_of(node.right)
    if not (is_numeric(left) and is_numeric(right)):
        raise _untyped(node, "/", left, right)
    if left.this in INTEGERS and right.this in INTEGERS:
        return exp.IntDiv(this=_wrapped(node.left), expression=_wrapped(node.right))
    if {left.this, right.this} & {_T.DOUBLE, _T.FLOAT}:
        return call("t_div", node.left, node.right)
    return decimal_division(node.left, left, node.right, right)


def decimal_division(
    left: exp.Expr, left_kind: exp.DataType, right: exp.Expr, right_kind: exp.DataType
) -> exp.Expr:
    """Exact, rounded half up, with Trino's precision and scale: over whole numbers of the last digit."""
    (p1, s1), (_, s2) = decimal_of(left_kind), decimal_of(right_kind)
    scale = max(s1, s2)
    precision = min(38, p1 + s2 + max(0, s2 - s1))
    shift = scale - s1 + s2
    numerator = f"CAST(({left.sql('duckdb')}) * {_power(s1)} AS HUGEINT) * {_power(shift)}"
    denominator = f"CAST(({right.sql('duckdb')}) * {_power(s2)} AS HUGEINT)"
    unit = "1" if scale == 0 else f"0.{'0' * (scale - 1)}1"
    quotient = call("t_half_up", numerator, denominator).sql("duckdb")
    return exp.maybe_parse(
        f"CAST(CAST({quotient} AS DECIMAL({precision}, 0)) * {unit} AS DECIMAL({precision}, {scale}))",
        dialect="duckdb",
    )


def _power(exponent: int) -> str:
    return "1" + "0" * exponent


def _wrapped(node: exp.Expr) -> exp.Expr:
    return exp.paren(node.copy()) if isinstance(node, exp.Binary) else node.copy()


def add_or_subtract(node: exp.Binary) -> exp.Expr | None:
    """`+` and `-`, refused for text."""
    left, right = kind_of(node.left), kind_of(node.right)
    if is_text(left) or is_text(right):
        raise _untyped(node, "+" if isinstance(node, exp.Add) else "-", left, right)
    return times.arithmetic(node, left, right)


def multiply(node: exp.Binary) -> exp.Expr | None:
    """`*` and `%`, refused for text."""
    left, right = kind_of(node.left), kind_of(node.right)
    if is_text(left) or is_text(right):
        raise _untyped(node, "*" if isinstance(node, exp.Mul) else "%", left, right)
    return None


def comparison(node: exp.Binary) -> None:
    """Comparisons are refused between text, numbers, moments and booleans."""
    _same_family(node, kind_of(node.left), kind_of(node.right))


def between(node: exp.Between) -> None:
    """BETWEEN, as comparisons."""
    for bound in (node.args["low"], node.args["high"]):
        _same_family(node, kind_of(node.this), kind_of(bound))


def contained(node: exp.In) -> None:
    """IN, as comparisons."""
    for value in node.expressions:
        _same_family(node, kind_of(node.this), kind_of(value))


def _family(kind: exp.DataType) -> str | None:
    if is_numeric(kind):
        return "number"
    if is_text(kind):
        return "text"
    if kind.this in (_T.DATE, _T.TIMESTAMP, _T.TIMESTAMPTZ):
        return "moment"
    return "boolean" if kind.this == _T.BOOLEAN else None


def _same_family(node: exp.Expr, left: exp.DataType, right: exp.DataType) -> None:
    families = {_family(left), _family(right)} - {None}
    if len(families) > 1:
        raise _untyped(node, _OPERATORS.get(type(node), "="), left, right)


_OPERATORS = {
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Between: "BETWEEN",
    exp.In: "IN",
}


def _untyped(node: exp.Expr, operator: str, left: exp.DataType, right: exp.DataType) -> QueryError:
    if is_unknown(left) or is_unknown(right):
        return QueryError(
            "NOT_SUPPORTED",
            f"local AWS cannot tell the types in {node.sql('trino')!r}, on which it depends: add a CAST",
        )
    return QueryError(
        "TYPE_MISMATCH",
        f"Cannot apply operator: {casts.name(left)} {operator} {casts.name(right)} in {node.sql('trino')!r}",
    )


def pipe(node: exp.DPipe) -> None:
    """`||` joins texts or arrays only."""
    for side in (node.left, node.right):
        if is_numeric(kind_of(side)) or kind_of(side).this in (_T.DATE, _T.TIMESTAMP, _T.BOOLEAN):
            raise QueryError(
                "TYPE_MISMATCH", f"Unexpected parameters ({casts.name(kind_of(side))}) for function concat"
            )
