"""Managed schedules: created, moved to the next model's baselines, stopped, read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.monitoring import baselines, schedules
from mlops.monitoring.baselines import MONITORS
from tests.unit.mlops.monitoring.aws import BASELINE, SETTINGS, SageMaker

KNOWN = baselines.of_package(SageMaker().describe_model_package(""))
NAMES = {
    "data_quality": "churn-local-data-quality",
    "model_quality": "churn-local-model-quality",
    "bias": "churn-local-bias",
    "attribution": "churn-local-attribution",
}
HOUR = datetime(2026, 11, 21, 9, tzinfo=UTC)


def ensure(sagemaker: SageMaker, release: str) -> list[str]:
    return [
        schedules.ensure(
            sagemaker,
            monitor,
            schedules.definition(SETTINGS, monitor, f"{release}-{monitor}", KNOWN[monitor], threshold=0.4),
            schedules.schedule(SETTINGS, monitor, f"{release}-{monitor}"),
        )
        for monitor in MONITORS
    ]


def test_a_first_release_creates_them() -> None:
    sagemaker = SageMaker()
    assert ensure(sagemaker, "r1") == [f"{name}: created" for name in NAMES.values()]
    assert set(sagemaker.schedules) == set(NAMES.values())
    assert set(sagemaker.definitions) == {f"r1-{monitor}" for monitor in MONITORS}


def test_a_retry_changes_nothing() -> None:
    sagemaker = SageMaker()
    ensure(sagemaker, "r1")
    assert ensure(sagemaker, "r1") == [f"{name}: unchanged" for name in NAMES.values()]


def test_the_next_release_moves_them_and_leaves_no_old_definition() -> None:
    sagemaker = SageMaker()
    ensure(sagemaker, "r1")
    schedules.stop(sagemaker, SETTINGS)
    assert ensure(sagemaker, "r2") == [f"{name}: updated" for name in NAMES.values()]
    assert set(sagemaker.definitions) == {f"r2-{monitor}" for monitor in MONITORS}
    for monitor, name in NAMES.items():
        config = sagemaker.schedules[name]["MonitoringScheduleConfig"]
        assert config["MonitoringJobDefinitionName"] == f"r2-{monitor}"
        assert sagemaker.schedules[name]["MonitoringScheduleStatus"] == "Scheduled"


def test_stopping_stops_what_runs_and_asks_for_nothing_twice() -> None:
    sagemaker = SageMaker()
    assert schedules.stop(sagemaker, SETTINGS) == []
    ensure(sagemaker, "r1")
    assert schedules.stop(sagemaker, SETTINGS) == list(NAMES.values())
    assert schedules.stop(sagemaker, SETTINGS) == []


def test_definitions_compare_with_the_models_own_baselines() -> None:
    made = {
        monitor: schedules.definition(SETTINGS, monitor, "n", KNOWN[monitor], threshold=0.4)
        for monitor in MONITORS
    }
    data = made["data_quality"]["DataQualityBaselineConfig"]
    assert data["StatisticsResource"]["S3Uri"] == f"{BASELINE}data_quality/statistics.json"
    quality = made["model_quality"]["ModelQualityJobInput"]
    assert quality["EndpointInput"]["ProbabilityThresholdAttribute"] == 0.4
    assert quality["EndpointInput"]["StartTimeOffset"] == "-PT1H"
    assert quality["EndpointInput"]["EndTimeOffset"] == "-PT0H"
    assert quality["GroundTruthS3Input"]["S3Uri"].endswith("/ground-truth/churn-local")
    bias = made["bias"]["ModelBiasAppSpecification"]
    assert bias["ConfigUri"] == f"{BASELINE}bias/analysis_config.json"
    assert "clarify" in bias["ImageUri"]
    assert "model-monitor" in made["model_quality"]["ModelQualityAppSpecification"]["ImageUri"]


def test_clarify_is_told_which_model_to_ask() -> None:
    ours = {"methods": {"shap": {}}, "predictor": {"model_path": "/opt/ml/processing/input/model"}}
    theirs = schedules.explainer_config(ours, SETTINGS, "churn-local-k1-v3")
    assert theirs["predictor"]["model_name"] == "churn-local-k1-v3"
    assert "model_path" not in theirs["predictor"]
    assert theirs["methods"] == ours["methods"]


def execution(status: str, **more: Any) -> dict[str, Any]:
    return {"MonitoringExecutionStatus": status, "ScheduledTime": HOUR, **more}


def test_executions_are_collected_when_all_have_ended() -> None:
    sagemaker = SageMaker()
    ensure(sagemaker, "r1")
    arn = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/"
    for monitor, name in NAMES.items():
        job = f"{monitor}-job"
        sagemaker.executions[name] = [execution("Completed", ProcessingJobArn=arn + job)]
        sagemaker.jobs[job] = {
            "ProcessingJobName": job,
            "ProcessingJobStatus": "Completed",
            "ExitMessage": "CompletedWithViolations: 1" if monitor == "bias" else "Completed: none",
            "ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": f"s3://b/{monitor}"}}]},
        }
    sagemaker.executions[NAMES["attribution"]] = [execution("InProgress")]
    assert schedules.collect(sagemaker, SETTINGS, HOUR) is None
    sagemaker.executions[NAMES["attribution"]] = []
    assert schedules.collect(sagemaker, SETTINGS, HOUR) is None
    sagemaker.executions[NAMES["attribution"]] = [
        execution("Failed", FailureReason="Job inputs had no data"),
        {**execution("Completed"), "ScheduledTime": HOUR.replace(hour=8)},
    ]
    found = schedules.collect(sagemaker, SETTINGS, HOUR)
    assert found is not None
    assert [(one.monitor, one.status, one.report) for one in found] == [
        ("data_quality", "Completed", "s3://b/data_quality/"),
        ("model_quality", "Completed", "s3://b/model_quality/"),
        ("bias", "CompletedWithViolations", "s3://b/bias/"),
        ("attribution", "NO_DATA", None),
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (None, "there is no monitoring schedule churn-local-data-quality: churn_training makes it"),
        ({"MonitoringScheduleStatus": "Stopped"}, "schedule churn-local-data-quality is Stopped$"),
        ({"MonitoringScheduleStatus": "Failed", "FailureReason": "no role"}, "is Failed no role$"),
        (
            {"CreationTime": HOUR.replace(minute=5)},
            "was made at 2026-11-21T09:05:00Z, after 2026-11-21T09:00:00Z: that hour has no execution",
        ),
    ],
)
def test_nobody_waits_for_an_execution_that_cannot_come(changed: dict[str, Any] | None, words: str) -> None:
    sagemaker = SageMaker()
    if changed is not None:
        ensure(sagemaker, "r1")
        assert schedules.collect(sagemaker, SETTINGS, HOUR) is None
        sagemaker.schedules[NAMES["data_quality"]] |= changed
    with pytest.raises(schedules.NothingToCollect, match=words):
        schedules.collect(sagemaker, SETTINGS, HOUR)


@pytest.mark.parametrize(("hours", "cron"), [(1, "cron(0 * ? * * *)"), (3, "cron(0 0/3 ? * * *)")])
def test_the_schedule_is_as_long_as_the_window(hours: int, cron: str) -> None:
    monitoring = SETTINGS.monitoring.model_copy(update={"window_hours": hours})
    made = schedules.schedule(SETTINGS.model_copy(update={"monitoring": monitoring}), "bias", "n")
    assert made["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"] == cron
