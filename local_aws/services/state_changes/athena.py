"""Athena's events: each state of a query. docs.aws.amazon.com/athena/latest/ug/athena-events.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

QUERY = "Athena Query State Change"


def changes(backend: Any) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    for execution in backend.executions.values():
        told = getattr(execution, "told", None)
        if told == execution.state:
            continue
        reached = _reached(execution)
        for number in range(reached.index(told) + 1 if told in reached else 0, len(reached)):
            yield QUERY, [], detail(execution, reached, number)
        execution.told = execution.state


def detail(execution: Any, reached: list[str], number: int) -> dict[str, Any]:
    described = {
        "versionId": "0",
        "currentState": reached[number],
        "statementType": execution.kind,
        "queryExecutionId": execution.id,
        "workgroupName": execution.workgroup,
        "sequenceNumber": str(number + 1),
    }
    return described | ({"previousState": reached[number - 1]} if number else {})


def _reached(execution: Any) -> list[str]:
    """The states that a query went through. The one in between may have gone by without a commit."""
    states = ["QUEUED"]
    if execution.started is not None:
        states.append("RUNNING")
    if execution.state not in states:
        states.append(execution.state)
    return states
