"""The bodies of the monitoring's tasks, with clients from dictionaries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from mlops.churn.plan import CoolingDown, check_cooldown
from mlops.monitoring import tasks
from mlops.monitoring.form import params as form
from mlops.naming import run_key
from tests.unit.mlops.monitoring.aws import BASELINE, ENDPOINT, PACKAGE, S3, SETTINGS, SageMaker

PREFIX = SETTINGS.s3("runs/monitoring/k2/")
PARAMS = {name: param.value for name, param in form(SETTINGS).items()}
ALARM_RUN = "alarm__2026-11-21T09:20:00+00:00"
NOW = datetime(2026, 11, 21, 9, 20, tzinfo=UTC)
QUIET = "Completed: Job completed successfully with no violations."


class CloudWatch:
    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:
        assert Namespace == "MLOps/Monitoring"
        self.data += MetricData

    def values(self, name: str) -> list[float]:
        return [datum["Value"] for datum in self.data if datum["MetricName"] == name]


class Task:
    """A task instance as far as XCom goes."""

    def __init__(self, **returned: Any) -> None:
        self.returned = returned
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return (
            self.returned.get(task_ids) if key == "return_value" else self.returned.get(f"{task_ids} {key}")
        )

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    clients = SimpleNamespace(s3=S3(), sagemaker=SageMaker(), cloudwatch=CloudWatch())
    monkeypatch.setattr(tasks, "client", lambda name: getattr(clients, name))
    monkeypatch.setattr(tasks, "page_url", lambda uri: f"https://page/{uri}")
    return clients


def plan(**steps: Any) -> dict[str, Any]:
    names = ("merge", "data_quality", "model_quality", "bias", "attribution")
    return {
        "run_key": "k2",
        "prefix": PREFIX,
        "mode": "own",
        "endpoint": ENDPOINT,
        "model_package": PACKAGE,
        "window": {"start": "2026-11-21T08:00:00Z", "end": "2026-11-21T09:00:00Z"},
        **{name: {"AppSpecification": {}} for name in names},
        **steps,
    }


def ran(aws: Any, step: str, message: str, status: str = "Completed", attempt: int = 1) -> None:
    name = f"monitoring-k2-{step.replace('_', '-')}-{attempt}"
    aws.sagemaker.jobs[name] = {
        "ProcessingJobName": name,
        "ProcessingJobStatus": status,
        "ExitMessage": message,
        "ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": f"{PREFIX}{step}/"}}]},
    }


@pytest.fixture
def drifted(aws: Any) -> Any:
    """Data quality found drift and a broken column, the rest nothing; attribution had to be tried twice."""
    ran(aws, "merge", "Completed: 380 records matched")
    ran(aws, "data_quality", "CompletedWithViolations: Job completed successfully with 2 violations.")
    ran(aws, "model_quality", QUIET)
    ran(aws, "bias", QUIET)
    ran(aws, "attribution", "it died", "Failed")
    ran(aws, "attribution", QUIET, attempt=2)
    aws.s3.put_json(
        f"{PREFIX}data_quality/constraint_violations.json",
        {
            "violations": [
                {
                    "feature_name": "Day Mins",
                    "constraint_check_type": "baseline_drift_check",
                    "description": "Numerical distance: 0.2 exceeds numerical threshold: 0.1",
                },
                {
                    "feature_name": "Eve Mins",
                    "constraint_check_type": "completeness_check",
                    "description": "Value: 0.8 does not meet the constraint requirement!",
                },
            ]
        },
    )
    aws.s3.put_json(
        f"{PREFIX}model_quality/statistics.json",
        {"binary_classification_metrics": {"auc": {"value": 0.93}, "confusion_matrix": {"0": {}}}},
    )
    aws.s3.put_json(
        f"{PREFIX}merge/merge_report.json",
        {"captures": 400, "matched": 380, "waiting": 20, "labels_without_capture": 3, "refused": {}},
    )
    return aws


def test_what_was_found_is_told_kept_and_measured(drifted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ti = Task(plan=plan())
    told = tasks.summarise("r2", ti)
    assert told == {
        "drift": {"data_quality": 1, "model_quality": 0, "bias": 0, "attribution": 0},
        "broken_data": 1,
        "no_data": [],
        "records": {"captures": 400, "matched": 380, "waiting": 20, "labels_without_capture": 3},
    }
    assert "data_quality: Day Mins: Numerical distance: 0.2 exceeds" in capsys.readouterr().out
    kept = drifted.s3.json(f"monitoring/{ENDPOINT}/executions/2026-11-21T09-00-00Z-k2.json")
    assert kept["metrics"] == {"auc": 0.93}
    assert [one["status"] for one in kept["outcomes"]] == [
        "CompletedWithViolations",
        "Completed",
        "Completed",
        "Completed",
    ]
    assert drifted.cloudwatch.values("drift") == [1, 0, 0, 0]
    assert drifted.cloudwatch.values("broken_data") == [1]
    assert drifted.cloudwatch.values("waiting") == [20]
    page = f"monitoring/{ENDPOINT}/index.html"
    assert b"2 violations" in drifted.s3.objects[page]
    assert drifted.s3.types[page] == "text/html"
    assert ti.pushed["page"] == f"https://page/{SETTINGS.s3(page)}"


def test_told_twice_is_kept_once(drifted: Any) -> None:
    for _ in range(2):
        tasks.summarise("r2", Task(plan=plan()))
    kept = [key for key in drifted.s3.objects if key.startswith(f"monitoring/{ENDPOINT}/executions/")]
    assert len(kept) == 1


def test_without_labels_the_rest_is_told_and_the_run_succeeds(drifted: Any) -> None:
    nothing = {"no_data": "no label has come in"}
    told = tasks.summarise("r2", Task(plan=plan(merge=nothing, model_quality=nothing, bias=nothing)))
    assert told["no_data"] == ["model_quality", "bias"]
    assert told["drift"] == {"data_quality": 1, "attribution": 0}
    assert drifted.cloudwatch.values("no_data") == [2]


def test_a_merge_that_finds_no_pair_is_no_data_for_what_needs_it(drifted: Any) -> None:
    ran(drifted, "merge", "Job inputs had no data: no captured request has a label", "Failed")
    for step in ("model-quality", "bias"):
        del drifted.sagemaker.jobs[f"monitoring-k2-{step}-1"]
    told = tasks.summarise("r2", Task(plan=plan()))
    assert told["no_data"] == ["model_quality", "bias"]


def test_an_analysis_that_failed_fails_the_run_after_the_rest_was_told(drifted: Any) -> None:
    ran(drifted, "bias", "s3://b/x.jsonl line 7: the label '2' is not one of 0, 1.", "Failed")
    with pytest.raises(AirflowFailException, match=r"1 of 4 analyses failed. bias: s3://b/x.jsonl line 7"):
        tasks.summarise("r2", Task(plan=plan()))
    assert drifted.cloudwatch.values("failed") == [1]
    assert drifted.cloudwatch.values("drift") == [1, 0, 0]
    assert b"failed" in drifted.s3.objects[f"monitoring/{ENDPOINT}/index.html"]


def test_an_analysis_that_never_began_is_a_failure(drifted: Any) -> None:
    del drifted.sagemaker.jobs["monitoring-k2-data-quality-1"]
    with pytest.raises(AirflowFailException, match="data_quality: it was not started"):
        tasks.summarise("r2", Task(plan=plan()))


def test_managed_outcomes_are_told_in_the_same_way(drifted: Any) -> None:
    managed = [
        {
            "monitor": "data_quality",
            "status": "CompletedWithViolations",
            "reason": "2",
            "report": f"{PREFIX}data_quality/",
            "job": "j",
        },
        *(
            {"monitor": name, "status": "NO_DATA", "reason": "none", "report": None, "job": None}
            for name in ("model_quality", "bias", "attribution")
        ),
    ]
    told = tasks.summarise("r2", Task(plan=plan(mode="managed"), collect=managed))
    assert told["drift"] == {"data_quality": 1}
    assert told["no_data"] == ["model_quality", "bias", "attribution"]


def test_what_the_schedules_never_did_is_said(aws: Any) -> None:
    with pytest.raises(
        AirflowFailException, match="there is no monitoring schedule churn-local-data-quality"
    ):
        tasks.collect(plan(mode="managed"))
    with pytest.raises(AirflowFailException, match="nothing was collected: the log of the task collect"):
        tasks.summarise("r2", Task(plan=plan(mode="managed"), collect=None))


def test_a_plan_that_failed_is_no_success() -> None:
    with pytest.raises(AirflowFailException, match="the log of the task plan says why"):
        tasks.summarise("r2", Task())
    with pytest.raises(AirflowSkipException, match="serves nothing"):
        tasks.summarise("r2", Task(**{"plan skipped": "the endpoint serves nothing"}))


def test_nothing_to_watch_skips_and_a_bad_window_fails(aws: Any) -> None:
    run = SimpleNamespace(logical_date=None, run_after=NOW)
    ti = Task()
    with pytest.raises(AirflowSkipException, match="monitoring is off in this environment"):
        tasks.plan(PARAMS | {"mode": "off"}, "r", run, ti)
    assert ti.pushed["skipped"] == "monitoring is off in this environment"
    with pytest.raises(AirflowFailException, match="unknown parameter begin: there are start, end, mode"):
        tasks.plan(PARAMS | {"begin": "2026-11-21T08:00:00Z"}, "r", run, Task())
    with pytest.raises(AirflowFailException, match="parameter start: 'now' is no moment"):
        tasks.plan(PARAMS | {"start": "now"}, "r", run, Task())
    assert tasks.plan(PARAMS, "r", run, Task())["window"]["end"] == "2026-11-21T09:00:00Z"


def test_the_branch_follows_the_plan() -> None:
    assert tasks.choose({"mode": "managed"}) == ["collect"]
    assert tasks.choose({"mode": "own"}) == [
        "analyse.merge",
        "analyse.data_quality",
        "analyse.attribution",
    ]


def test_a_release_brings_its_schedules_or_stops_the_last_ones(aws: Any) -> None:
    aws.s3.put_json(f"{BASELINE}attribution/analysis_config.json", {"methods": {"shap": {}}})
    model = {"ModelName": "churn-local-k1-v3"}
    done = tasks.ensure_schedules(PACKAGE, model, {"monitoring": "managed"})
    assert done == [
        f"churn-local-{name}: created" for name in ("data-quality", "model-quality", "bias", "attribution")
    ]
    explainer = aws.sagemaker.definitions["churn-local-k1-v3-attribution"]
    config = explainer["ModelExplainabilityAppSpecification"]["ConfigUri"]
    content = aws.s3.json(config.removeprefix(f"s3://{SETTINGS.bucket}/"))
    assert content["predictor"]["model_name"] == "churn-local-k1-v3"
    stopped = tasks.ensure_schedules(PACKAGE, model, {"monitoring": "own"})
    assert len(stopped) == 4


@pytest.mark.parametrize(
    ("name", "age", "status", "cools"),
    [
        ("churn-training-other-train-1", 5, "Completed", True),
        ("churn-training-other-train-1", 5, "InProgress", True),
        ("churn-training-other-train-1", 5, "Failed", False),
        ("churn-training-other-train-1", 31, "Completed", False),
        (f"churn-training-{run_key(ALARM_RUN)}-train-1", 5, "Completed", False),
    ],
)
def test_one_drift_gives_one_retraining(name: str, age: int, status: str, cools: bool) -> None:
    sagemaker = SageMaker()
    sagemaker.training_jobs = [
        {
            "TrainingJobName": name,
            "CreationTime": NOW - timedelta(seconds=age),
            "TrainingJobStatus": status,
        }
    ]
    if not cools:
        check_cooldown(sagemaker, SETTINGS, ALARM_RUN, NOW)  # 30 s in the local settings
        return
    with pytest.raises(
        CoolingDown, match=r"cool-down of 30 s: training job churn-training-other-train-1 began"
    ):
        check_cooldown(sagemaker, SETTINGS, ALARM_RUN, NOW)
