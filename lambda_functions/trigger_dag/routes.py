"""The table of routes, and what one event becomes by it: a DAG, its conf, a run id, a note."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trigger_dag.patterns import matches

TABLE = Path(__file__).with_name("routes.toml")
PLACEHOLDER = re.compile(r"\{([A-Za-z][\w.-]*)\}")
DAG_ID = re.compile(r"[A-Za-z0-9_.-]{1,50}")  # MWAA's InvokeRestApi takes paths of 64 characters
RUN_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,200}")  # Airflow's allowed_run_id_pattern
NOTE_LENGTH = 1000  # of Airflow's column
REASON_LENGTH = 200  # of the param's schema
DIRECT = frozenset(("dag", "conf", "id", "note"))


class Unroutable(ValueError):
    """No run can come of this event, however often it is delivered. The message says why."""


@dataclass(frozen=True)
class Start:
    """One run to start. route: its name in the table, or "direct"."""

    route: str
    dag: str
    run_id: str
    conf: dict[str, Any]
    note: str


def load(environment: Mapping[str, str], path: Path = TABLE) -> dict[str, dict[str, Any]]:
    """The table, with the function's own variables put in. Raises KeyError for a variable that is missing."""
    routes = tomllib.loads(path.read_text(encoding="utf-8"))["routes"]
    return {name: _with_environment(route, environment) for name, route in routes.items()}


def start_of(event: Any, routes: Mapping[str, Mapping[str, Any]]) -> Start:
    """What an event starts. Raises Unroutable.

    Beside EventBridge's events there is the direct form {"dag": ..., "conf": {...}, "id": ..., "note": ...}:
    two of them with one id are one run; without an id, two with the same content are.
    """
    if not isinstance(event, dict):
        raise Unroutable(f"the event is no JSON object but {json.dumps(event)[:200]}")
    if "dag" in event:
        return _direct(event)
    for name, route in routes.items():
        if matches(route["pattern"], event):
            return _routed(name, route, event)
    described = {key: event.get(key) for key in ("source", "detail-type", "resources", "id")}
    raise Unroutable(
        f"no route for the event {json.dumps(described)}: add one to lambda_functions/trigger_dag/routes.toml"
    )


def _routed(name: str, route: Mapping[str, Any], event: Mapping[str, Any]) -> Start:
    conf = {key: _filled(value, event, name) for key, value in route["conf"].items()}
    if isinstance(conf.get("reason"), str):
        conf["reason"] = conf["reason"][:REASON_LENGTH]
    identity = [_filled(part, event, name) for part in route["identity"]]
    note = str(_filled(route["note"], event, name))[:NOTE_LENGTH]
    moment = str(event.get("time", ""))
    run_id = "__".join(part for part in (name, moment, _digest([name, route["dag"], identity])) if part)
    return Start(name, route["dag"], _checked_run_id(run_id), conf, note)


def _direct(event: Mapping[str, Any]) -> Start:
    if surplus := event.keys() - DIRECT:
        known = ", ".join(sorted(DIRECT))
        raise Unroutable(f"unknown key {', '.join(sorted(surplus))} of a direct event: there are {known}")
    dag, conf = event["dag"], event.get("conf") or {}
    if not isinstance(dag, str) or not DAG_ID.fullmatch(dag):
        raise Unroutable(f"{dag!r} is not the id of a DAG (letters, digits, _.- and at most 50 of them)")
    if not isinstance(conf, dict):
        raise Unroutable(f"conf must be a JSON object, not {json.dumps(conf)[:200]}")
    identity = event.get("id") or _digest([dag, conf])
    note = str(event.get("note") or "Started by a direct call of trigger_dag")[:NOTE_LENGTH]
    return Start("direct", dag, _checked_run_id(f"direct__{identity}"), dict(conf), note)


def _checked_run_id(run_id: str) -> str:
    if not RUN_ID.fullmatch(run_id):
        raise Unroutable(f"{run_id!r} is not a run id: letters, digits and _.~:+- only, at most 200")
    return run_id


def _filled(template: Any, event: Mapping[str, Any], route: str) -> Any:
    if not isinstance(template, str):
        return template
    if alone := PLACEHOLDER.fullmatch(template):
        return _value(event, alone[1], route)
    return PLACEHOLDER.sub(lambda found: _text(_value(event, found[1], route)), template)


def _value(event: Mapping[str, Any], path: str, route: str) -> Any:
    found: Any = event
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            raise Unroutable(f"route {route}: the event has no {path}")
        found = found[name]
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _with_environment(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_environment(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_environment(item, environment) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{env\.(\w+)\}", lambda found: environment[found[1]], value)
    return value


def _digest(content: Any) -> str:
    """48 bits of it: run ids are unique a DAG, and the event's time stands beside."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
