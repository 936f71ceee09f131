"""The experiment store: creation, the four state machines, what two runs can and cannot do."""

from __future__ import annotations

import threading
import uuid
from typing import Any, Literal

import pytest

from config import load
from mlops.bandit.store import InvalidUsage, Store, UnknownRecord
from mlops.bandit.workflows import EVALUATION, FAILED, HOSTING, JOINING, TRAINING, WORKFLOWS, Workflow

RUN, OTHER = "bandit_learning/run-1", "bandit_learning/run-2"


@pytest.fixture
def experiment(store: Store) -> str:
    name = f"e{uuid.uuid4().hex[:8]}"
    store.create(name, policy="{}", train_share=0.85)
    return name


def things(store: Store, workflow: Workflow, experiment: str, thing: str) -> dict[str, Any]:
    return store.model(experiment, thing) if workflow.records == "models" else store.join(experiment, thing)


def test_an_experiment_is_created_once_and_then_resumed(store: Store, experiment: str) -> None:
    resumed = store.create(experiment, policy="another", train_share=0.5)
    assert (resumed["policy"], resumed["train_share"]) == ("{}", 0.85)
    assert resumed == store.experiment(experiment)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_a_workflow_from_request_to_success(store: Store, experiment: str, workflow: Workflow) -> None:
    assert store.request(workflow, experiment, "x-1", RUN, colour="red") == "PENDING"
    metadata = store.experiment(experiment)[workflow.metadata]
    assert metadata == {workflow.state: "PENDING", workflow.next: "x-1", "owner": RUN}
    store.advance(workflow, experiment, "x-1", workflow.running)
    store.advance(workflow, experiment, "x-1", workflow.succeeded, size=3)
    metadata = store.experiment(experiment)[workflow.metadata]
    assert metadata == {workflow.state: workflow.succeeded, workflow.last: "x-1", "owner": RUN}
    record = things(store, workflow, experiment, "x-1")
    assert (record[workflow.field], record["colour"], record["size"]) == (workflow.succeeded, "red", 3)
    states = [(line["workflow"], line["state"]) for line in record["history"]]
    assert states == [(workflow.name, state) for state in ("PENDING", workflow.running, workflow.succeeded)]
    assert [line["at"] for line in record["history"]] == sorted(line["at"] for line in record["history"])
    assert record["history"][0]["by"] == RUN


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_one_thing_at_a_time(store: Store, experiment: str, workflow: Workflow) -> None:
    store.request(workflow, experiment, "x-1", RUN)
    for state in workflow.in_progress:
        with pytest.raises(InvalidUsage, match=rf"{workflow.name} of x-1 is {state}, requested by .*run-1"):
            store.request(workflow, experiment, "x-2", OTHER)
        if state == "PENDING":
            store.advance(workflow, experiment, "x-1", workflow.running)
    with pytest.raises(UnknownRecord, match="'x-2'"):
        things(store, workflow, experiment, "x-2")
    store.advance(workflow, experiment, "x-1", workflow.succeeded)
    assert store.request(workflow, experiment, "x-2", OTHER) == "PENDING"


def test_workflows_do_not_stop_each_other(store: Store, experiment: str) -> None:
    for workflow in WORKFLOWS:
        assert store.request(workflow, experiment, "x-1", RUN) == "PENDING"
    states = {workflow.name: store.experiment(experiment)[workflow.metadata] for workflow in WORKFLOWS}
    assert {name: metadata[f"{name}_state"] for name, metadata in states.items()} == {
        workflow.name: "PENDING" for workflow in WORKFLOWS
    }
    assert store.model(experiment, "x-1")["train_state"] == "PENDING"
    assert store.model(experiment, "x-1")["host_state"] == "PENDING"


def test_a_task_that_is_tried_again_finds_its_move_made(store: Store, experiment: str) -> None:
    store.request(TRAINING, experiment, "m-1", RUN)
    assert store.request(TRAINING, experiment, "m-1", RUN) == "PENDING"
    store.advance(TRAINING, experiment, "m-1", "TRAINING")
    assert store.request(TRAINING, experiment, "m-1", RUN) == "TRAINING"
    store.advance(TRAINING, experiment, "m-1", "TRAINING")
    store.advance(TRAINING, experiment, "m-1", "TRAINED")
    store.advance(TRAINING, experiment, "m-1", "TRAINED")
    assert store.request(TRAINING, experiment, "m-1", RUN) == "TRAINED"
    assert len(store.model(experiment, "m-1")["history"]) == 3


def test_what_failed_keeps_the_last_success_and_can_be_requested_again(store: Store, experiment: str) -> None:
    store.request(TRAINING, experiment, "m-1", RUN)
    store.advance(TRAINING, experiment, "m-1", "TRAINED")
    store.request(TRAINING, experiment, "m-2", RUN)
    store.advance(TRAINING, experiment, "m-2", FAILED, reason="no rows")
    metadata = store.experiment(experiment)[TRAINING.metadata]
    assert (metadata[TRAINING.last], metadata[TRAINING.next]) == ("m-1", "m-2")
    assert store.model(experiment, "m-2")["history"][-1]["reason"] == "no rows"
    assert store.request(TRAINING, experiment, "m-2", RUN) == "PENDING"


@pytest.mark.parametrize(
    ("workflow", "done", "impossible"),
    [
        (TRAINING, "TRAINED", "TRAINING"),
        (TRAINING, "STOPPED", "TRAINED"),
        (EVALUATION, FAILED, "EVALUATED"),
        (HOSTING, "DEPLOYED", FAILED),
        (JOINING, "CANCELLED", "RUNNING"),
    ],
)
def test_a_final_state_is_final(
    store: Store, experiment: str, workflow: Workflow, done: str, impossible: str
) -> None:
    store.request(workflow, experiment, "x-1", RUN)
    store.advance(workflow, experiment, "x-1", done)
    with pytest.raises(InvalidUsage, match=f"of x-1 is {done}, it cannot become {impossible}"):
        store.advance(workflow, experiment, "x-1", impossible)


def test_a_state_of_another_workflow_is_no_state(store: Store, experiment: str) -> None:
    store.request(TRAINING, experiment, "m-1", RUN)
    with pytest.raises(ValueError, match="training has no state 'DEPLOYED'"):
        store.advance(TRAINING, experiment, "m-1", "DEPLOYED")


def test_a_model_that_served_before_can_serve_again(store: Store, experiment: str) -> None:
    for model in ("m-1", "m-2", "m-1"):
        assert store.request(HOSTING, experiment, model, RUN) == "PENDING"
        store.advance(HOSTING, experiment, model, "DEPLOYED")
    assert store.experiment(experiment)[HOSTING.metadata][HOSTING.last] == "m-1"
    # What is hosted already needs no deployment.
    assert store.request(HOSTING, experiment, "m-1", OTHER) == "DEPLOYED"


def test_of_many_runs_at_once_one_gets_the_workflow(tables: Any, experiment: str) -> None:
    granted, refused = [], []

    def ask(number: int) -> None:
        mine = Store(load("local"), tables.client("dynamodb"))
        try:
            granted.append(mine.request(TRAINING, experiment, f"m-{number}", f"bandit_learning/r{number}"))
        except InvalidUsage as error:
            refused.append(str(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted == ["PENDING"]
    assert len(refused) == 7


def test_what_a_dead_run_left_is_failed_and_what_a_living_one_does_is_not(
    store: Store, experiment: str
) -> None:
    store.request(TRAINING, experiment, "m-1", "bandit_learning/dead")
    store.request(JOINING, experiment, "j-1", "bandit_learning/alive")
    store.request(EVALUATION, experiment, "m-1", RUN)
    left = store.abandon(experiment, RUN, lambda other: other.endswith("/dead"))
    assert left == ["training of m-1, left by bandit_learning/dead"]
    record = store.experiment(experiment)
    assert record[TRAINING.metadata][TRAINING.state] == FAILED
    assert record[JOINING.metadata][JOINING.state] == "PENDING"
    assert record[EVALUATION.metadata][EVALUATION.state] == "PENDING"
    assert store.model(experiment, "m-1")["reason"] == "bandit_learning/dead ended without it"


def test_joins_come_newest_first_and_from_a_time_on(store: Store, experiment: str) -> None:
    for hour in ("07", "09", "08"):
        store.request(JOINING, experiment, f"2026-11-21-{hour}-00-00-a", RUN)
        store.advance(JOINING, experiment, f"2026-11-21-{hour}-00-00-a", "SUCCEEDED", hours=[f"h{hour}"])
    assert [join["hours"] for join in store.joins(experiment)] == [["h09"], ["h08"], ["h07"]]
    assert [join["hours"] for join in store.joins(experiment, "2026-11-21-08")] == [["h09"], ["h08"]]


def test_numbers_come_back_as_they_went_in(store: Store, experiment: str) -> None:
    store.request(TRAINING, experiment, "m-1", RUN)
    scores = {"s3://b/e.json": {"challenger": 0.1 + 0.2, "rows": 75, "none": None, "list": [1, 0.5]}}
    store.note("models", experiment, "m-1", eval_scores=scores)
    assert store.model(experiment, "m-1")["eval_scores"] == scores


def test_what_does_not_exist_is_named(store: Store, experiment: str) -> None:
    with pytest.raises(UnknownRecord, match="no experiment 'gone': bandit_warm_start creates it"):
        store.experiment("gone")
    with pytest.raises(UnknownRecord, match="'gone'"):
        store.request(TRAINING, "gone", "m-1", RUN)
    with pytest.raises(UnknownRecord, match=f"experiment {experiment} has no model 'm-9'"):
        store.model(experiment, "m-9")


def test_deleting_takes_every_record_and_no_other(store: Store, experiment: str) -> None:
    neighbour = f"{experiment}x"  # its id begins alike
    store.create(neighbour)
    for name in (experiment, neighbour):
        store.request(TRAINING, name, "m-1", RUN)
        store.request(JOINING, name, "j-1", RUN)
    assert store.delete(experiment) == 3
    with pytest.raises(UnknownRecord):
        store.experiment(experiment)
    assert list(store.models(experiment)) == []
    assert store.model(neighbour, "m-1")["train_state"] == "PENDING"
    assert store.join(neighbour, "j-1")["current_state"] == "PENDING"


def test_the_template_makes_the_roles_that_jobs_and_streams_are_given(tables: Any) -> None:
    settings = load("local")
    services: tuple[Literal["bandit", "firehose"], ...] = ("bandit", "firehose")
    for service in services:
        role = tables.client("iam").get_role(RoleName=f"{settings.stem}-{service}")["Role"]
        assert role["Arn"] == settings.role_arn(service)
