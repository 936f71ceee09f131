"""EventBridge's patterns, as far as the table of routes uses them.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether every leaf of the pattern has a rule that the event's value fulfils."""
    return all(_field(rule, event, name) for name, rule in pattern.items())


def _field(rule: Any, event: Mapping[str, Any], name: str) -> bool:
    if isinstance(rule, Mapping):
        inner = event.get(name)
        return matches(rule, inner if isinstance(inner, Mapping) else {})
    value = event.get(name)
    # An array matches when one of its values does.
    values = value if isinstance(value, list) else [value]
    return any(_one(option, item, name in event) for option in rule for item in values)


def _one(option: Any, value: Any, present: bool) -> bool:
    if not isinstance(option, Mapping):
        return present and type(value) is type(option) and value == option
    ((operator, operand),) = option.items()
    match operator:
        case "prefix":
            return isinstance(value, str) and value.startswith(operand)
        case "suffix":
            return isinstance(value, str) and value.endswith(operand)
        case "anything-but":
            return present and value not in (operand if isinstance(operand, list) else [operand])
        case "exists":
            return present is operand
    raise ValueError(f"a route's pattern uses the operator {operator!r}, which trigger_dag does not know")
