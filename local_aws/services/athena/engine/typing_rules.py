"""Trino's type of each expression, where sqlglot's own inference has no answer or another one."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlglot import exp
from sqlglot.dialects.athena import Athena
from sqlglot.optimizer.annotate_types import TypeAnnotator

Annotator = Callable[[TypeAnnotator, exp.Expr], exp.Expr]

INTEGERS = (exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT)
_ORDER = [*INTEGERS, exp.DType.DECIMAL, exp.DType.FLOAT, exp.DType.DOUBLE]
_DIGITS = {exp.DType.TINYINT: 3, exp.DType.SMALLINT: 5, exp.DType.INT: 10, exp.DType.BIGINT: 19}
UNKNOWN = exp.DType.UNKNOWN.into_expr()


def kind_of(node: exp.Expr | None) -> exp.DataType:
    """The annotated type; UNKNOWN when there is none."""
    return node.type if node is not None and isinstance(node.type, exp.DataType) else UNKNOWN


def is_numeric(kind: exp.DataType) -> bool:
    """Whether it is one of Trino's number types."""
    return kind.this in _ORDER


def is_text(kind: exp.DataType) -> bool:
    """Whether it is a varchar, in any of sqlglot's spellings."""
    return kind.is_type(*exp.DataType.TEXT_TYPES)


def is_unknown(kind: exp.DataType) -> bool:
    """Whether the type could not be inferred."""
    return kind.this == exp.DType.UNKNOWN


def decimal(precision: int, scale: int) -> exp.DataType:
    """decimal(precision, scale), at most 38 digits."""
    return exp.DataType.build(f"DECIMAL({min(38, precision)}, {min(38, scale)})", dialect="trino")


def decimal_of(kind: exp.DataType) -> tuple[int, int]:
    """Precision and scale that a number type has as a decimal."""
    if kind.is_type(exp.DType.DECIMAL):
        sizes = [int(part.name) for part in kind.expressions]
        return (sizes[0] if sizes else 38), (sizes[1] if len(sizes) > 1 else 0)
    return _DIGITS.get(kind.this, 38), 0


def common(kinds: Iterable[exp.DataType]) -> exp.DataType:
    """The type that CASE, COALESCE and their like give to several; UNKNOWN when there is none."""
    known = [kind for kind in kinds if kind.this != exp.DType.NULL]
    if not known:
        return exp.DType.NULL.into_expr()
    first = known[0]
    if all(is_numeric(kind) for kind in known):
        top = max(known, key=lambda kind: _ORDER.index(kind.this))
        if top.is_type(exp.DType.DECIMAL):
            sizes = [decimal_of(kind) for kind in known]
            scale = max(scale for _, scale in sizes)
            return decimal(max(p - s for p, s in sizes) + scale, scale)
        return top
    times = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ)
    if all(kind.this in times for kind in known):
        return max(known, key=lambda kind: times.index(kind.this))
    return first if all(kind.this == first.this for kind in known) else UNKNOWN


def arithmetic(operator: type[exp.Expr], left: exp.DataType, right: exp.DataType) -> exp.DataType:
    """Type of a binary arithmetic expression."""
    if is_numeric(left) and is_numeric(right):
        if exp.DType.DECIMAL in (left.this, right.this) and not {left.this, right.this} & {
            exp.DType.FLOAT,
            exp.DType.DOUBLE,
        }:
            return _decimal_arithmetic(operator, decimal_of(left), decimal_of(right))
        return max((left, right), key=lambda kind: _ORDER.index(kind.this))
    moments = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ)
    if left.this in moments and right.this in moments:
        return exp.DType.INTERVAL.into_expr()
    for moment, other in ((left, right), (right, left)):
        if moment.this in moments and other.this == exp.DType.INTERVAL:
            return moment
    return UNKNOWN


def _decimal_arithmetic(
    operator: type[exp.Expr], left: tuple[int, int], right: tuple[int, int]
) -> exp.DataType:
    (p1, s1), (p2, s2) = left, right
    scale = max(s1, s2)
    if operator is exp.Mul:
        return decimal(p1 + p2, s1 + s2)
    if operator is exp.Div:
        return decimal(p1 + s2 + max(0, s2 - s1), scale)
    if operator is exp.Mod:
        return decimal(min(p1 - s1, p2 - s2) + scale, scale)
    return decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)


def _literal(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    text = node.name
    if node.args.get("is_string"):
        kind: Any = exp.DType.VARCHAR
    elif "e" in text.lower():
        kind = exp.DType.DOUBLE
    elif "." in text:
        whole, _, fraction = text.partition(".")
        digits = len(whole.lstrip("0")) + len(fraction)
        kind = decimal(max(digits, len(fraction), 1), len(fraction))
    else:
        kind = exp.DType.INT if int(text) < 2**31 else exp.DType.BIGINT
    return annotator._set_type(node, kind)


def _binary(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    return annotator._set_type(node, arithmetic(type(node), kind_of(node.left), kind_of(node.right)))


def _common_of(*keys: str) -> Annotator:
    def annotate(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
        parts: list[exp.Expr] = []
        for key in keys:
            value = node.args.get(key)
            parts.extend(value if isinstance(value, list) else [value] if value is not None else [])
        return annotator._set_type(node, common(kind_of(part) for part in parts))

    return annotate


def _case(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    results = [branch.args["true"] for branch in node.args["ifs"]]
    if node.args.get("default") is not None:
        results.append(node.args["default"])
    return annotator._set_type(node, common(kind_of(result) for result in results))


def _sum(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    kind = kind_of(node.this)
    if kind.this in INTEGERS:
        kind = exp.DType.BIGINT.into_expr()
    elif kind.is_type(exp.DType.DECIMAL):
        kind = decimal(38, decimal_of(kind)[1])
    return annotator._set_type(node, kind)


def _avg(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    kind = kind_of(node.this)
    return annotator._set_type(node, exp.DType.DOUBLE if kind.this in INTEGERS else kind)


def _round(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    kind = kind_of(node.this)
    if kind.is_type(exp.DType.DECIMAL):
        p, s = decimal_of(kind)
        kind = decimal(p + 1, s) if node.args.get("decimals") is not None else decimal(p - s + min(1, s), 0)
    return annotator._set_type(node, kind)


def _whole(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    kind = kind_of(node.this)
    if kind.is_type(exp.DType.DECIMAL):
        p, s = decimal_of(kind)
        kind = decimal(p - s + min(1, s), 0)
    return annotator._set_type(node, kind)


def same(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    """The type of the first argument."""
    return annotator._set_type(node, kind_of(node.this))


def fixed(kind: exp.DType) -> Annotator:
    """Always this type."""
    return lambda annotator, node: annotator._set_type(node, kind)


def array_of_first(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    """array(T) for a first argument of type T."""
    return annotator._set_type(
        node, exp.DataType(this=exp.DType.ARRAY, expressions=[kind_of(node.this)], nested=True)
    )


def element_of_first(annotator: TypeAnnotator, node: exp.Expr) -> exp.Expr:
    """T for a first argument of type array(T) or map(K, T)."""
    return annotator._set_type(node, inner(kind_of(node.this), -1))


def inner(kind: exp.DataType, index: int) -> exp.DataType:
    """Element, key (0) or value (-1) type of an array or map."""
    if kind.is_type(exp.DType.ARRAY, exp.DType.LIST, exp.DType.MAP) and kind.expressions:
        part = kind.expressions[index]
        return part if isinstance(part, exp.DataType) else UNKNOWN
    return UNKNOWN


METADATA: dict[type[exp.Expr], dict[str, Any]] = {
    **Athena().EXPRESSION_METADATA,
    exp.Literal: {"annotator": _literal},
    **{operator: {"annotator": _binary} for operator in (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)},
    exp.Case: {"annotator": _case},
    exp.If: {"annotator": _common_of("true", "false")},
    exp.Coalesce: {"annotator": _common_of("this", "expressions")},
    exp.Greatest: {"annotator": _common_of("this", "expressions")},
    exp.Least: {"annotator": _common_of("this", "expressions")},
    exp.Nullif: {"annotator": same},
    exp.Sum: {"annotator": _sum},
    exp.Avg: {"annotator": _avg},
    exp.Round: {"annotator": _round},
    exp.Ceil: {"annotator": _whole},
    exp.Floor: {"annotator": _whole},
    exp.Try: {"annotator": same},
}
