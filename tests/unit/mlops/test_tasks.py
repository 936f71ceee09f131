"""The DAG's own tasks: what they hand on, what they skip, and what they do not try again."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from mlops.churn import tasks

PARAMS = {"margin": 0.02, "data_checks": "refuse", "deploy": True}


def store(monkeypatch: pytest.MonkeyPatch, objects: dict[str, str], **clients: Any) -> None:
    """S3 that holds these objects, and the other clients a task makes."""

    def get_object(Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(objects[f"s3://{Bucket}/{Key}"].encode())}

    made = {"s3": SimpleNamespace(get_object=get_object), **clients}
    monkeypatch.setattr(tasks, "client", made.__getitem__)


def evaluation(high: float) -> str:
    interval = {"estimate": 0, "low": -0.01, "high": high}
    return json.dumps(
        {
            "challenger": {"log_loss": 0.17},
            "constant": {"log_loss": 0.41},
            "paired": {"against": "champion", "confidence": 0.95, "log_loss": interval},
        }
    )


@pytest.mark.parametrize(
    ("high", "deploy", "goes_on", "approved"),
    [(0.01, True, True, True), (0.01, False, False, True), (0.05, True, False, False)],
)
def test_the_gate_decides_whether_the_release_runs(
    monkeypatch: pytest.MonkeyPatch, high: float, deploy: bool, goes_on: bool, approved: bool
) -> None:
    store(monkeypatch, {"s3://b/p/evaluation/evaluation.json": evaluation(high)})
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    assert tasks.gate("s3://b/p/", {**PARAMS, "deploy": deploy}, ti) is goes_on
    assert pushed["verdict"]["approved"] is approved
    json.dumps(pushed)  # plain JSON


def test_an_unusable_evaluation_is_named_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store(monkeypatch, {"s3://b/p/evaluation/evaluation.json": "{}"})
    with pytest.raises(AirflowFailException, match=r"s3://b/p/evaluation/evaluation.json: .*has no 'paired'"):
        tasks.gate("s3://b/p/", PARAMS, SimpleNamespace())


def test_a_failed_smoke_test_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(invoke_endpoint=lambda **_: {"Body": io.BytesIO(b"0.9\n")})
    store(
        monkeypatch, {"s3://b/p/evaluation/smoke_sample.csv": "0.1,1,2\n"}, **{"sagemaker-runtime": runtime}
    )
    with pytest.raises(AirflowFailException, match=r"1 of 1 scores of endpoint churn-local differ"):
        list(tasks.smoke_test("s3://b/p/", "arn"))


def test_a_passed_smoke_test_tells_the_asset_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(invoke_endpoint=lambda **_: {"Body": io.BytesIO(b"0.1\n")})
    store(
        monkeypatch, {"s3://b/p/evaluation/smoke_sample.csv": "0.1,1,2\n"}, **{"sagemaker-runtime": runtime}
    )
    (metadata,) = tasks.smoke_test("s3://b/p/", "arn")
    assert metadata.extra == {"model_package": "arn"}


def test_the_comparison_is_skipped_on_a_first_run_only() -> None:
    def ti(table: str | None) -> SimpleNamespace:
        return SimpleNamespace(xcom_pull=lambda task_ids, key: table)

    with pytest.raises(AirflowSkipException, match="no table of a previous run"):
        tasks.skip_without_previous_run({"ti": ti(None)})
    tasks.skip_without_previous_run({"ti": ti("customers_a")})
