"""monitoring: its graph, its form, and every request against AWS's own model of SageMaker."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from config import Settings, load
from mlops.jobs import signed
from mlops.monitoring import baselines, requests, schedules
from mlops.monitoring.baselines import MONITORS
from mlops.monitoring.operator import AnalysisOperator
from mlops.monitoring.requests import Analysis
from mlops.monitoring.windows import Window
from mlops.naming import job_name, run_key
from tests.dags.test_requests import ENVIRONMENTS, RUN_ID, check

ROOT = Path(__file__).resolve().parents[2]
ANALYSES = [f"analyse.{name}" for name in ("merge", *MONITORS)]


@pytest.fixture(scope="module")
def dag() -> Any:
    return DagBag(ROOT / "dags" / "monitoring.py").dags["monitoring"]


def test_the_graph(dag: Any) -> None:
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert edges == {
        "plan": sorted([*ANALYSES, "choose", "collect"]),
        "choose": ["analyse.attribution", "analyse.data_quality", "analyse.merge", "collect"],
        "analyse.merge": ["analyse.bias", "analyse.model_quality"],
        "analyse.data_quality": ["summarise"],
        "analyse.model_quality": ["summarise"],
        "analyse.bias": ["summarise"],
        "analyse.attribution": ["summarise"],
        "collect": ["summarise"],
        "summarise": [],
    }


def test_whatever_the_analyses_do_it_is_summarised(dag: Any) -> None:
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
    assert rules.pop("summarise") == "all_done"
    assert set(rules.values()) == {"all_success"}


def test_policies(dag: Any) -> None:
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert {"churn", "monitoring", "local"} == dag.tags
    for task in dag.tasks:
        assert task.retries == 2, task.task_id
        assert task.owner == "mlops", task.task_id
        assert task.doc_md, task.task_id
        assert task.execution_timeout or task.task_id == "collect", task.task_id
    assert dag.get_task("collect").timeout > 3600


@pytest.mark.parametrize(("environment", "mode"), [("local", "poke"), ("dev", "reschedule")])
def test_waiting_for_managed_executions_holds_no_worker_on_aws(
    environment: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ENVIRONMENT", environment)
    found = DagBag(ROOT / "dags" / "monitoring.py").dags["monitoring"]
    assert found.get_task("collect").mode == mode


def test_every_page_is_linked(dag: Any) -> None:
    links = {task.task_id: [link.name for link in task.operator_extra_links] for task in dag.tasks}
    pages = {name for name, found in links.items() if found == ["Report"]}
    assert pages == {*ANALYSES[1:], "summarise"}


def test_documentation_names_what_it_reads_writes_and_rings(dag: Any) -> None:
    for words in ("capture/churn-local/", "ground-truth/churn-local/", "`churn-local-drift`", "NO_DATA"):
        assert words in dag.doc_md
    assert "`churn-local-broken-data`" in dag.doc_md


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "sometimes"), ("end", 7), ("code_version", "../../etc")],
)
def test_a_bad_value_is_refused_before_anything_starts(dag: Any, name: str, value: Any) -> None:
    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}"):
        copy.deepcopy(dag.params).update({name: value})


def test_a_window_can_be_named(dag: Any) -> None:
    copy.deepcopy(dag.params).update({"start": "2026-11-21T08:00:00Z", "end": "2026-11-21T09:00:00+00:00"})


def test_it_can_be_serialized(dag: Any) -> None:
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == "monitoring"


@pytest.fixture(params=ENVIRONMENTS)
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(request.param)


@pytest.fixture
def known() -> dict[str, baselines.Baseline]:
    checks = baselines.drift_check_baselines("s3://b/runs/churn_training/k/baseline/")
    return baselines.of_package({"DriftCheckBaselines": checks, "ModelPackageArn": "arn"})


def test_analyses(settings: Settings, known: Any) -> None:
    end = datetime(2026, 11, 21, 9, tzinfo=UTC)
    what = Analysis(settings, "v1", "s3://b/runs/monitoring/k/", Window(end - timedelta(hours=6), end), "k")
    hours = [(f"s3://b/capture/e/AllTraffic/{hour}/", f"AllTraffic/{hour}") for hour in what.window.hours()]
    labels = [(f"s3://b/ground-truth/e/{day}/", day) for day in ("2026/11/20", "2026/11/21", "2026/11/22")]
    made = {
        "merge": requests.merge(what, hours, labels),
        "data-quality": requests.data_quality(what, known["data_quality"], hours),
        "model-quality": requests.model_quality(
            what, known["model_quality"], threshold="0.5", history="s3://b/h/metrics.json"
        ),
        "bias": requests.bias(what, known["bias"], threshold="0.5"),
        "attribution": requests.attribution(
            what, known["attribution"], hours, model_uri="s3://b/m/model.tar.gz"
        ),
    }
    for step, config in made.items():
        operator = AnalysisOperator(task_id=step, step=step, config=config, page="report.html")
        request = signed(operator.request())
        name = job_name("monitoring", run_key(RUN_ID), step, 50)
        check("sagemaker", "CreateProcessingJob", {**request, "ProcessingJobName": name})
        assert len(request["ProcessingInputs"]) <= 10, step
        places = [item["S3Input"]["LocalPath"] for item in request["ProcessingInputs"]]
        assert len(set(places)) == len(places), step


@pytest.mark.parametrize("monitor", MONITORS)
def test_managed_schedules(settings: Settings, known: Any, monitor: str) -> None:
    name = f"churn-{settings.environment}-manual-11210915-he5gynos-v12345-{monitor.replace('_', '-')}"
    assert len(name) <= 63
    wanted = schedules.definition(settings, monitor, name, known[monitor], threshold=0.5)
    check("sagemaker", f"Create{schedules.KINDS[monitor].field}JobDefinition", wanted)
    schedule = schedules.schedule(settings, monitor, name)
    check("sagemaker", "CreateMonitoringSchedule", schedule)
    del schedule["Tags"]
    check("sagemaker", "UpdateMonitoringSchedule", schedule)
