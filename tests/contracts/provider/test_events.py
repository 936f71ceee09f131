"""The Amazon provider's operators and sensors for EventBridge, SNS, SQS and MWAA, unchanged."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.operators.eventbridge import (
    EventBridgeDisableRuleOperator,
    EventBridgeEnableRuleOperator,
    EventBridgePutEventsOperator,
    EventBridgePutRuleOperator,
)
from airflow.providers.amazon.aws.operators.mwaa import MwaaTriggerDagRunOperator
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.amazon.aws.sensors.mwaa import MwaaDagRunSensor
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from botocore.exceptions import ClientError

from local_aws.pytest_plugin import LocalAws
from tests.contracts.json_handler import JsonHandler

COMMON: dict[str, Any] = {"task_id": "task", "aws_conn_id": None, "region_name": "us-east-1"}


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue(local_aws) -> tuple[str, str]:
    """URL and ARN."""
    sqs = local_aws.client("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:10]}")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def context() -> dict[str, Any]:
    return {"ti": MagicMock(), "task_state_store": None}


def received(url: str, count: int = 1) -> list[str]:
    """Bodies of messages, by the sensor, which deletes them."""
    found: list[str] = []
    while len(found) < count:
        sensor = SqsSensor(**COMMON, sqs_queue=url, wait_time_seconds=20, max_messages=1, timeout=60)
        pushed = context()
        sensor.execute(pushed)
        (call,) = pushed["ti"].xcom_push.call_args_list
        found += [message["Body"] for message in call.kwargs["value"]]
    return found


def test_a_rule_by_operators_passes_events_on_while_it_is_enabled(local_aws, queue):
    url, arn = queue
    name = f"rule-{uuid.uuid4().hex[:10]}"
    pattern = json.dumps({"source": [name], "detail": {"n": [{"numeric": [">", 1]}]}})
    made = EventBridgePutRuleOperator(**COMMON, name=name, event_pattern=pattern, state="DISABLED")
    assert made.execute(context())["RuleArn"].endswith(f"rule/{name}")
    local_aws.client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])

    def put(n: int) -> None:
        entry = {"Source": name, "DetailType": "test", "Detail": json.dumps({"n": n})}
        assert len(EventBridgePutEventsOperator(**COMMON, entries=[entry]).execute(context())) == 1

    put(5)
    EventBridgeEnableRuleOperator(**COMMON, name=name).execute(context())
    put(1)
    put(7)
    EventBridgeDisableRuleOperator(**COMMON, name=name).execute(context())
    put(9)
    SqsPublishOperator(**COMMON, sqs_queue=url, message_content='"last"').execute(context())
    first, last = (json.loads(body) for body in received(url, 2))
    assert (first["detail"], last) == ({"n": 7}, "last")


def test_a_topic_by_the_operator_reaches_the_sensor(local_aws, queue):
    url, arn = queue
    sns = local_aws.client("sns")
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:10]}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    SnsPublishOperator(**COMMON, target_arn=topic, message="hello", subject="s").execute(context())
    assert received(url) == ["hello"]


class Runs(JsonHandler):
    """Airflow's REST API with one DAG, whose runs end as their id says."""

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        if self.path == "/auth/token":
            return self.answer(201, {"access_token": "t"})
        if self.command == "POST":
            return self.answer(200, {"dag_run_id": body["dag_run_id"], "conf": body["conf"]})
        run = self.path.rpartition("/")[2]
        if run not in ("success", "failed"):
            return self.answer(404, {"detail": f"the run {run} was not found"})
        return self.answer(200, {"dag_run_id": run, "state": run})

    do_POST = do_GET


@pytest.fixture
def environment(tmp_path, monkeypatch) -> Iterator[str]:
    """Name of an MWAA environment in front of it."""
    airflow = ThreadingHTTPServer(("127.0.0.1", 0), Runs)
    threading.Thread(target=airflow.serve_forever, daemon=True).start()
    monkeypatch.setenv("LOCAL_AWS_AIRFLOW_URL", f"http://127.0.0.1:{airflow.server_address[1]}")
    aws = LocalAws(tmp_path / "aws")
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="mwaa")
    s3.put_bucket_versioning(Bucket="mwaa", VersioningConfiguration={"Status": "Enabled"})
    mwaa = aws.client("mwaa")
    mwaa.create_environment(
        Name="env",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/mwaa",
        SourceBucketArn="arn:aws:s3:::mwaa",
        DagS3Path="dags",
        NetworkConfiguration={"SubnetIds": ["a", "b"], "SecurityGroupIds": ["c"]},
    )
    while mwaa.get_environment(Name="env")["Environment"]["Status"] != "AVAILABLE":
        threading.Event().wait(0.05)
    yield "env"
    aws.stop()
    airflow.shutdown()
    airflow.server_close()


def test_a_run_is_triggered_and_waited_for_through_mwaa(environment):
    trigger = MwaaTriggerDagRunOperator(
        **COMMON, env_name=environment, trigger_dag_id="d", trigger_run_id="success", conf={"a": 1}
    )
    answer = trigger.execute(context())
    assert answer["RestApiResponse"] == {"dag_run_id": "success", "conf": {"a": 1}}

    def sensor(run: str) -> MwaaDagRunSensor:
        return MwaaDagRunSensor(
            **COMMON, external_env_name=environment, external_dag_id="d", external_dag_run_id=run
        )

    assert sensor("success").poke(context()) is True
    with pytest.raises(AirflowException, match="failed with state: failed"):
        sensor("failed").poke(context())
    with pytest.raises(ClientError) as error:
        sensor("gone").poke(context())
    assert error.value.response["RestApiStatusCode"] == 404
