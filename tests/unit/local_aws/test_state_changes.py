"""The events of state changes: what is told, once, in the shapes of each service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.services.state_changes import athena, glue, sagemaker

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sagemaker_backend(kind: str, **members: Any) -> Any:
    record = {"_arn": f"arn:{kind}", "_tags": {"team": "churn"}, "_private": 1, **members}
    return SimpleNamespace(records={kind: {"one": record}})


def test_a_training_job_is_told_as_describe_shows_it_with_times_in_milliseconds():
    backend = sagemaker_backend(
        "training-job",
        TrainingJobName="one",
        TrainingJobStatus="InProgress",
        SecondaryStatus="Starting",
        CreationTime=NOON,
        SecondaryStatusTransitions=[{"Status": "Starting", "StartTime": NOON}],
    )
    milliseconds = int(NOON.timestamp() * 1000)
    assert list(sagemaker.changes(backend)) == [
        (
            "SageMaker Training Job State Change",
            ["arn:training-job"],
            {
                "TrainingJobName": "one",
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Starting",
                "CreationTime": milliseconds,
                "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": milliseconds}],
                "Tags": {"team": "churn"},
            },
        )
    ]
    assert list(sagemaker.changes(backend)) == []
    backend.records["training-job"]["one"]["SecondaryStatus"] = "Training"
    ((_, _, detail),) = sagemaker.changes(backend)
    assert detail["SecondaryStatus"] == "Training"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("InService", "IN_SERVICE"),
        ("Creating", "CREATING"),
        ("RollingBack", "ROLLING_BACK"),
        ("Failed", "FAILED"),
    ],
)
def test_endpoints_are_told_in_capitals(status, told):
    backend = sagemaker_backend("endpoint", EndpointName="one", EndpointStatus=status)
    ((detail_type, _, detail),) = sagemaker.changes(backend)
    assert (detail_type, detail["EndpointStatus"]) == ("SageMaker Endpoint State Change", told)


def test_an_approval_is_a_change_of_a_model_package():
    backend = sagemaker_backend(
        "model-package", ModelPackageStatus="Completed", ModelApprovalStatus="PendingManualApproval"
    )
    ((_, _, made),) = sagemaker.changes(backend)
    assert "UpdatedModelPackageFields" not in made
    backend.records["model-package"]["one"]["ModelApprovalStatus"] = "Approved"
    ((detail_type, _, detail),) = sagemaker.changes(backend)
    assert detail_type == "SageMaker Model Package State Change"
    assert detail["ModelApprovalStatus"] == "Approved"
    assert detail["UpdatedModelPackageFields"] == ["ModelApprovalStatus"]


def glue_backend(runs: list[Any], crawls: list[Any]) -> Any:
    return SimpleNamespace(
        account_id="123456789012",
        jobs={"etl": SimpleNamespace(job_runs=runs)},
        crawlers={"c": SimpleNamespace(name="c", crawls=crawls)},
    )


@pytest.mark.parametrize(
    ("state", "severity", "message"),
    [
        ("SUCCEEDED", "INFO", "Job run succeeded"),
        ("STOPPED", "INFO", "Job run stopped"),
        ("TIMEOUT", "WARN", "Job run timed out"),
        ("FAILED", "ERROR", "JobName:etl and JobRunId:jr_1 failed to execute with exception boom"),
    ],
)
def test_the_end_of_a_job_run(state, severity, message):
    run = SimpleNamespace(state="RUNNING", job_name="etl", job_run_id="jr_1", error="boom")
    backend = glue_backend([run], [])
    assert list(glue.changes(backend)) == []
    run.state = state
    told = {"jobName": "etl", "severity": severity, "state": state, "jobRunId": "jr_1", "message": message}
    assert list(glue.changes(backend)) == [("Glue Job State Change", [], told)]
    assert list(glue.changes(backend)) == []


def test_a_crawl_starts_and_succeeds():
    crawl = SimpleNamespace(
        state="RUNNING",
        started=NOON,
        ended=None,
        error=None,
        counts={"created": 2, "updated": 0, "deleted": 1},
    )
    backend = glue_backend([], [crawl])
    ((detail_type, _, started),) = glue.changes(backend)
    assert detail_type == "Glue Crawler State Change"
    assert started == {
        "accountId": "123456789012",
        "crawlerName": "c",
        "state": "Started",
        "startTime": "2026-11-21T12:00:00Z",
        "message": "Crawler Started",
    }
    crawl.state, crawl.ended = "COMPLETED", NOON + timedelta(seconds=7)
    ((_, _, done),) = glue.changes(backend)
    chosen = ("state", "tablesCreated", "tablesDeleted", "runningTime (sec)", "completionDate")
    assert [done[key] for key in chosen] == ["Succeeded", "2", "1", "7", "2026-11-21T12:00:07Z"]


def test_a_query_is_told_state_by_state_though_one_went_by_without_a_commit():
    query = SimpleNamespace(state="QUEUED", started=None, kind="DML", id="q1", workgroup="primary")
    backend = SimpleNamespace(executions={"q1": query})

    def told() -> list[tuple[Any, ...]]:
        keys = ("sequenceNumber", "previousState", "currentState")
        return [tuple(detail.get(key) for key in keys) for _, _, detail in athena.changes(backend)]

    assert told() == [("1", None, "QUEUED")]
    query.state, query.started = "SUCCEEDED", NOON
    assert told() == [("2", "QUEUED", "RUNNING"), ("3", "RUNNING", "SUCCEEDED")]
    assert told() == []


def test_a_query_that_was_cancelled_while_it_waited():
    query = SimpleNamespace(state="CANCELLED", started=None, kind="DML", id="q1", workgroup="primary")
    details = [detail for _, _, detail in athena.changes(SimpleNamespace(executions={"q1": query}))]
    assert [detail["currentState"] for detail in details] == ["QUEUED", "CANCELLED"]
    assert details[1] == {
        "versionId": "0",
        "previousState": "QUEUED",
        "currentState": "CANCELLED",
        "statementType": "DML",
        "queryExecutionId": "q1",
        "workgroupName": "primary",
        "sequenceNumber": "2",
    }
