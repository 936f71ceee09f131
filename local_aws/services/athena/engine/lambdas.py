"""Types inside lambdas: `transform(numbers, x -> x / 2)` divides as the elements of `numbers` do."""

from collections.abc import Iterator
from typing import Any

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from local_aws.services.athena.engine.typing_rules import inner, kind_of

_MATCHES = ("any_match", "all_match", "none_match")


def infer(tree: exp.Expr, metadata: dict[type[exp.Expr], dict[str, Any]]) -> bool:
    """Annotate lambda bodies; returns whether there were any."""
    found = False
    for node in list(_in_order(tree)):
        if isinstance(node, exp.Transform):
            body = _body(node.expression, [inner(kind_of(node.this), -1)], metadata)
            node._type = exp.DataType(this=exp.DType.ARRAY, expressions=[body], nested=True)
            found = True
        elif isinstance(node, exp.ArrayFilter):
            _body(node.expression, [inner(kind_of(node.this), -1)], metadata)
            found = True
        elif (
            isinstance(node, exp.Anonymous)
            and str(node.this).lower() in _MATCHES
            and len(node.expressions) == 2
        ):
            _body(node.expressions[1], [inner(kind_of(node.expressions[0]), -1)], metadata)
            found = True
        elif isinstance(node, exp.Reduce):
            state = kind_of(node.args["initial"])
            _body(node.args["merge"], [state, inner(kind_of(node.this), -1)], metadata)
            finish = node.args.get("finish")
            node._type = _body(finish, [state], metadata) if finish is not None else state
            found = True
    return found


def _in_order(node: exp.Expr) -> Iterator[exp.Expr]:
    """A function after the array that it works on, and before what stands in its lambda."""
    children = list(node.iter_expressions())
    for child in children:
        if not isinstance(child, exp.Lambda):
            yield from _in_order(child)
    yield node
    for child in children:
        if isinstance(child, exp.Lambda):
            yield from _in_order(child)


def _body(
    function: exp.Expr, kinds: list[exp.DataType], metadata: dict[type[exp.Expr], dict[str, Any]]
) -> exp.DataType:
    """Give a lambda's parameters their types and infer its body's."""
    if not isinstance(function, exp.Lambda):
        return exp.DType.UNKNOWN.into_expr()
    types = {parameter.name: kind for parameter, kind in zip(function.expressions, kinds, strict=False)}
    for node in function.this.find_all(exp.Column, exp.Identifier):
        if node.name in types and not isinstance(node.parent, exp.Column) and not getattr(node, "table", ""):
            node._type = types[node.name].copy()
    annotate_types(function.this, expression_metadata=metadata, dialect="athena", overwrite_types=False)
    return kind_of(function.this).copy()
