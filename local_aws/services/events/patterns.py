"""Event patterns: does an event match, and is a pattern valid.

After docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html and, where that is silent, after
Event Ruler, the open-source library that EventBridge runs (github.com/aws/event-ruler): an event is flattened
into (path, value) fields, a pattern into alternatives of path -> matchers, and an alternative matches when
each of its paths has a field that matches and all the chosen fields come from the same elements of the
event's arrays. So `{"a": {"x": [1], "y": [2]}}` does not match
`{"a": [{"x": 1, "y": 0}, {"x": 0, "y": 2}]}`.

Numbers match by value (1 is 1.0), strings by case, and a path may be written `{"a.b": [...]}`.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NUMERIC_LIMIT = 5e9  # as documented under "Numeric matching"
LARGEST_PRODUCT = 1000  # alternatives that $or may unfold to

Membership = Mapping[str, int]  # path of an array -> index of the element that a field is in
Alternative = Mapping[str, "tuple[Matcher, ...]"]


class InvalidPattern(ValueError):
    """The message says what is wrong with the pattern, in EventBridge's words."""


@dataclass(frozen=True)
class Matcher:
    """One entry of a pattern's list: a test of a present value, or (absent) the demand that there is none."""

    test: Callable[[Any], bool]
    absent: bool = False


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern."""

    alternatives: tuple[Alternative, ...]

    def matches(self, event: Mapping[str, Any]) -> bool:
        fields: dict[str, list[tuple[Any, Membership]]] = {}
        for path, value, membership in _fields(event, "", {}):
            fields.setdefault(path, []).append((value, membership))
        return any(
            _consistent([_candidates(fields.get(path, []), tests) for path, tests in alternative.items()], {})
            for alternative in self.alternatives
        )


def compile_pattern(text: str) -> Pattern:
    """Parse and check a pattern. Raises InvalidPattern."""
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise InvalidPattern(str(error)) from None
    if not isinstance(parsed, dict):
        raise InvalidPattern("Filter is not an object")
    return Pattern(tuple(_alternatives(parsed, "")))


# Events.


def _fields(value: Any, path: str, membership: Membership) -> Iterator[tuple[str, Any, Membership]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else name, membership)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            # An array directly inside an array is part of the outer element.
            inside = membership if path in membership else {**membership, path: index}
            yield from _fields(inner, path, inside)
    else:
        yield path, value, membership


def _candidates(fields: list[tuple[Any, Membership]], matchers: tuple[Matcher, ...]) -> list[Membership]:
    """Array elements in which a path matches; {} for a match that is in no array."""
    if not fields:
        return [{}] if any(matcher.absent for matcher in matchers) else []
    tests = [matcher.test for matcher in matchers if not matcher.absent]
    return [membership for value, membership in fields if any(test(value) for test in tests)]


def _consistent(choices: list[list[Membership]], chosen: Membership) -> bool:
    if not choices:
        return True
    return any(
        all(chosen.get(path, index) == index for path, index in candidate.items())
        and _consistent(choices[1:], {**chosen, **candidate})
        for candidate in choices[0]
    )


# Patterns.


def _alternatives(pattern: dict[str, Any], path: str) -> list[Alternative]:
    if not pattern:
        raise InvalidPattern("Empty objects are not allowed")
    found: list[Alternative] = [{}]
    for name, value in pattern.items():
        inner = f"{path}.{name}" if path else name
        if name == "$or" and _is_relation(value):
            step = [alternative for branch in value for alternative in _alternatives(branch, path)]
        elif isinstance(value, dict):
            step = _alternatives(value, inner)
        elif isinstance(value, list):
            if not value:
                raise InvalidPattern("Empty arrays are not allowed")
            step = [{inner: tuple(_matcher(entry) for entry in value)}]
        else:
            raise InvalidPattern(f'"{name}" must be an object or an array')
        found = [{**one, **other} for one, other in itertools.product(found, step)]
        if len(found) > LARGEST_PRODUCT:
            raise InvalidPattern("Rule is too complex - try using fewer $or alternatives")
    return found


def _is_relation(value: Any) -> bool:
    """Whether `$or` is the operator, or the name of a field as any other (Event Ruler's rule)."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(branch, dict) and branch and not set(branch) & set(_OPERATORS) for branch in value)
    )


def _matcher(entry: Any) -> Matcher:
    if isinstance(entry, dict):
        if len(entry) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        ((operator, operand),) = entry.items()
        if operator not in _OPERATORS:
            raise InvalidPattern(f"Unrecognized match type {operator}")
        if operator == "exists":
            if not isinstance(operand, bool):
                raise InvalidPattern("exists match pattern must be either true or false.")
            return Matcher(lambda _: True, absent=not operand)
        return Matcher(_OPERATORS[operator](operand))
    if isinstance(entry, list):
        raise InvalidPattern("Match value must be String, number, true, false, or null")
    return Matcher(lambda value: _equal(value, entry))


def _equal(value: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(operand: Any, operator: str) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{operator} match pattern must be a string")
    return operand


def _affix(operand: Any, operator: str) -> Callable[[Any], bool]:
    """prefix and suffix, of a string or of {"equals-ignore-case": string}."""
    starts = str.startswith if operator == "prefix" else str.endswith
    if isinstance(operand, dict) and set(operand) == {"equals-ignore-case"}:
        folded = _text(operand["equals-ignore-case"], "equals-ignore-case").lower()
        return lambda value: isinstance(value, str) and starts(value.lower(), folded)
    text = _text(operand, operator)
    return lambda value: isinstance(value, str) and starts(value, text)


def _ignoring_case(operand: Any) -> Callable[[Any], bool]:
    text = _text(operand, "equals-ignore-case").lower()
    return lambda value: isinstance(value, str) and value.lower() == text


def _wildcard(operand: Any) -> Callable[[Any], bool]:
    r"""`*` is any text, `\*` and `\\` are themselves."""
    text = _text(operand, "wildcard")
    parts: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
            if text[position : position + 1] not in ("*", "\\"):
                raise InvalidPattern(f"Invalid escape character at pos {position}")
            parts.append(re.escape(text[position]))
        elif character == "*":
            if parts and parts[-1] == ".*":
                raise InvalidPattern(f"Consecutive wildcard characters at pos {position}")
            parts.append(".*")
        else:
            parts.append(re.escape(character))
        position += 1
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _cidr(operand: Any) -> Callable[[Any], bool]:
    if _text(operand, "cidr").count("/") != 1:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    try:
        network = ipaddress.ip_network(operand, strict=False)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR: {error}") from None

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}


def _numeric(operand: Any) -> Callable[[Any], bool]:
    """[operator, number], or a range [">" or ">=", number, "<" or "<=", number]."""
    if not isinstance(operand, list) or not operand:
        raise InvalidPattern("Value of numeric must be an array.")
    operators, limits = operand[::2], operand[1::2]
    for index, operator in enumerate(operators):
        if operator not in _COMPARISONS:
            raise InvalidPattern(f"Unrecognized numeric range operator: {operator}")
        if index and (operators[0] not in (">", ">=") or operator not in ("<", "<=")):
            raise InvalidPattern(f"Bad numeric range operator: {operator}")
        limit: Any = limits[index] if index < len(limits) else None
        if not _is_number(limit):
            raise InvalidPattern(f"Value of {'equals' if operator == '=' else operator} must be numeric")
        if abs(limit) > NUMERIC_LIMIT:
            raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive")
    if len(operators) > 2:
        raise InvalidPattern("Too many terms in numeric range expression")
    if len(operators) == 2 and limits[0] >= limits[1]:
        raise InvalidPattern("Bottom must be less than top")
    tests = [(_COMPARISONS[operator], limit) for operator, limit in zip(operators, limits, strict=True)]
    return lambda value: _is_number(value) and all(test(value, limit) for test, limit in tests)


_NEGATABLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")


def _anything_but(operand: Any) -> Callable[[Any], bool]:
    """A string or number, a list of one of the two, or one of _NEGATABLE with a string or a list of strings.
    Matches every present value that is none of these, also null and values of other types."""
    if isinstance(operand, dict):
        if len(operand) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        ((operator, inner),) = operand.items()
        if operator not in _NEGATABLE:
            raise InvalidPattern(f"Unsupported anything-but pattern: {operator}")
        if isinstance(inner, dict) or inner in ([], ""):
            raise InvalidPattern(
                "Value of anything-but must be an array or single string/number value."
                if inner != ""
                else "Null prefix/suffix not allowed"
            )
        tests = [_OPERATORS[operator](text) for text in (inner if isinstance(inner, list) else [inner])]
        return lambda value: not any(test(value) for test in tests)
    values = operand if isinstance(operand, list) else [operand]
    kinds = {str if isinstance(value, str) else float if _is_number(value) else None for value in values}
    if None in kinds:
        raise InvalidPattern("Inside anything-but list, start|null|boolean is not supported.")
    if len(kinds) != 1:
        raise InvalidPattern(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return lambda value: not any(_equal(value, other) for other in values)


_OPERATORS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "prefix": lambda operand: _affix(operand, "prefix"),
    "suffix": lambda operand: _affix(operand, "suffix"),
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
    "exists": lambda _: lambda _: True,
}
