"""Watching a DAG run: the state and the duration of every task, and, when it fails, why."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from workbench.airflow_api import FINISHED, AirflowApi
from workbench.progress import console, say
from workbench.settings import WorkbenchError

POLL_SECONDS = 1.0
LOG_LINES = 25
LINE_LENGTH = 500
COLOURS = {
    "success": "green",
    "running": "cyan",
    "deferred": "magenta",
    "failed": "red",
    "upstream_failed": "red",
    "up_for_retry": "yellow",
    "skipped": "yellow",
}


def watch(airflow: AirflowApi, dag_id: str, run_id: str, *, timeout_seconds: float = 3600.0) -> str:
    """Show the run until it has ended: a table on a terminal, else a line per change. Returns its state."""
    deadline = time.monotonic() + timeout_seconds
    order = {task: place for place, task in enumerate(airflow.task_order(dag_id))}
    seen: dict[str, str] = {}
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while True:
            run = airflow.run(dag_id, run_id)
            tasks = sorted(airflow.tasks(dag_id, run_id), key=lambda task: order.get(task["task_id"], 0))
            if console.is_terminal:
                live.update(_table(tasks))
            else:
                _print_changes(tasks, seen)
            if run["state"] in ("success", "failed"):
                return str(run["state"])
            if time.monotonic() > deadline:
                raise WorkbenchError(
                    f"{run_id} has not ended after {timeout_seconds:.0f} s; it goes on running"
                )
            time.sleep(POLL_SECONDS)


def explain_failure(airflow: AirflowApi, dag_id: str, run_id: str) -> None:
    """Print each failed task with the end of its log; those that only waited for it are not named."""
    for task in airflow.tasks(dag_id, run_id):
        if task["state"] != "failed":
            continue
        lines = airflow.log_lines(dag_id, run_id, task["task_id"], task["try_number"])
        say(f"\n[red]{task['task_id']} failed[/red] in try {task['try_number']}; the end of its log:")
        # Airflow folds groups ("::group::Pre Execute") that mean nothing here.
        told = [line for line in lines if line.strip() and not line.startswith("::")]
        for line in told[-LOG_LINES:]:
            say(f"  [dim]{escape(line[:LINE_LENGTH])}[/dim]")
        if reason := _reason(lines):
            say(f"[red]reason:[/red] {escape(reason[:LINE_LENGTH])}")


def _reason(lines: list[str]) -> str:
    """The last exception that the log names: `Type: message`."""
    for line in reversed("\n".join(lines).splitlines()):
        head, colon, message = line.strip().partition(": ")
        is_exception = head.replace(".", "").replace("_", "").isalnum() and head[:1].isalpha()
        if colon and message and is_exception and head.rsplit(".", 1)[-1][:1].isupper():
            return line.strip()
    return ""


def _table(tasks: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("task")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for task in tasks:
        state = _state(task)
        colour = COLOURS.get(state, "dim")
        tries = f" (try {task['try_number']})" if (task["try_number"] or 0) > 1 else ""
        table.add_row(task["task_id"], f"[{colour}]{state}{tries}[/{colour}]", _seconds(task))
    return table


def _print_changes(tasks: list[dict[str, Any]], seen: dict[str, str]) -> None:
    for task in tasks:
        state = _state(task)
        if seen.get(task["task_id"]) == state:
            continue
        seen[task["task_id"]] = state
        if state in FINISHED or state in ("running", "up_for_retry"):
            say(f"  {task['task_id']:<40} {state:<16} {_seconds(task)}")


def _state(task: dict[str, Any]) -> str:
    # A deferred task waits for its job without holding a worker; to a person it runs.
    return {None: "waiting", "deferred": "running"}.get(task["state"], task["state"])


def _seconds(task: dict[str, Any]) -> str:
    started = task["start_date"]
    if not started:
        return ""
    end = datetime.fromisoformat(task["end_date"]) if task["end_date"] else datetime.now(UTC)
    return f"{(end - datetime.fromisoformat(started)).total_seconds():.1f}"
