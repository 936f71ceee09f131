"""The plan of a run of the DAG monitoring: window, files, requests, or why there is nothing to look at."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.monitoring.baselines import NoBaselines
from mlops.monitoring.form import params as form
from mlops.monitoring.plan import NothingToWatch, executions, make_plan
from tests.unit.mlops.monitoring.aws import BASELINE, ENDPOINT, PACKAGE, S3, SETTINGS, SageMaker
from workbench.permissions import Use, compare, read_statements

RUN_ID = "manual__2026-11-21T09:20:00+00:00"
AT = datetime(2026, 11, 21, 9, 20, tzinfo=UTC)
PARAMS = {name: param.value for name, param in form(SETTINGS).items()}
HOUR = f"capture/{ENDPOINT}/AllTraffic/2026/11/21/08/00-00-000-a.jsonl"
LABELS = f"ground-truth/{ENDPOINT}/2026/11/21/09/0500.jsonl"


def plan(
    s3: S3, sagemaker: SageMaker | None = None, settings: Any = SETTINGS, **params: Any
) -> dict[str, Any]:
    return make_plan(settings, PARAMS | params, RUN_ID, AT, now=AT, s3=s3, sagemaker=sagemaker or SageMaker())


def inputs(request: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        item["InputName"]: (
            item["S3Input"]["S3Uri"].removeprefix(f"s3://{SETTINGS.bucket}/"),
            item["S3Input"]["LocalPath"].removeprefix("/opt/ml/processing/input/"),
        )
        for item in request["ProcessingInputs"]
    }


def test_a_full_window_has_a_request_for_each_analysis() -> None:
    made = plan(S3(HOUR, LABELS))
    assert made["model_package"] == PACKAGE
    assert made["window"] == {"start": "2026-11-21T08:00:00Z", "end": "2026-11-21T09:00:00Z"}
    for step in ("merge", "data_quality", "model_quality", "bias", "attribution"):
        environment = made[step]["Environment"]
        assert (environment["start_time"], environment["end_time"]) == tuple(made["window"].values())
        assert environment.get("model_version", "k1") == "k1"
    assert made["model_quality"]["Environment"]["probability_threshold_attribute"] == "0.4"
    hour = f"capture/{ENDPOINT}/AllTraffic/2026/11/21/08/", "captures/AllTraffic/2026/11/21/08"
    assert inputs(made["data_quality"])["captures_1"] == hour
    assert inputs(made["data_quality"])["baseline"] == (
        f"{BASELINE}data_quality/".removeprefix(f"s3://{SETTINGS.bucket}/"),
        "baseline",
    )
    assert inputs(made["merge"])["labels_1"] == (
        f"ground-truth/{ENDPOINT}/2026/11/21/09/",
        "labels/2026/11/21/09",
    )
    assert inputs(made["attribution"])["model"] == ("s3://b/k1/model.tar.gz", "model")
    # What the merge writes is what the quality's analyses read.
    merged = made["merge"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert merged == made["prefix"] + "merge/"
    for step in ("model_quality", "bias"):
        assert SETTINGS.s3(inputs(made[step])["captures"][0]) == merged
    json.dumps(made)


def test_sagemakers_role_may_read_and_write_what_the_requests_name() -> None:
    """SageMaker moves a job's files in the role's name, which local AWS cannot see."""
    role = SETTINGS.role_arn("sagemaker").rpartition("/")[2]
    made, own = plan(S3(HOUR, LABELS)), f"s3://{SETTINGS.bucket}/"
    read, written = set(), {SETTINGS.monitoring_prefix(ENDPOINT)}  # there a schedule puts its reports
    for step in ("merge", "data_quality", "model_quality", "bias", "attribution"):
        read |= {one["S3Input"]["S3Uri"] for one in made[step]["ProcessingInputs"]}
        outputs = made[step]["ProcessingOutputConfig"]["Outputs"]
        written |= {one["S3Output"]["S3Uri"] for one in outputs}
    uses = [
        Use(role, action, f"arn:aws:s3:::{SETTINGS.bucket}/{uri.removeprefix(own)}x")
        for action, uris in (("s3:GetObject", read), ("s3:PutObject", written))
        for uri in uris
        if uri != "s3://b/k1/model.tar.gz"  # of the double
    ]
    assert len(uses) > 10
    assert compare(read_statements(SETTINGS), uses)[0] == []


def test_without_labels_only_what_needs_none_is_analysed() -> None:
    made = plan(S3(HOUR))
    assert "AppSpecification" in made["data_quality"]
    assert "AppSpecification" in made["attribution"]
    for step in ("merge", "model_quality", "bias"):
        assert made[step] == {
            "no_data": "no label has come in for the window 2026-11-21T08:00:00Z to 2026-11-21T09:00:00Z"
        }


def test_without_requests_nothing_is_analysed_and_the_reason_is_said() -> None:
    made = plan(S3(LABELS))
    reasons = {made[step]["no_data"] for step in ("merge", "data_quality", "model_quality", "bias")}
    assert reasons == {"no request was captured in the window 2026-11-21T08:00:00Z to 2026-11-21T09:00:00Z"}


def test_a_window_never_mixes_two_models() -> None:
    half = plan(S3(HOUR, LABELS), SageMaker(served_since="2026-11-21T08:30:00"))
    assert half["data_quality"]["Environment"]["start_time"] == "2026-11-21T08:30:00Z"
    assert half["model_quality"]["Environment"]["start_time"] == "2026-11-21T08:30:00Z"
    later = plan(S3(HOUR, LABELS), SageMaker(served_since="2026-11-21T09:10:00"))
    assert "deployed after the window" in later["data_quality"]["no_data"]
    assert "deployed after the window" in later["model_quality"]["no_data"]


def test_labels_are_waited_for_as_long_as_the_settings_say() -> None:
    late = SETTINGS.model_copy(
        update={"monitoring": SETTINGS.monitoring.model_copy(update={"label_delay_hours": 5})}
    )
    earlier = f"capture/{ENDPOINT}/AllTraffic/2026/11/21/03/00-00-000-a.jsonl"
    made = plan(S3(HOUR, earlier, LABELS), settings=late)
    assert made["data_quality"]["Environment"]["start_time"] == "2026-11-21T08:00:00Z"
    for step in ("merge", "model_quality", "bias"):
        assert made[step]["Environment"]["start_time"] == "2026-11-21T03:00:00Z"
    # Whoever names a window means that window.
    named = plan(S3(HOUR, LABELS), settings=late, start="2026-11-21T08:00:00Z", end="2026-11-21T08:30:00Z")
    assert named["model_quality"]["Environment"]["start_time"] == "2026-11-21T08:00:00Z"


def test_a_job_never_has_more_inputs_than_sagemaker_takes() -> None:
    keys = [f"capture/{ENDPOINT}/AllTraffic/2026/11/21/{hour:02}/a.jsonl" for hour in range(9)]
    truth = [f"ground-truth/{ENDPOINT}/2026/11/21/{hour:02}/a.jsonl" for hour in range(9)]
    s3 = S3(*keys, *truth)
    s3.put_json(
        SETTINGS.s3(f"monitoring/{ENDPOINT}/executions/a.json"), {"end": "t", "metrics": {"auc": 0.9}}
    )
    made = plan(s3, start="2026-11-21T02:00:00Z", end="2026-11-21T08:00:00Z")
    for step in ("merge", "data_quality", "model_quality", "bias", "attribution"):
        assert len(made[step]["ProcessingInputs"]) <= 10, step
        names = [item["InputName"] for item in made[step]["ProcessingInputs"]]
        assert len(set(names)) == len(names)


def test_earlier_executions_are_given_to_the_report() -> None:
    s3 = S3(HOUR, LABELS)
    for hour, metrics in (("07", {"auc": 0.91}), ("08", {}), ("06", {"auc": 0.93})):
        summary = {"end": f"2026-11-21T{hour}:00:00Z", "metrics": metrics}
        s3.put_json(SETTINGS.s3(f"monitoring/{ENDPOINT}/executions/2026-11-21T{hour}.json"), summary)
    made = plan(s3)
    key = f"runs/monitoring/{made['run_key']}/history/metrics.json"
    assert s3.json(key) == [
        {"time": "2026-11-21T06:00:00Z", "metrics": {"auc": 0.93}},
        {"time": "2026-11-21T07:00:00Z", "metrics": {"auc": 0.91}},
    ]
    assert inputs(made["model_quality"])["history"] == (key, "history")
    environment = made["model_quality"]["Environment"]
    assert environment["metric_history"] == "/opt/ml/processing/input/history/metrics.json"
    assert "metric_history" not in plan(S3(HOUR, LABELS))["model_quality"]["Environment"]
    assert [one["end"] for one in executions(s3, SETTINGS, 2)] == [
        "2026-11-21T07:00:00Z",
        "2026-11-21T08:00:00Z",
    ]


def test_managed_needs_no_request() -> None:
    made = plan(S3(HOUR, LABELS), mode="managed")
    assert made["mode"] == "managed"
    assert "data_quality" not in made


def test_nothing_deployed_and_no_baseline_are_said() -> None:
    empty = SageMaker()
    empty.deployed = False
    with pytest.raises(NothingToWatch, match="endpoint churn-local serves nothing yet: run churn_training"):
        plan(S3(), empty)
    with pytest.raises(
        NoBaselines, match=r"has no baseline .*: run churn_training with monitoring switched on"
    ):
        plan(S3(), SageMaker(watched=False))
