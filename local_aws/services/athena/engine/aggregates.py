"""Aggregates whose type differs: sums and means of whole numbers, decimals and reals."""

from collections.abc import Callable

from sqlglot import exp

from local_aws.services.athena.engine.operators import decimal_division
from local_aws.services.athena.engine.typing_rules import INTEGERS, decimal, decimal_of, kind_of

_T = exp.DType


def total(node: exp.Sum) -> exp.Expr | None:
    """sum: of whole numbers a bigint, of reals a real."""
    if kind_of(node.this).this in INTEGERS:
        return _outside(node, lambda whole: exp.cast(whole, "BIGINT", dialect="duckdb"))
    if kind_of(node.this).is_type(_T.FLOAT):
        return _outside(node, lambda whole: exp.cast(whole, "FLOAT", dialect="duckdb"))
    return None


def average(node: exp.Avg) -> exp.Expr | None:
    """avg: of decimals a decimal, of reals a real."""
    kind = kind_of(node.this)
    if kind.is_type(_T.FLOAT):
        return _outside(node, lambda whole: exp.cast(whole, "FLOAT", dialect="duckdb"))
    if not kind.is_type(_T.DECIMAL):
        return None
    total = decimal(38, decimal_of(kind)[1])

    def mean(whole: exp.Expr) -> exp.Expr:
        sums, counts = (_with_aggregate(whole, cls) for cls in (exp.Sum, exp.Count))
        return exp.Cast(
            this=decimal_division(sums, total, counts, exp.DataType.build("BIGINT")), to=kind.copy()
        )

    return _outside(node, mean)


def _with_aggregate(whole: exp.Expr, cls: type[exp.Expr]) -> exp.Expr:
    copy = whole.copy()
    average = copy.find(exp.Avg)
    changed = cls(this=average.this.copy()) if average else copy
    if average is copy:
        return changed
    if average:
        average.replace(changed)
    return copy


def _outside(node: exp.Expr, wrap: Callable[[exp.Expr], exp.Expr]) -> exp.Expr | None:
    """Apply `wrap` around an aggregate together with its FILTER and OVER, which cannot follow a cast."""
    top = node
    while isinstance(top.parent, exp.Filter | exp.Window | exp.IgnoreNulls) and top.parent.this is top:
        top = top.parent
    new = wrap(top.copy())
    new._type = node._type
    if top is node:
        return new
    top.replace(new)
    return None
