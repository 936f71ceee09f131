"""The endpoint's own page: its executions, each with what its monitors found and a link to their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops.monitoring import outcomes
from mlops.monitoring.baselines import MONITORS

TEMPLATE = Path(__file__).with_name("endpoint.html.j2")
NEVER = {"status": "Failed", "reason": "it did not run", "report": None}


def render(endpoint: str, executions: Sequence[Mapping[str, Any]], link: Callable[[str], str]) -> str:
    """HTML of an endpoint's executions (`Execution.as_dict`, oldest first, at least one).

    `link`: the address of a report page, from its S3 URI.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(TEMPLATE.read_text())
    shown = [_row(execution, link) for execution in reversed(executions)]
    return template.render(endpoint=endpoint, executions=shown, monitors=MONITORS)


def _row(execution: Mapping[str, Any], link: Callable[[str], str]) -> dict[str, Any]:
    ended = {one["monitor"]: one for one in execution["outcomes"]}
    cells = {name: _cell(ended.get(name, NEVER), execution, name, link) for name in MONITORS}
    found = [one for violations in execution["violations"].values() for one in violations]
    return {**execution, "by_monitor": cells, "words": [outcomes.in_words(one) for one in found]}


def _cell(
    outcome: Mapping[str, Any], execution: Mapping[str, Any], monitor: str, link: Callable[[str], str]
) -> dict[str, str | None]:
    status = outcome["status"]
    if status not in outcomes.CONCLUDED:
        text = "no data" if status == "NO_DATA" else "failed"
        return {"text": text, "class": "soft" if status == "NO_DATA" else "bad", "link": None}
    count = len(execution["violations"].get(monitor, ()))
    text = "none" if not count else f"{count} violation" + ("" if count == 1 else "s")
    address = link(f"{outcome['report']}report.html") if outcome["report"] else None
    return {"text": text, "class": "bad" if count else "good", "link": address}
