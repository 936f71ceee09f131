"""Airflow's REST API, as far as the workbench needs it. Everything a person could do with curl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from workbench.programs import ADMIN, admin_password
from workbench.settings import Settings, WorkbenchError

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass
class AirflowApi:
    """One logged-in client. Its methods raise WorkbenchError with Airflow's own words when refused."""

    settings: Settings
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        # trust_env: a proxy of the user's would be asked for the loopback interface.
        self._client = httpx.Client(base_url=self.settings.airflow_url, timeout=30, trust_env=False)

    def is_healthy(self, component: str) -> bool:
        """Whether Airflow says so of `metadatabase`, `scheduler`, `dag_processor` or `triggerer`."""
        try:
            health = self._client.get("/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        return bool(health.get(component, {}).get("status") == "healthy")

    def has_dag(self, dag_id: str) -> bool:
        return self._request("GET", f"/dags/{quote(dag_id)}", accept=(200, 404)).status_code == 200

    def dags(self) -> list[str]:
        """The ids of all DAGs, sorted."""
        return sorted(dag["dag_id"] for dag in self._request("GET", "/dags?limit=100").json()["dags"])

    def import_errors(self) -> list[dict[str, Any]]:
        """Each with `filename` and `stack_trace`."""
        return list(self._request("GET", "/importErrors").json()["import_errors"])

    def trigger(self, dag_id: str, conf: Mapping[str, Any], note: str = "Started from a terminal") -> str:
        """Start a run now, unpausing the DAG if need be; returns its run id."""
        path = f"/dags/{quote(dag_id)}"
        if self._request("PATCH", path, accept=(200, 404), json={"is_paused": False}).status_code == 404:
            raise WorkbenchError(f"there is no DAG {dag_id}; there are: {', '.join(self.dags())}")
        body = {"logical_date": None, "conf": dict(conf), "note": note}
        return str(self._request("POST", f"{path}/dagRuns", json=body).json()["dag_run_id"])

    def runs(self, dag_id: str = "~", limit: int = 5) -> list[dict[str, Any]]:
        """The newest runs, of one DAG or of all."""
        query = f"?limit={limit}&order_by=-run_after"
        return list(self._request("GET", f"/dags/{quote(dag_id)}/dagRuns{query}").json()["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return dict(self._request("GET", _run_path(dag_id, run_id)).json())

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances: task_id, state, start_date, duration, try_number ..."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances?limit=100"
        return list(self._request("GET", path).json()["task_instances"])

    def task_order(self, dag_id: str) -> list[str]:
        """Task ids in the order in which they can run, ties in the order of their names."""
        tasks = self._request("GET", f"/dags/{quote(dag_id)}/tasks").json()["tasks"]
        waiting = {task["task_id"]: 0 for task in tasks}
        downstream = {task["task_id"]: task["downstream_task_ids"] for task in tasks}
        for followers in downstream.values():
            for follower in followers:
                waiting[follower] += 1
        order: list[str] = []
        ready = sorted(task for task, count in waiting.items() if count == 0)
        while ready:
            task = ready.pop(0)
            order.append(task)
            for follower in sorted(downstream[task]):
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    ready.append(follower)
        return order

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned, or None."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        answer = self._request("GET", path + "?deserialize=false", accept=(200, 404))
        if answer.status_code == 404:
            return None
        value = answer.json()["value"]
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value

    def xcoms(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every entry that the run's tasks pushed: task_id, key."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/~/xcomEntries?limit=100"
        return list(self._request("GET", path).json()["xcom_entries"])

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
        """The links that a task offers in the UI: address by name."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/links"
        found = self._request("GET", path).json()["extra_links"]
        return {name: url for name, url in found.items() if url}

    def log_lines(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        """The lines of one attempt's log, oldest first."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        answer = self._request("GET", path + "?full_content=true", accept=(200, 404))
        if answer.status_code == 404:
            return []
        content = answer.json()["content"]
        return [_log_line(entry) for entry in content if entry.get("logger") != "py.warnings"]

    def _request(
        self, method: str, path: str, *, accept: tuple[int, ...] = (200, 201), json: Any = None
    ) -> httpx.Response:
        try:
            if "authorization" not in self._client.headers:
                self._log_in()
            answer = self._client.request(method, f"/api/v2{path}", json=json)
            if answer.status_code == 401:  # the token's day is over
                self._log_in()
                answer = self._client.request(method, f"/api/v2{path}", json=json)
        except httpx.HTTPError as error:
            raise WorkbenchError(
                f"Airflow does not answer at {self.settings.airflow_url} ({error}); see `make status`"
            ) from error
        if answer.status_code not in accept:
            raise WorkbenchError(f"Airflow refused {method} {path}: {answer.status_code} {_detail(answer)}")
        return answer

    def _log_in(self) -> None:
        self._client.headers.pop("authorization", None)
        login = {"username": ADMIN, "password": admin_password(self.settings)}
        answer = self._client.post("/auth/token", json=login)
        if answer.status_code != 201:
            raise WorkbenchError(
                f"Airflow refused the login of {ADMIN}: {answer.status_code} {_detail(answer)}"
            )
        self._client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _detail(answer: httpx.Response) -> str:
    """The reason, without the JSON schema that follows the one of a refused param."""
    try:
        return str(answer.json()["detail"]).partition("\n\nFailed validating")[0]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def _log_line(entry: dict[str, Any]) -> str:
    """One entry of Airflow's structured log as text: the event, and the error that it carries."""
    line = str(entry.get("event", ""))
    for error in entry.get("error_detail") or []:
        line += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return line
