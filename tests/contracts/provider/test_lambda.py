"""The Amazon provider's Lambda operators and sensor, unchanged, against local AWS."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.operators.lambda_function import (
    LambdaCreateFunctionOperator,
    LambdaInvokeFunctionOperator,
)
from airflow.providers.amazon.aws.sensors.lambda_function import LambdaFunctionStateSensor

HANDLER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"doubled": 2 * event["number"]}
"""
PLACE = {"aws_conn_id": None, "region_name": "us-east-1"}


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def function(local_aws) -> str:
    """A function that the provider's own operator has made."""
    name = f"provider-{uuid.uuid4().hex[:8]}"
    role = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", HANDLER)
    arn = LambdaCreateFunctionOperator(
        task_id="create",
        function_name=name,
        runtime="python3.12",
        role=role,
        handler="index.handler",
        code={"ZipFile": buffer.getvalue()},
        timeout=30,
        config={"memory_size": 256, "environment": {"Variables": {"A": "b"}}},
        wait_for_completion=True,
        waiter_delay=1,
        **PLACE,
    ).execute(context())
    assert arn.endswith(f":function:{name}")
    return name


def context() -> Any:
    return {"ti": MagicMock(), "task": MagicMock()}


def invoke(function: str, event: dict[str, Any], **arguments: Any) -> Any:
    return LambdaInvokeFunctionOperator(
        task_id="invoke", function_name=function, payload=json.dumps(event), **arguments, **PLACE
    ).execute(context())


def test_what_the_operator_made_runs(function):
    sensor = LambdaFunctionStateSensor(
        task_id="sense", function_name=function, target_states=["Active"], **PLACE
    )
    assert sensor.poke(context())
    assert json.loads(invoke(function, {"number": 21}, log_type="Tail")) == {"doubled": 42}


def test_a_failed_function_fails_its_task_with_the_reason(function):
    with pytest.raises((AirflowException, ValueError), match="no such order"):
        invoke(function, {"fail": "no such order"})
