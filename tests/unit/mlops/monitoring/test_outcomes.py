"""How executions end, and what their violations mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.monitoring import outcomes
from mlops.monitoring.outcomes import Execution, Outcome, metric_data, of_job, split
from mlops.monitoring.page import render


def job(status: str, **more: Any) -> dict[str, Any]:
    output = {"S3Output": {"S3Uri": "s3://b/runs/monitoring/k/data_quality"}}
    return {
        "ProcessingJobName": "monitoring-k-data-quality-1",
        "ProcessingJobStatus": status,
        "ProcessingOutputConfig": {"Outputs": [output]},
        **more,
    }


def violation(check: str, feature: str = "", **more: str) -> dict[str, str]:
    return {"feature_name": feature, "constraint_check_type": check, "description": "d", **more}


@pytest.mark.parametrize(
    ("described", "status", "reason"),
    [
        (job("Completed", ExitMessage="Completed: no violations."), "Completed", "Completed: no violations."),
        (
            job("Completed", ExitMessage="CompletedWithViolations: 2 violations."),
            "CompletedWithViolations",
            "CompletedWithViolations: 2 violations.",
        ),
        (
            job("Failed", ExitMessage="Job inputs had no data: no record in the window."),
            "NO_DATA",
            "Job inputs had no data: no record in the window.",
        ),
        (job("Failed", FailureReason="AlgorithmError: code 137"), "Failed", "AlgorithmError: code 137"),
        (job("Stopped"), "Failed", "the job is Stopped, without a reason"),
    ],
)  # fmt: skip
def test_the_outcome_of_a_job(described: dict[str, Any], status: str, reason: str) -> None:
    found = of_job("data_quality", described)
    assert (found.status, found.reason) == (status, reason)
    has_report = status in outcomes.CONCLUDED
    assert found.report == ("s3://b/runs/monitoring/k/data_quality/" if has_report else None)


def test_what_aws_says_of_missing_objects_is_no_data_too() -> None:
    text = 'No S3 objects found under S3 URL "s3://b/x" given in input data source.'
    assert outcomes.failed_or_empty(text) == "NO_DATA"
    assert outcomes.failed_or_empty("Unable to assume the role") == "Failed"


def test_a_broken_column_is_no_drift() -> None:
    drift, broken = split(
        [
            violation("baseline_drift_check", "Day Mins"),
            violation("completeness_check", "Eve Mins"),
            violation("baseline_drift_check", "Eve Mins"),
            violation("data_type_check", "State"),
        ]
    )
    assert [one["feature_name"] for one in drift] == ["Day Mins"]
    assert [one["feature_name"] for one in broken] == ["Eve Mins", "Eve Mins", "State"]


@pytest.mark.parametrize(
    "one",
    [
        {"metric_name": "f2", "constraint_check_type": "LessThanThreshold", "description": "d"},
        {
            "metric_name": "DI",
            "facet": "Age",
            "constraint_check_type": "bias_drift_check",
            "description": "d",
        },
        {"label": "label0", "constraint_check_type": "feature_attribution_drift_check", "description": "d"},
    ],
)
def test_a_worse_model_is_drift(one: dict[str, str]) -> None:
    assert split([one]) == ([one], [])


def execution(**changes: Any) -> Execution:
    made = Execution(
        endpoint="churn-local",
        model_package="arn:aws:sagemaker:us-east-1:1:model-package/churn-local/3",
        start="2026-11-21T08:00:00Z",
        end="2026-11-21T09:00:00Z",
        run_id="r",
        outcomes=[
            Outcome("data_quality", "CompletedWithViolations", "2", "s3://b/k/data_quality/", "j1"),
            Outcome("model_quality", "Completed", "none", "s3://b/k/model_quality/", "j2"),
            Outcome("bias", "NO_DATA", "no label has come in"),
            Outcome("attribution", "Failed", "AlgorithmError"),
        ],
        violations={
            "data_quality": [
                violation("baseline_drift_check", "Day Mins"),
                violation("record_check", "probability", description="1 record <refused>"),
            ]
        },
        metrics={"auc": 0.9},
        records={"matched": 390, "waiting": 10},
    )  # fmt: skip
    return replace(made, **changes)


def metrics(made: Execution) -> dict[tuple[str, str], float]:
    return {
        (datum["MetricName"], {d["Name"]: d["Value"] for d in datum["Dimensions"]}.get("Monitor", "")): datum[
            "Value"
        ]
        for datum in metric_data(made, resolution=60)
    }


def test_a_monitor_that_could_not_look_leaves_its_alarm_alone() -> None:
    assert metrics(execution()) == {
        ("drift", "data_quality"): 1,
        ("drift", "model_quality"): 0,
        ("broken_data", ""): 1,
        ("no_data", ""): 1,
        ("failed", ""): 1,
        ("matched", ""): 390,
        ("waiting", ""): 10,
    }


def test_an_empty_window_is_counted_and_says_nothing_of_drift() -> None:
    nothing = [Outcome(name, "NO_DATA", "nothing") for name in ("data_quality", "model_quality")]
    found = metrics(execution(outcomes=nothing, violations={}, records={}))
    assert found == {("no_data", ""): 2, ("failed", ""): 0}


def test_metrics_name_the_endpoint_and_their_resolution() -> None:
    for datum in metric_data(execution(), resolution=1):
        assert datum["StorageResolution"] == 1
        assert {"Name": "Endpoint", "Value": "churn-local"} in datum["Dimensions"]


def test_what_is_kept_of_an_execution_is_json_with_its_counts() -> None:
    kept = execution().as_dict()
    assert kept["drift"] == {"data_quality": 1, "model_quality": 0}
    assert kept["broken_data"] == 1
    assert kept["outcomes"][0]["report"] == "s3://b/k/data_quality/"


def test_the_endpoints_page_shows_every_execution_the_newest_first() -> None:
    earlier = execution(end="2026-11-21T08:00:00Z", violations={}, records={}).as_dict()
    page = render("churn-local", [earlier, execution().as_dict()], lambda uri: f"https://x/{uri}?a=1&b=2")
    assert page.index("2026-11-21T09:00:00Z") < page.rindex("2026-11-21T08:00:00Z")
    assert '<a href="https://x/s3://b/k/data_quality/report.html?a=1&amp;b=2">2 violations</a>' in page
    assert "Day Mins: d" in page
    assert "1 record &lt;refused&gt;" in page
    assert "bias: NO_DATA. no label has come in" in page
    assert "attribution: Failed. AlgorithmError" in page
    assert "waiting: 10" in page
    assert page.count("<td>2026-11-21T") == 2
    assert '<link rel="icon" href="data:,">' in page  # else a browser asks the bucket for one
