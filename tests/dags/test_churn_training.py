"""churn_training: it parses without a socket, its shape is what the documentation says, its policies hold."""

from __future__ import annotations

import copy
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.timetables.simple import NullTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from config import load

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = load("local")
PROFILE = [
    f"profile.{name}"
    for name in (
        "churn_by_plan",
        "churn_by_service_calls",
        "churn_by_state",
        "class_balance",
        "comparison",
        "missing",
        "ranges",
    )
]


@pytest.fixture(scope="module")
def bag() -> Iterator[DagBag]:
    """Every DAG of the folder, parsed while no process can be talked to."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(_: Any, address: Any) -> None:
            raise AssertionError(f"a DAG file connects to {address} while it is parsed")

        patch.setattr(socket.socket, "connect", refuse)
        yield DagBag(ROOT / "dags")


@pytest.fixture(scope="module")
def dag(bag: DagBag) -> Any:
    return bag.dags["churn_training"]


def test_every_file_imports(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert {"churn_training", "monitoring"} <= set(bag.dags)


def test_the_graph(dag: Any) -> None:
    """The golden picture: each task and what waits for it."""
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert edges == {
        "prepare.plan": [
            "baseline",
            "evaluate",
            "gate",
            "prepare.etl",
            "prepare.validate",
            "release.register",
            "release.smoke_test",
            "train",
        ],
        "prepare.validate": ["prepare.etl"],
        "prepare.etl": [*PROFILE, "train"],
        **{name: ["evaluate"] for name in PROFILE},
        "train": ["baseline", "evaluate", "release.register"],
        "evaluate": ["gate"],
        "baseline": ["release.register"],
        "gate": ["release.register"],
        "release.register": ["release.deploy", "release.schedules", "release.smoke_test"],
        "release.deploy": ["release.schedules", "release.smoke_test"],
        "release.schedules": [],
        "release.smoke_test": [],
    }


def test_one_run_at_a_time_and_none_by_itself(dag: Any) -> None:
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is False
    assert dag.catchup is False
    assert isinstance(dag.timetable, NullTimetable)
    assert {"churn", "training"} <= dag.tags


def test_every_task_can_be_retried_and_ends(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries == 2, task.task_id
        assert task.retry_delay == timedelta(seconds=2), task.task_id
        assert task.execution_timeout > timedelta(0), task.task_id
        assert task.owner == "mlops", task.task_id


def test_what_waits_is_told_how_by_the_settings(dag: Any) -> None:
    for task_id in ("prepare.validate", "prepare.etl", "train", "evaluate"):
        task = dag.get_task(task_id)
        assert (task.poll_interval, task.waits_in_triggerer) == (0.1, SETTINGS.tasks.deferrable)
    assert dag.get_task("profile.missing").sleep_time == 0.1
    assert dag.get_task("release.deploy").poll_interval == 0.1


def test_only_a_skipped_comparison_or_baseline_may_be_missing(dag: Any) -> None:
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
    # When the plan skips the run all of them are missing, and everything is skipped.
    assert rules.pop("evaluate") == "none_failed_min_one_success"
    assert rules.pop("release.register") == "none_failed_min_one_success"
    assert set(rules.values()) == {"all_success"}
    assert dag.get_task("profile.comparison")._pre_execute_hook is not None
    assert dag.get_task("profile.missing")._pre_execute_hook is None


def test_the_deployed_endpoint_is_an_asset(dag: Any) -> None:
    (asset,) = dag.get_task("release.smoke_test").outlets
    assert asset.name == "churn-local-endpoint"


def test_the_report_is_linked_from_the_evaluation_alone(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    links = {task.task_id: [link.name for link in task.operator_extra_links] for task in dag.tasks}
    assert links["evaluate"] == ["Report"]
    assert links["prepare.validate"] == []
    report = {"S3Output": {"S3Uri": "s3://b/runs/k/evaluation/"}}
    operator: Any = SimpleNamespace(
        page="report.html", config={"ProcessingOutputConfig": {"Outputs": [report]}}
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    link = dag.get_task("evaluate").operator_extra_links[0].get_link(operator, ti_key=None)
    assert link.startswith("http://127.0.0.1:1/b/runs/k/evaluation/report.html?")
    assert "response-content-type=text%2Fhtml" in link


def test_queries_read_the_tables_of_the_plan_and_nothing_else(dag: Any) -> None:
    tables = {"table": "customers_now", "previous_table": "customers_then"}
    pulled: list[str] = []

    def xcom_pull(task_ids: str, key: str) -> str:
        assert task_ids == "prepare.plan"
        pulled.append(key)
        return tables[key]

    ti = SimpleNamespace(xcom_pull=xcom_pull)
    environment = dag.get_template_env()
    for name in PROFILE:
        pulled.clear()
        text = environment.from_string(dag.get_task(name).query).render(ti=ti)
        read = set(re.findall(r"(?:FROM|JOIN) (customers_\w+)", text))
        expected = set(tables.values()) if name == "profile.comparison" else {"customers_now"}
        assert read == expected, name
        assert len(pulled) == len(expected), f"{name}: a pull is a request to Airflow's API server"
        assert not re.search(r"(?i)\b(insert|create|drop|delete|update|unload)\b", text)


def test_documentation(dag: Any) -> None:
    for words in ("Starts by", "Reads", "Writes", "Serves", "Where to look", "When a task fails"):
        assert words in dag.doc_md
    assert "`churn-local`" in dag.doc_md
    for task in dag.tasks:
        assert task.doc_md, task.task_id


def test_the_form_explains_itself(dag: Any) -> None:
    schemas = {name: dag.params.get_param(name).schema for name in dag.params}
    assert " ".join(schemas) == (
        "data only_newest split split_seed data_checks max_depth eta num_round early_stopping_rounds gamma "
        "min_child_weight subsample scale_pos_weight seed threshold margin deploy monitoring "
        "cooldown reason code_version"
    )
    for name, schema in schemas.items():
        assert schema["type"] in ("string", "integer", "number", "boolean", ["null", "string"]), name
        assert schema["title"], name
        assert schema["section"] in {"Data", "Training", "Gate", "Release"}, name
        # The form cannot be sent while a text that may not be null is empty.
        assert schema["type"] != "string" or dag.params[name], name
    assert schemas["split"]["enum"] == ["hash", "reference"]
    assert dag.params["eta"] == 0.2
    dag.validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", "/tmp/customers.csv"),
        ("data", "s3://bucket/folder/"),
        ("split", "random"),
        ("max_depth", 0),
        ("max_depth", 5.5),
        ("eta", 0),
        ("eta", "0.2"),
        ("threshold", 1),
        ("margin", -0.01),
        ("deploy", "yes"),
        ("reason", "x" * 201),
        ("code_version", "../../etc"),
    ],
)
def test_a_bad_value_is_refused_before_anything_starts(dag: Any, name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}"):
        # The form, the API and the command line all end here.
        copy.deepcopy(dag.params).update({name: value})


def test_it_can_be_serialized(dag: Any) -> None:
    """What the scheduler and the UI see; nothing of it may need the DAG file again."""
    data = DagSerialization.to_dict(dag)
    assert DagSerialization.from_dict(data).dag_id == "churn_training"
    assert "123456789012" in str(data)  # names are resolved when the file is parsed, not later


def test_parsing_imports_no_library_for_data(tmp_path: Path) -> None:
    heavy = ["pandas", "numpy", "pyarrow", "sklearn", "xgboost", "sagemaker", "awswrangler", "aiobotocore"]
    code = f"import sys, churn_training; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}:{ROOT / 'dags'}",
            "AIRFLOW_HOME": str(tmp_path),
            "PATH": "",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").rglob("*.py")), ids=lambda path: path.name)
def test_dags_cannot_tell_where_they_run(path: Path) -> None:
    assert not re.search(r"\b(local_aws|LOCAL|is_local|endpoint_url)\b", path.read_text())
