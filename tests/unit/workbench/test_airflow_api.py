"""Airflow's REST API through a mock transport: what is sent, and how refusals are told."""

from __future__ import annotations

import json

import httpx
import pytest

from workbench.airflow_api import AirflowApi
from workbench.settings import Settings, WorkbenchError
from workbench.watch import explain_failure, watch

RUN = "manual__2026-11-21T09:48:53.126222+00:00"


class FakeAirflow:
    """Answers by (method, path); a list is answered one element after the other, the last for ever."""

    def __init__(self, answers: dict[tuple[str, str], object]) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "token"})
        answer = self.answers[(request.method, request.url.path.removeprefix("/api/v2"))]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


@pytest.fixture
def connect(tmp_path):
    def connect(answers: dict[tuple[str, str], object]) -> tuple[AirflowApi, FakeAirflow]:
        fake = FakeAirflow(answers)
        api = AirflowApi(Settings(tmp_path))
        api._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(fake))
        return api, fake

    return connect


def test_a_run_is_triggered_with_its_conf_after_the_dag_is_unpaused(connect):
    api, fake = connect({("PATCH", "/dags/churn"): {}, ("POST", "/dags/churn/dagRuns"): {"dag_run_id": RUN}})
    assert api.trigger("churn", {"seed": 1}) == RUN
    login, unpause, trigger = fake.requests
    assert json.loads(login.content)["username"] == "admin"
    assert json.loads(unpause.content) == {"is_paused": False}
    assert json.loads(trigger.content) == {
        "logical_date": None,
        "conf": {"seed": 1},
        "note": "Started from a terminal",
    }
    assert trigger.headers["authorization"] == "Bearer token"


def test_links_of_a_task_are_those_of_the_ui(connect):
    path = f"/dags/churn/dagRuns/{RUN}/taskInstances/evaluate/links"
    found = {"Report": "http://aws/bucket/report.html?Signature=a%3D", "Console": None}
    api, _ = connect({("GET", path): {"extra_links": found, "total_entries": 2}})
    assert api.links("churn", RUN, "evaluate") == {"Report": found["Report"]}


def test_a_refusal_is_told_in_airflows_words(connect):
    detail = "Invalid input for param eta: -1 is too small\n\nFailed validating 'minimum' in schema:\n    {}"
    refused = httpx.Response(400, json={"detail": detail})
    api, _ = connect({("PATCH", "/dags/churn"): {}, ("POST", "/dags/churn/dagRuns"): refused})
    with pytest.raises(WorkbenchError, match=r"/dagRuns: 400 Invalid input for param eta: -1 is too small$"):
        api.trigger("churn", {"eta": -1})


def test_a_dag_that_is_not_there_is_told_with_those_that_are(connect):
    unknown = httpx.Response(404, json={"detail": "Dag with id: nope was not found"})
    known = {"dags": [{"dag_id": "teardown"}, {"dag_id": "reaper"}]}
    api, _ = connect({("PATCH", "/dags/nope"): unknown, ("GET", "/dags"): known})
    with pytest.raises(WorkbenchError, match=r"there is no DAG nope; there are: reaper, teardown$"):
        api.trigger("nope", {})


def test_an_expired_token_is_renewed_once(connect):
    api, fake = connect({("GET", "/importErrors"): [httpx.Response(401), {"import_errors": []}]})
    assert api.import_errors() == []
    assert [request.url.path for request in fake.requests].count("/auth/token") == 2


def test_airflow_that_does_not_answer_is_named(tmp_path):
    api = AirflowApi(Settings(tmp_path, airflow_port=9))
    assert not api.is_healthy("scheduler")
    with pytest.raises(WorkbenchError, match=r"does not answer at http://127\.0\.0\.1:9"):
        api.import_errors()


def test_tasks_are_shown_in_the_order_in_which_they_can_run(connect):
    tasks = [("deploy", []), ("train", ["evaluate"]), ("plan", ["train", "query"]), ("query", ["evaluate"])]
    tasks.append(("evaluate", ["deploy"]))
    listed = [{"task_id": name, "downstream_task_ids": after} for name, after in tasks]
    api, _ = connect({("GET", "/dags/churn/tasks"): {"tasks": listed}})
    assert api.task_order("churn") == ["plan", "query", "train", "evaluate", "deploy"]


def task(name: str, state: str | None, seconds: int = 0) -> dict:
    start, end = "2026-11-21T09:00:00+00:00", f"2026-11-21T09:00:{seconds:02d}+00:00"
    times = {"start_date": start, "end_date": end} if state else {"start_date": None, "end_date": None}
    return {"task_id": name, "state": state, "try_number": 1, **times}


def test_watching_says_each_change_once_and_returns_the_end(connect, capsys, monkeypatch):
    monkeypatch.setattr("workbench.watch.POLL_SECONDS", 0)
    path = f"/dags/churn/dagRuns/{RUN}"
    rounds = [
        [task("plan", "success", 2), task("train", None)],
        [task("plan", "success", 2), task("train", "deferred")],
        [task("plan", "success", 2), task("train", "failed", 7)],
    ]
    api, _ = connect(
        {
            ("GET", "/dags/churn/tasks"): {"tasks": []},
            ("GET", path): [{"state": "running"}, {"state": "running"}, {"state": "failed"}],
            ("GET", f"{path}/taskInstances"): [{"task_instances": tasks} for tasks in rounds],
        }
    )
    assert watch(api, "churn", RUN) == "failed"
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[:2] for line in lines] == [["plan", "success"], ["train", "running"], ["train", "failed"]]
    assert (lines[0][2], lines[2][2]) == ("2.0", "7.0")


def test_a_failure_is_explained_by_its_own_log_and_not_by_those_that_waited(connect, capsys):
    path = f"/dags/churn/dagRuns/{RUN}"
    error = {
        "exc_type": "AirflowFailException",
        "exc_value": "customers.csv line 3: [two] columns are missing",
    }
    log = [
        {"event": "::group::Pre Execute"},
        {"event": "reading"},
        {"event": "Task failed", "error_detail": [error]},
    ]
    api, _ = connect(
        {
            ("GET", f"{path}/taskInstances"): {
                "task_instances": [task("validate", "failed", 1), task("train", "upstream_failed", 0)]
            },
            ("GET", f"{path}/taskInstances/validate/logs/1"): {"content": log},
        }
    )
    explain_failure(api, "churn", RUN)
    out = capsys.readouterr().out
    assert "validate failed in try 1" in out
    assert "reason: AirflowFailException: customers.csv line 3: [two] columns are missing" in out
    assert "::group" not in out
    assert "train" not in out
