"""The rewriting itself: each node of the typed tree becomes what computes the same in DuckDB."""

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local_aws.services.athena.engine import aggregates, casts, operators, times
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.functions import NAMED, TYPED
from local_aws.services.athena.engine.operators import call
from local_aws.services.athena.engine.typing_rules import (
    is_unknown,
    kind_of,
)

_T = exp.DType
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_FORMAT = re.compile(r"%(?P<flags>[-0+ ]*)(?P<width>\d*)(?P<precision>\.\d+)?(?P<kind>.)")


def apply(tree: exp.Expr) -> exp.Expr:
    """Rewrite bottom-up, so that every rule sees rewritten arguments with their Trino types."""
    for node in reversed(list(tree.walk(bfs=True))):
        rule = _rule_for(node)
        new = rule(node) if rule else None
        if new is not None and new is not node:
            new._type = node._type
            if node is tree:
                tree = new
            else:
                node.replace(new)
    return tree


def _rule_for(node: exp.Expr) -> Callable[[Any], exp.Expr | None] | None:
    special = _SPECIAL.get(type(node))
    if special:
        return special
    if isinstance(node, _COMPARISONS):
        return operators.comparison
    known = TYPED.get(type(node))
    if known and known.call:
        return _by_table
    return None


def _by_table(node: exp.Expr) -> exp.Expr:
    known = TYPED[type(node)]
    arguments: list[exp.Expr] = []
    for key in known.keys:
        value = node.args.get(key)
        arguments.extend(value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else [])
    given = [
        key
        for key, value in node.args.items()
        if key not in known.keys and (isinstance(value, exp.Expr) or (isinstance(value, list) and value))
    ]
    if given:
        raise QueryError(
            "NOT_SUPPORTED",
            f"function {node.sql_name().lower()} with argument {given[0]!r} is not computed by local AWS",
        )
    return call(known.call or "", *arguments)


def _anonymous(node: exp.Anonymous) -> exp.Expr | None:
    name = str(node.this).lower()
    arguments = node.expressions
    if name.startswith("t_") or name not in NAMED:
        if name == "t_subscript" and kind_of(arguments[0]).is_type(_T.MAP):
            return call("t_map_subscript", *arguments)
        if name == "t_element_at" and kind_of(arguments[0]).is_type(_T.MAP):
            return call("t_map_element", *arguments)
        return None
    if name == "e":
        return call("exp", exp.Literal.number(1))
    if name in ("nan", "infinity"):
        return exp.cast(exp.Literal.string(name), _T.DOUBLE)
    if name in ("any_match", "all_match", "none_match"):
        return call(f"t_{name.split('_')[0]}", call("list_transform", *arguments))
    if name == "map_agg":
        return call("map", call("list", arguments[0]), call("list", arguments[1]))
    if name == "to_iso8601":
        return times.to_iso8601(node)
    known = NAMED[name]
    return call(known.call, *arguments) if known.call else None


def _round(node: exp.Round) -> exp.Expr:
    kind, decimals = kind_of(node.this), node.args.get("decimals")
    rounded = call("round", node.this, decimals)
    if kind.is_type(_T.DECIMAL):
        return exp.Cast(this=rounded, to=kind_of(node).copy())
    return rounded


def _trim(node: exp.Trim) -> exp.Expr:
    position = (node.args.get("position") or "BOTH").upper()
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(position, "trim")
    characters = node.args.get("expression")
    return call(name, node.this, characters) if characters else call(f"t_{name}", node.this)


def _pad(node: exp.Pad) -> exp.Expr:
    name = "lpad" if node.args.get("is_left") else "rpad"
    return call(name, node.this, exp.cast(node.expression.copy(), "INTEGER"), node.args.get("fill_pattern"))


def _concat(node: exp.Concat) -> exp.Expr:
    parts = [part.copy() for part in node.expressions]
    return exp.paren(_chain(parts)) if parts else node


def _chain(parts: list[exp.Expr]) -> exp.Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = exp.DPipe(this=whole, expression=part)
    return whole


def _regexp_replace(node: exp.RegexpReplace) -> exp.Expr:
    replacement = node.args.get("replacement")
    if replacement is None:
        text = exp.Literal.string("")
    elif isinstance(replacement, exp.Literal) and replacement.is_string:
        text = exp.Literal.string(
            re.sub(r"\$(\d)", r"\\\1", replacement.name.replace("\\$", "\x00")).replace("\x00", "$")
        )
    else:
        raise QueryError(
            "NOT_SUPPORTED", "regexp_replace with a computed replacement is not computed by local AWS"
        )
    return call("regexp_replace", node.this, node.expression, text, exp.Literal.string("g"))


def _format(node: exp.Format) -> exp.Expr:
    pattern = node.this
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise QueryError("NOT_SUPPORTED", "format with a computed pattern is not computed by local AWS")
    arguments = iter(node.expressions)
    values = []
    for spec in _FORMAT.finditer(pattern.name):
        kind = spec["kind"]
        if kind == "%":
            continue
        if kind not in "sdfxX":
            raise QueryError("NOT_SUPPORTED", f"format specifier {spec[0]!r} is not computed by local AWS")
        value = next(arguments, None)
        if value is None:
            raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Invalid format string: {pattern.name}")
        if kind == "s":
            values.append(casts.to_text(value, kind_of(value), java=True))
        elif kind == "f":
            values.append(exp.cast(value.copy(), "DOUBLE"))
        else:
            values.append(exp.cast(value.copy(), "BIGINT"))
    return call("printf", pattern, *values)


def _digest(node: exp.SHA2Digest) -> exp.Expr:
    length = node.args.get("length")
    if length is not None and length.name != "256":
        raise QueryError("FUNCTION_NOT_FOUND", f"Function 'sha{length.name}' is not computed by local AWS")
    return call("t_sha256", node.this)


def _json_path(node: exp.Expr) -> str:
    path = node.expression
    text = path.sql("trino")
    return exp.Literal.string(text.strip("'").removeprefix("lax ")).sql("duckdb")


def _json_extract(node: exp.JSONExtract) -> exp.Expr:
    if (
        node.args.get("option")
        or node.args.get("quote")
        or node.args.get("on_condition")
        or node.args.get("json_query")
    ):
        raise QueryError("NOT_SUPPORTED", "json_query is not computed by local AWS; use json_extract")
    return call("t_json_extract", node.this, _json_path(node))


def _json_scalar(node: exp.JSONExtractScalar) -> exp.Expr:
    return call("t_json_scalar", node.this, _json_path(node))


def _reduce(node: exp.Reduce) -> exp.Expr:
    folded = call("list_reduce", node.this, node.args["merge"], node.args["initial"])
    finish = node.args.get("finish")
    if finish is None or not isinstance(finish, exp.Lambda):
        return folded
    (parameter,) = finish.expressions
    body = finish.this.copy()
    holder = exp.paren(body)
    for found in list(holder.find_all(exp.Column, exp.Identifier)):
        if found.name == parameter.name and not isinstance(found.parent, exp.Column):
            found.replace(folded.copy())
    return holder


def _array_sort(node: exp.ArraySort) -> exp.Expr:
    if node.args.get("expression"):
        raise QueryError("NOT_SUPPORTED", "array_sort with a comparator is not computed by local AWS")
    return call("t_array_sort", node.this)


def _approx_quantile(node: exp.ApproxQuantile) -> exp.Expr:
    if node.args.get("weight") or node.args.get("accuracy"):
        raise QueryError("NOT_SUPPORTED", "approx_percentile with a weight is not computed by local AWS")
    return call("approx_quantile", node.this, node.args["quantile"])


def _typeof(node: exp.Typeof) -> exp.Expr:
    kind = kind_of(node.this)
    if is_unknown(kind):
        raise QueryError("NOT_SUPPORTED", f"local AWS cannot tell the type of {node.this.sql('trino')!r}")
    # Here, unlike in its messages, Trino puts no space after the precision of a decimal.
    return exp.Literal.string(re.sub(r"(decimal\(\d+), ", r"\1,", casts.name(kind)))


def _length(node: exp.ArraySize) -> exp.Expr:
    return call("cardinality" if kind_of(node.this).is_type(_T.MAP) else "len", node.this)


def _greatest(node: exp.Greatest | exp.Least) -> exp.Expr:
    name = "greatest" if isinstance(node, exp.Greatest) else "least"
    values = [node.this, *node.expressions]
    missing = exp.or_(*(exp.Is(this=exp.paren(value.copy()), expression=exp.Null()) for value in values))
    return exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=call(name, *values))


_SPECIAL: dict[type[exp.Expr], Callable[[Any], exp.Expr | None]] = {
    exp.Anonymous: _anonymous,
    exp.Div: operators.divide,
    exp.Add: operators.add_or_subtract,
    exp.Sub: operators.add_or_subtract,
    exp.Mul: operators.multiply,
    exp.Mod: operators.multiply,
    exp.Between: operators.between,
    exp.In: operators.contained,
    exp.Sum: aggregates.total,
    exp.Avg: aggregates.average,
    exp.Round: _round,
    exp.Trim: _trim,
    exp.Pad: _pad,
    exp.Concat: _concat,
    exp.DPipe: operators.pipe,
    exp.RegexpReplace: _regexp_replace,
    exp.Format: _format,
    exp.SHA2Digest: _digest,
    exp.JSONExtract: _json_extract,
    exp.JSONExtractScalar: _json_scalar,
    exp.ParseJSON: lambda node: exp.cast(node.this.copy(), "JSON"),
    exp.JSONFormat: lambda node: exp.cast(node.this.copy(), "VARCHAR"),
    exp.Encode: lambda node: call("encode", node.this),
    exp.Decode: lambda node: call("decode", node.this),
    exp.ArraySort: _array_sort,
    exp.Reduce: _reduce,
    exp.ApproxQuantile: _approx_quantile,
    exp.Typeof: _typeof,
    exp.ArraySize: _length,
    exp.Greatest: _greatest,
    exp.Least: _greatest,
    exp.Cast: casts.rewrite,
    exp.TryCast: casts.rewrite,
    exp.Date: lambda node: casts.rewrite(exp.Cast(this=node.this.copy(), to=exp.DataType.build("DATE"))),
    exp.TimestampTrunc: times.truncate,
    exp.DateTrunc: times.truncate,
    exp.DateAdd: times.add,
    exp.DateDiff: times.difference,
    exp.TimeToStr: times.to_text,
    exp.StrToTime: times.from_text,
    exp.Extract: times.extract,
    exp.UnixToTime: times.from_unix,
}
