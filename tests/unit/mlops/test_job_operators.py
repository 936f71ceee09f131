"""Training and processing operators: one job a run whatever happens to the worker, its lines, its reasons."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from mlops.jobs import KINDS, REQUEST_DIGEST, JobWatch, claim, signed
from mlops.naming import run_key
from mlops.operators import ProcessingOperator, TrainingOperator, waiting
from mlops.operators.sagemaker import pieces
from mlops.triggers import JobTrigger
from tests.unit.mlops import fakes

RUN_ID = "manual__2026-11-21T09:15:00+00:00"
CONTEXT: Any = {"dag_run": SimpleNamespace(dag_id="churn_training", run_id=RUN_ID)}
CONFIG = {"HyperParameters": {"eta": "0.2"}, "RoleArn": "arn:aws:iam::123456789012:role/r"}


def name(step: str, attempt: int) -> str:
    return f"churn-training-{run_key(RUN_ID)}-{step}-{attempt}"


@pytest.fixture
def sagemaker() -> Any:
    return fakes.FakeSageMaker()


@pytest.fixture
def train(sagemaker: Any) -> Callable[..., TrainingOperator]:
    """Makes the operator anew, as every try of a task does."""

    def make(config: dict[str, Any] = CONFIG, deferrable: bool = True) -> TrainingOperator:
        operator = TrainingOperator(
            task_id="train", step="train", config=dict(config), poll_interval=1, deferrable=deferrable
        )
        operator.__dict__["hook"] = fakes.FakeHook(sagemaker)
        return operator

    return make


def complete(sagemaker: Any, job: str) -> None:
    sagemaker.jobs[job] |= {
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://b/{job}/output/model.tar.gz"},
        "FinalMetricDataList": [{"MetricName": "validation:logloss", "Value": 0.17}],
    }


def test_a_first_try_creates_the_job_and_waits_in_the_triggerer(train: Any, sagemaker: Any) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        train().execute(CONTEXT)
    assert sagemaker.created == [name("train", 1)]
    assert sagemaker.jobs[name("train", 1)]["Environment"][REQUEST_DIGEST]
    path, arguments = deferred.value.trigger.serialize()
    assert path == "mlops.triggers.JobTrigger"
    assert arguments["job_name"] == name("train", 1)


def test_a_retry_adopts_the_job_that_runs(train: Any, sagemaker: Any) -> None:
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    with pytest.raises(TaskDeferred) as deferred:
        train().execute(CONTEXT)
    assert sagemaker.created == [name("train", 1)]
    assert deferred.value.trigger.job_name == name("train", 1)


def test_a_retry_adopts_the_job_that_has_completed(train: Any, sagemaker: Any, monkeypatch: Any) -> None:
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    complete(sagemaker, name("train", 1))
    monkeypatch.setattr(waiting, "AwsLogsHook", lambda **_: fakes.FakeHook(fakes.FakeLogs()))
    assert train().execute(CONTEXT)["job_name"] == name("train", 1)
    assert sagemaker.created == [name("train", 1)]


@pytest.mark.parametrize("state", ["Failed", "Stopped", "Stopping"])
def test_a_retry_after_a_failure_starts_the_next_job(train: Any, sagemaker: Any, state: str) -> None:
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    sagemaker.jobs[name("train", 1)]["TrainingJobStatus"] = state
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    assert sagemaker.created == [name("train", 1), name("train", 2)]


def test_a_job_that_was_asked_something_else_is_not_adopted(train: Any, sagemaker: Any) -> None:
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    complete(sagemaker, name("train", 1))
    with pytest.raises(TaskDeferred):
        train({**CONFIG, "HyperParameters": {"eta": "0.3"}}).execute(CONTEXT)
    assert sagemaker.created == [name("train", 1), name("train", 2)]


def test_of_two_tries_at_once_the_later_adopts(train: Any, sagemaker: Any, monkeypatch: Any) -> None:
    # The first try, presumed dead, creates the job between the second's look and its create.
    first, second = train(), train()
    created = fakes.FakeHook.create_training_job

    def late(self: Any, config: dict[str, Any], **_: Any) -> Any:
        monkeypatch.setattr(fakes.FakeHook, "create_training_job", created)
        with pytest.raises(TaskDeferred):
            first.execute(CONTEXT)
        return created(self, config)

    monkeypatch.setattr(fakes.FakeHook, "create_training_job", late)
    with pytest.raises(TaskDeferred) as deferred:
        second.execute(CONTEXT)
    assert sagemaker.created == [name("train", 1)]
    assert deferred.value.trigger.job_name == name("train", 1)


def test_waiting_in_the_worker_shows_the_lines_and_returns_the_model(
    train: Any, sagemaker: Any, monkeypatch: Any
) -> None:
    stream = f"{name('train', 1)}/algo-1-1"
    logs = fakes.FakeLogs({stream: [f"[{n}]#011train-auc:0.{n}" for n in range(5)], "other/algo-1-1": ["no"]})
    monkeypatch.setattr(waiting, "AwsLogsHook", lambda **_: fakes.FakeHook(logs))
    monkeypatch.setattr(waiting.time, "sleep", lambda _: complete(sagemaker, name("train", 1)))
    shown: list[str] = []
    operator = train(deferrable=False)
    log = SimpleNamespace(warning=print, info=lambda text, *args: shown.append(text % args if args else text))
    monkeypatch.setattr(type(operator), "log", log)
    assert operator.execute(CONTEXT) == {
        "job_name": name("train", 1),
        "model": f"s3://b/{name('train', 1)}/output/model.tar.gz",
        "metrics": {"validation:logloss": 0.17},
    }
    assert [line for line in shown if line.startswith("[")] == [f"[{n}]\ttrain-auc:0.{n}" for n in range(5)]


def test_a_failed_job_fails_the_task_with_its_reason_and_last_lines(train: Any, sagemaker: Any) -> None:
    with pytest.raises(TaskDeferred):
        train().execute(CONTEXT)
    sagemaker.jobs[name("train", 1)] |= {
        "TrainingJobStatus": "Failed",
        "FailureReason": "AlgorithmError: out of memory, exit code: 137",
    }
    event = {"job_name": name("train", 1), "tail": ["one", "two"]}
    with pytest.raises(AirflowException) as failed:
        train().execute_complete(CONTEXT, event)
    assert str(failed.value) == (
        f"training job {name('train', 1)} ended Failed: AlgorithmError: out of memory, exit code: 137\n"
        "Its last lines:\n  one\n  two"
    )
    assert not isinstance(failed.value, AirflowFailException)  # a retry may help


def test_a_script_that_says_what_is_wrong_is_not_tried_again(sagemaker: Any) -> None:
    operator = ProcessingOperator(
        task_id="validate", step="validate", config={}, poll_interval=1, deferrable=True
    )
    operator.__dict__["hook"] = fakes.FakeHook(sagemaker)
    sagemaker.jobs["j"] = {
        "ProcessingJobName": "j",
        "ProcessingJobStatus": "Failed",
        "FailureReason": "AlgorithmError: See job logs for more information",
        "ExitMessage": "line 7, column day_mins: 'abc' is not a number",
    }
    with pytest.raises(AirflowFailException, match="line 7, column day_mins: 'abc' is not a number"):
        operator.execute_complete(CONTEXT, {"job_name": "j", "tail": []})


def test_killing_the_task_stops_the_job(train: Any, sagemaker: Any) -> None:
    operator = train()
    operator.on_kill()
    assert sagemaker.stopped == []
    with pytest.raises(TaskDeferred):
        operator.execute(CONTEXT)
    operator.on_kill()
    assert sagemaker.stopped == [name("train", 1)]


def test_inputs_and_arguments_of_a_processing_job_are_added(sagemaker: Any) -> None:
    config = {
        "AppSpecification": {"ImageUri": "i", "ContainerArguments": ["--seed", "7"]},
        "ProcessingInputs": [],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": {"S3Uri": "s3://b/e/"}}]},
    }
    operator = ProcessingOperator(
        task_id="evaluate",
        step="evaluate",
        config=config,
        inputs={"challenger": "s3://b/model.tar.gz"},
        arguments={"--profile": {"class_balance": "id-1", "comparison": None}, "--name": "x"},
        poll_interval=1,
        deferrable=True,
    )
    operator.__dict__["hook"] = fakes.FakeHook(sagemaker)
    with pytest.raises(TaskDeferred):
        operator.execute(CONTEXT)
    job = sagemaker.jobs[name("evaluate", 1)]
    assert job["AppSpecification"]["ContainerArguments"] == [
        "--seed", "7", "--profile", json.dumps({"class_balance": "id-1"}), "--name", "x"
    ]  # fmt: skip
    assert job["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "s3://b/model.tar.gz"
    assert job["ProcessingInputs"][0]["S3Input"]["LocalPath"] == "/opt/ml/processing/input/challenger"
    job |= {"ProcessingJobStatus": "Completed"}
    result = operator.execute_complete(CONTEXT, {"job_name": name("evaluate", 1), "tail": []})
    assert result == {"job_name": name("evaluate", 1), "outputs": {"report": "s3://b/e/"}}


def test_long_arguments_come_in_pieces_that_are_no_options() -> None:
    assert pieces("short") == ["short"]
    assert pieces("ab--cdef", 3) == ["a", "b--", "cde", "f"]
    text = json.dumps({f"query {n}": str(uuid.UUID(int=n)) for n in range(40)})
    assert "".join(pieces(text)) == text
    assert all(len(piece) <= 256 and not piece.startswith("-") for piece in pieces(text))


def test_fifty_failures_are_enough(sagemaker: Any) -> None:
    for attempt in range(1, 51):
        sagemaker.jobs[f"j{attempt}"] = {"TrainingJobName": f"j{attempt}", "TrainingJobStatus": "Failed"}
    with pytest.raises(RuntimeError, match="50 training jobs of this run have failed, the last j50"):
        claim(KINDS["training"], sagemaker, signed(CONFIG), lambda attempt: f"j{attempt}")


def test_other_errors_are_not_taken_for_a_missing_job(sagemaker: Any, monkeypatch: Any) -> None:
    def denied(**_: Any) -> None:
        raise fakes.error("AccessDeniedException", "not authorized")

    monkeypatch.setattr(sagemaker, "describe_training_job", denied)
    with pytest.raises(fakes.ClientError, match="not authorized"):
        claim(KINDS["training"], sagemaker, signed(CONFIG), str)


def test_a_watch_shows_every_line_once(sagemaker: Any) -> None:
    logs = fakes.FakeLogs()
    watch = JobWatch(KINDS["training"], "j", sagemaker, logs)
    assert watch.new_lines() == []  # no log group yet
    logs.streams = {"j/algo-1-1": ["a", "b", "c"], "j/algo-2-1": ["x"]}
    assert watch.new_lines() == ["a", "b", "c", "x"]
    logs.streams["j/algo-1-1"].append("d")
    assert watch.new_lines() == ["d"]
    assert watch.new_lines() == []


def test_the_trigger_shows_lines_and_ends_with_the_job(sagemaker: Any, monkeypatch: Any) -> None:
    sagemaker.jobs["j"] = {"TrainingJobName": "j", "TrainingJobStatus": "InProgress"}
    streams = {"j/algo-1-1": ["first"]}
    logs = fakes.FakeLogs(streams)
    clients = {"sagemaker": sagemaker, "logs": logs}
    trigger = JobTrigger(kind="training", job_name="j", poll_interval=0)
    monkeypatch.setattr(trigger, "_client", clients.__getitem__)
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        if line == "first":
            streams["j/algo-1-1"].append("last")
            sagemaker.jobs["j"]["TrainingJobStatus"] = "Failed"

    monkeypatch.setattr(type(trigger), "log", SimpleNamespace(info=show))

    async def first_event() -> Any:
        return await anext(aiter(trigger.run()))

    event = asyncio.run(first_event())
    assert shown == ["first", "last"]
    assert event.payload == {"job_name": "j", "tail": ["first", "last"]}
    asyncio.run(trigger.on_kill())
    assert sagemaker.stopped == ["j"]
