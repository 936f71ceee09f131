"""The Amazon provider's Athena operator, hook, sensor and trigger, unchanged, against local AWS."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.exceptions import AirflowException, TaskDeferred
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(local_aws) -> dict[str, str]:
    """A database, and where results go."""
    name = f"provider_athena_{uuid.uuid4().hex[:8]}"
    bucket = name.replace("_", "-")
    local_aws.client("s3").create_bucket(Bucket=bucket)
    local_aws.client("glue").create_database(DatabaseInput={"Name": name})
    return {"database": name, "output_location": f"s3://{bucket}/results/"}


def operator(query: str, place: dict[str, str], **arguments: Any) -> AthenaOperator:
    return AthenaOperator(
        task_id="task",
        aws_conn_id=None,
        region_name="us-east-1",
        query=query,
        sleep_time=0,
        **place,
        **arguments,
    )


def hook() -> AthenaHook:
    return AthenaHook(aws_conn_id=None, region_name="us-east-1")


def context() -> dict[str, Any]:
    return {"ti": MagicMock(), "task_state_store": None}


def test_operator_returns_the_query_whose_results_the_hook_reads(place):
    query_id = operator("SELECT 7/2 AS half, NULL AS nothing", place).execute(context())
    rows = hook().get_query_results(query_id)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "3"}, {}]
    assert hook().get_output_location(query_id) == f"{place['output_location']}{query_id}.csv"
    paginator = hook().get_query_results_paginator(query_id, page_size=1)
    assert len(paginator.build_full_result()["ResultSet"]["Rows"]) == 2


def test_operator_fails_with_athenas_reason(place):
    with pytest.raises(
        AirflowException, match=r"FAILED.*Error: TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog"
    ):
        operator("SELECT * FROM gone", place).execute(context())


@pytest.mark.parametrize(("query", "status"), [("SELECT 1", "success"), ("SELECT 1/0", "error")])
def test_deferred_operator_resumes_with_the_outcome(place, query, status):
    task = operator(query, place, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())

    async def outcome() -> Any:
        try:
            return (await anext(deferred.value.trigger.run())).payload
        except AirflowException as error:
            return {"status": "error", "message": str(error)}

    event = asyncio.run(outcome())
    assert event["status"] == status
    if status == "success":
        assert task.execute_complete({}, event) == task.query_execution_id


def test_sensor_sees_the_end_of_a_query(place):
    query_id = operator("SELECT 1", place).execute(context())
    sensor = AthenaSensor(
        task_id="wait", query_execution_id=query_id, aws_conn_id=None, region_name="us-east-1"
    )
    assert sensor.poke({}) is True


def test_killing_the_task_cancels_the_query(place):
    endless = (
        "SELECT count(*) FROM UNNEST(sequence(1, 60000)) AS a(x) "
        "CROSS JOIN UNNEST(sequence(1, 60000)) AS b(y) WHERE x * y = 7"
    )
    task = operator(endless, place, deferrable=True)
    with pytest.raises(TaskDeferred):
        task.execute(context())
    task.on_kill()
    assert hook().check_query_status(task.query_execution_id) == "CANCELLED"
