"""Metric math: arithmetic, comparisons and functions over time series.

After docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html. An expression is parsed
as a Python expression (nothing of it is ever run) and computed node by node; what is not listed here is
refused by name. A series is a dict from moment to value. An operation of two series has a value where both
have one;
division by zero has none.
"""

from __future__ import annotations

import ast
import math
import operator
import statistics
from collections.abc import Callable, Mapping
from datetime import datetime

Series = dict[datetime, float]
Value = Series | float


class InvalidExpression(ValueError):
    """The message names what cannot be computed."""


def compute(expression: str, inputs: Mapping[str, Series]) -> Series:
    """The series of an expression over the series of the queries it names. Raises InvalidExpression."""
    value = _Computation(inputs).value(_parsed(expression))
    if not isinstance(value, dict):
        raise InvalidExpression(f"{expression}: the result must be a time series, not a number")
    return value


def names(expression: str) -> set[str]:
    """The queries that an expression reads; all of them where it says METRICS(). Raises InvalidExpression."""
    tree = _parsed(expression)
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions}


def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise InvalidExpression(f"Error in expression {expression!r}: it cannot be parsed") from None


_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# Of one series a number, of several a series: as documented.
_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "SUM": math.fsum,
    "AVG": statistics.fmean,
    "MIN": min,
    "MAX": max,
}
_POINTWISE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


class _Computation:
    def __init__(self, inputs: Mapping[str, Series]) -> None:
        self._inputs = inputs

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.Name(id=name) if name in self._inputs:
                return self._inputs[name]
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return _combine(operator.mul, -1.0, self.value(inner))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _combine(_ARITHMETIC[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                test = _COMPARISONS[type(op)]
                return _combine(lambda a, b: float(test(a, b)), self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name.upper(), arguments)
        raise InvalidExpression(
            f"local AWS does not support {ast.unparse(node)!r} in a metric math expression"
        )

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "IF" and len(arguments) in (2, 3):
            test, yes = self.value(arguments[0]), self.value(arguments[1])
            no = self.value(arguments[2]) if len(arguments) == 3 else {}
            return _choose(test, yes, no)
        if name == "FILL" and len(arguments) == 2:
            series, filling = self.value(arguments[0]), self.value(arguments[1])
            if isinstance(series, dict) and not isinstance(filling, dict):
                moments = {moment for one in self._inputs.values() for moment in one}
                return {moment: series.get(moment, filling) for moment in sorted(moments)}
        if name in _POINTWISE and len(arguments) == 1:
            function = _POINTWISE[name]
            return _combine(lambda a, _: float(function(a)), self.value(arguments[0]), 0.0)
        if name in _AGGREGATES and len(arguments) == 1:
            return self._aggregate(_AGGREGATES[name], arguments[0])
        raise InvalidExpression(f"local AWS does not support {name} with {len(arguments)} arguments here")

    def _aggregate(self, function: Callable[[list[float]], float], argument: ast.expr) -> Value:
        match argument:
            case ast.List(elts=elements):
                series = [self.value(element) for element in elements]
            case ast.Call(func=ast.Name(id="METRICS"), args=[]):
                series = list(self._inputs.values())
            case _:
                value = self.value(argument)
                if not isinstance(value, dict):
                    raise InvalidExpression("a function of a series was given a number")
                return float(function(list(value.values()))) if value else {}
        moments = sorted({moment for one in series if isinstance(one, dict) for moment in one})
        found = {}
        for moment in moments:
            values = [one[moment] if isinstance(one, dict) else one for one in series
                      if not isinstance(one, dict) or moment in one]  # fmt: skip
            found[moment] = float(function(values))
        return found


def _combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if not isinstance(left, dict) and not isinstance(right, dict):
        return function(left, right)
    found: Series = {}
    for moment in _moments(left, right):
        try:
            found[moment] = float(function(_at(left, moment), _at(right, moment)))
        except (ZeroDivisionError, OverflowError, TypeError):
            continue  # no value, as where a series has none
    return found


def _choose(test: Value, yes: Value, no: Value) -> Value:
    if not isinstance(test, dict):
        return yes if test else no
    found: Series = {}
    for moment, value in test.items():
        chosen = yes if value else no
        if not isinstance(chosen, dict) or moment in chosen:
            found[moment] = _at(chosen, moment)
    return found


def _moments(left: Value, right: Value) -> list[datetime]:
    if isinstance(left, dict) and isinstance(right, dict):
        return [moment for moment in left if moment in right]
    return list(left if isinstance(left, dict) else right)  # type: ignore[arg-type]  # one of them is


def _at(value: Value, moment: datetime) -> float:
    return value[moment] if isinstance(value, dict) else value
