"""bandit_warm_start and bandit_learning: their shape, their policies, their forms, their requests."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from config import Settings, load
from mlops.bandit import requests
from mlops.bandit.experiment import Experiment
from mlops.jobs import signed
from mlops.naming import job_name, run_key
from tests.dags.test_requests import check

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = "manual__2026-11-21T09:15:00+00:00"


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(ROOT / "dags")


@pytest.fixture(scope="module", params=["bandit_warm_start", "bandit_learning"])
def dag(request: pytest.FixtureRequest, bag: DagBag) -> Any:
    assert bag.import_errors == {}
    return bag.dags[request.param]


def edges(dag: Any) -> dict[str, list[str]]:
    return {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}


def test_the_graph_of_learning(bag: DagBag) -> None:
    found = edges(bag.dags["bandit_learning"])
    plan = found.pop("batch.plan")
    assert set(plan) == set(found) - {"batch.wait", "swap.verify", "next_batch", "again"}
    assert found == {
        "batch.wait": ["batch.plan"],
        "batch.look": ["batch.scope"],
        "batch.scope": ["batch.join"],
        "batch.join": ["batch.count"],
        "batch.count": ["batch.settle"],
        "batch.settle": ["train"],
        "train": ["evaluate", "gate", "swap.soft"],
        "evaluate": ["gate"],
        "gate": ["swap.blue_green", "swap.soft"],
        "swap.soft": ["swap.verify"],
        "swap.blue_green": ["swap.verify"],
        "swap.verify": ["next_batch"],
        "next_batch": ["again"],
        "again": [],
    }


def test_the_graph_of_the_warm_start(bag: DagBag) -> None:
    found = edges(bag.dags["bandit_warm_start"])
    assert set(found.pop("plan")) == set(found) - {"verify"}
    assert found == {
        "split": ["count"],
        "count": ["settle"],
        "settle": ["train"],
        "train": ["evaluate", "gate"],
        "evaluate": ["gate"],
        "gate": ["deploy"],
        "deploy": ["verify"],
        "verify": [],
    }


def test_the_runs_of_a_loop_are_named_after_the_first(bag: DagBag) -> None:
    """However many there are: a run's name may have 250 characters."""
    dag = bag.dags["bandit_learning"]
    template = dag.get_template_env().from_string(dag.get_task("again").trigger_run_id)
    names = [RUN_ID]
    for batches in (3, 2):
        names.append(template.render(run_id=names[-1], params=SimpleNamespace(batches=batches)))
    assert names == [RUN_ID, f"{RUN_ID}__left_2", f"{RUN_ID}__left_1"]
    assert len({run_key(name) for name in names}) == 3


def test_what_may_be_missing_upstream(bag: DagBag) -> None:
    """A champion that stays is no failure, and the loop goes on after it."""
    learning = {task.task_id: task.trigger_rule.value for task in bag.dags["bandit_learning"].tasks}
    special = {name: rule for name, rule in learning.items() if rule != "all_success"}
    assert special == {
        "gate": "none_failed",
        "swap.verify": "none_failed_min_one_success",
        "next_batch": "none_failed",
    }
    warm = {task.task_id: task.trigger_rule.value for task in bag.dags["bandit_warm_start"].tasks}
    assert {name for name, rule in warm.items() if rule == "none_failed"} == {"settle", "gate"}


def test_every_task_can_be_retried_ends_and_explains_itself(dag: Any) -> None:
    assert dag.catchup is False
    for task in dag.tasks:
        assert task.retries == 2, task.task_id
        assert task.owner == "mlops", task.task_id
        assert task.doc_md, task.task_id
        assert task.execution_timeout or task.timeout, task.task_id
    for words in ("Starts by", "Reads", "Writes", "Where to look", "When a task fails"):
        assert words in dag.doc_md


def test_a_workflow_is_taken_up_before_its_operator_and_closed_after_it(bag: DagBag) -> None:
    for name in ("bandit_warm_start", "bandit_learning"):
        for task_id in ("train", "evaluate"):
            task = bag.dags[name].get_task(task_id)
            assert task._pre_execute_hook is not None
            assert task._post_execute_hook is not None
            assert task.on_failure_callback


def test_it_can_be_serialized(dag: Any) -> None:
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


def test_the_form_explains_itself(dag: Any) -> None:
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema["title"], name
        assert schema["section"] in {"Experiment", "Batch", "Gate", "Release"}, name
    dag.validate()


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        ("bandit_learning", "experiment", "a-name-that-is-far-too-long"),
        ("bandit_learning", "experiment", "Shuttle"),
        ("bandit_learning", "experiment", "a--b"),
        ("bandit_learning", "minimum_rewards", 0),
        ("bandit_learning", "batches", 0),
        ("bandit_learning", "swap", "hard"),
        ("bandit_learning", "margin", -0.1),
        ("bandit_learning", "reward_horizon", -1),
        ("bandit_warm_start", "policy", "squarecb"),
        ("bandit_warm_start", "data", "/tmp/log.jsonl"),
        ("bandit_warm_start", "train_share", 1),
    ],
)
def test_a_bad_value_is_refused_before_anything_starts(
    bag: DagBag, dag_id: str, name: str, value: Any
) -> None:
    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}"):
        copy.deepcopy(bag.dags[dag_id].params).update({name: value})


def test_queries_are_the_projects_own(dag: Any) -> None:
    """Values come from the plan, which made them itself: nothing that a client sent is put into SQL."""
    for task in dag.tasks:
        if task.task_type == "QueryOperator":
            text = task.query
            assert re.search(r"plan\.", text), task.task_id
            assert "params" not in text, task.task_id


@pytest.fixture(params=["local", "dev", "prod"])
def experiment(request: pytest.FixtureRequest) -> Experiment:
    return Experiment(load(request.param), "a" * 20)


def named(request: dict[str, Any], field: str, step: str) -> dict[str, Any]:
    return {**signed(request), field: job_name("bandit-warm-start", run_key(RUN_ID), step, 1)}


def test_requests_are_what_aws_takes(experiment: Experiment) -> None:
    model_id = experiment.model_id(RUN_ID)
    assert len(model_id) <= 63
    channels = {"config": experiment.s3("config/"), "train": experiment.s3("t/")}
    training = requests.training(experiment, model_id, "c1", channels, 7)
    check("sagemaker", "CreateTrainingJob", named(training, "TrainingJobName", "train"))
    assert training["HyperParameters"]["sagemaker_program"] == '"train.py"'
    for champion in (None, "s3://b/champion/model.tar.gz"):
        evaluation = requests.evaluation(experiment, "c1", "s3://b/m", champion, "s3://b/e/")
        check("sagemaker", "CreateProcessingJob", named(evaluation, "ProcessingJobName", "evaluate"))
        assert ("--champion" in evaluation["AppSpecification"]["ContainerArguments"]) is bool(champion)
    model = requests.model(experiment, model_id, "s3://b/model.tar.gz", "c1")
    check("sagemaker", "CreateModel", model)
    config = requests.endpoint_config(experiment, model_id)
    check("sagemaker", "CreateEndpointConfig", config)
    assert len(config["EndpointConfigName"]) <= 63
    update = {
        "EndpointName": experiment.endpoint,
        "EndpointConfigName": config["EndpointConfigName"],
        "DeploymentConfig": requests.deployment(experiment),
    }
    check("sagemaker", "UpdateEndpoint", update)
    for folder, name in experiment.streams.items():
        check("firehose", "CreateDeliveryStream", requests.stream(experiment, folder))
        assert len(name) <= 64


def test_containers_are_told_where_to_log_and_what_to_serve(experiment: Experiment) -> None:
    settings: Settings = experiment.settings
    environment = requests.model(experiment, "m", "s3://b/m.tar.gz", "c1")["PrimaryContainer"]["Environment"]
    assert environment["BANDIT_OBSERVATION_STREAM"] == experiment.streams["inference_data"]
    assert environment["BANDIT_REWARD_STREAM"] == experiment.streams["rewards_data"]
    assert environment["BANDIT_POINTER"] == f"s3://{settings.bucket}/bandits/{experiment.id}/hosting.json"
    assert environment["BANDIT_WORKERS_TABLE"] == settings.bandit_table("workers")
