"""The Glue operator: one run whatever happens to the worker, and the script's own last words on a failure."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from mlops.jobs import KINDS, JobWatch
from mlops.operators import GlueETLOperator, waiting
from tests.unit.mlops import fakes

RUN_ID = "manual__2026-11-21T09:15:00+00:00"


class FakeGlue:
    """One Glue job. Its runs are created RUNNING and changed by the test."""

    exceptions = SimpleNamespace(EntityNotFoundException=type("NotFound", (fakes.ClientError,), {}))

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_job_runs"
        return SimpleNamespace(paginate=self.pages)

    def pages(self, JobName: str) -> Iterator[dict[str, Any]]:
        if not self.runs:
            details = {"Error": {"Code": "EntityNotFoundException", "Message": JobName}}
            raise self.exceptions.EntityNotFoundException(details, "GetJobRuns")
        yield from ({"JobRuns": [run]} for run in self.runs[::-1])

    def batch_stop_job_run(self, JobName: str, JobRunIds: list[str]) -> None:
        self.stopped += JobRunIds

    def get_job_run(self, JobName: str, RunId: str) -> dict[str, Any]:
        return {"JobRun": next(run for run in self.runs if run["Id"] == RunId)}

    def start(self, arguments: dict[str, str], _: Any) -> dict[str, str]:
        run = {"Id": f"jr_{len(self.runs) + 1}", "JobRunState": "RUNNING", "Arguments": arguments}
        self.runs.append(run)
        return {"JobRunId": str(run["Id"])}


class FakeHook(fakes.FakeHook):
    conn_partition, conn_region_name = "aws", "us-east-1"

    def initialize_job(self, arguments: dict[str, str], options: Any) -> dict[str, str]:
        return dict(self.client.start(arguments, options))


class TaskInstance(SimpleNamespace):
    def __init__(self) -> None:
        super().__init__(dag_id="churn_training", task_id="prepare.etl", run_id=RUN_ID, map_index=-1)

    def xcom_pull(self, **_: Any) -> None:
        """A worker that was killed has pushed nothing."""

    def xcom_push(self, **_: Any) -> None: ...


@pytest.fixture(autouse=True)
def no_logs(monkeypatch: Any) -> None:
    monkeypatch.setattr(waiting, "AwsLogsHook", lambda **_: fakes.FakeHook(fakes.FakeLogs()))


@pytest.fixture
def glue() -> FakeGlue:
    return FakeGlue()


def make(glue: FakeGlue, **arguments: str) -> GlueETLOperator:
    operator = GlueETLOperator(
        task_id="etl",
        job_name="j",
        script_args={"--seed": "1729", **arguments},
        poll_interval=1,
        deferrable=True,
    )
    operator.__dict__["hook"] = FakeHook(glue)
    return operator


def execute(operator: GlueETLOperator) -> Any:
    return operator.execute({"ti": TaskInstance(), "dag_run": SimpleNamespace(run_id=RUN_ID)})


def start(glue: FakeGlue, **arguments: str) -> str:
    with pytest.raises(TaskDeferred) as deferred:
        execute(make(glue, **arguments))
    return str(deferred.value.trigger.job_name)


def test_a_retry_adopts_the_run_that_is_alive(glue: FakeGlue) -> None:
    assert start(glue) == "j/jr_1"
    assert start(glue) == "j/jr_1"
    assert len(glue.runs) == 1


def test_a_retry_adopts_the_run_that_has_succeeded(glue: FakeGlue) -> None:
    start(glue)
    glue.runs[0]["JobRunState"] = "SUCCEEDED"
    assert execute(make(glue)) == "jr_1"
    assert len(glue.runs) == 1


@pytest.mark.parametrize("state", ["FAILED", "STOPPED", "TIMEOUT", "ERROR"])
def test_a_retry_after_a_failure_starts_anew(glue: FakeGlue, state: str) -> None:
    start(glue)
    glue.runs[0]["JobRunState"] = state
    assert start(glue) == "j/jr_2"
    glue.runs[1]["JobRunState"] = "SUCCEEDED"
    assert execute(make(glue)) == "jr_2"


def test_a_run_that_was_asked_something_else_is_not_adopted(glue: FakeGlue) -> None:
    start(glue)
    glue.runs[0]["JobRunState"] = "SUCCEEDED"
    assert start(glue, **{"--seed": "1"}) == "j/jr_2"


@pytest.mark.parametrize("state", ["FAILED", "STOPPED", "TIMEOUT"])
def test_a_run_that_did_not_succeed_fails_with_its_reason(glue: FakeGlue, state: str) -> None:
    start(glue)
    glue.runs[0] |= {"JobRunState": state, "ErrorMessage": "ValueError: boom"}
    with pytest.raises(AirflowException) as failed:
        make(glue).execute_complete({}, {"job_name": "j/jr_1", "tail": ["last line"]})
    assert (
        str(failed.value) == f"Glue job j/jr_1 ended {state}: ValueError: boom\nIts last lines:\n  last line"
    )


def test_killing_the_task_stops_the_run(glue: FakeGlue) -> None:
    operator = make(glue)
    with pytest.raises(TaskDeferred):
        execute(operator)
    operator.on_kill()
    assert glue.stopped == ["jr_1"]


def test_the_lines_of_both_streams_are_shown(glue: FakeGlue) -> None:
    logs = fakes.FakeLogs({"jr_1": ["a", "b"]})  # the fake does not tell groups apart
    watch = JobWatch(KINDS["Glue"], "j/jr_1", glue, logs)
    assert watch.new_lines() == ["a", "b", "a", "b"]
