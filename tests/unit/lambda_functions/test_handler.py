"""trigger_dag: what it asks of Airflow, and what becomes of an event that Airflow does not take."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.unit.lambda_functions.events import ALARM, OBJECT_CREATED, changed, queued
from trigger_dag import airflow, handler, routes


class Context(LambdaContext):
    _function_name = "mlops-local-trigger-dag"
    _memory_limit_in_mb = 256
    _invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:mlops-local-trigger-dag"
    _aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    milliseconds_left = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds_left


def rest_error(kind: str, status: int, detail: str = "detail") -> ClientError:
    """As MWAA words Airflow's refusals."""
    answer: Any = {
        "Error": {"Code": kind, "Message": "rest"},
        "RestApiStatusCode": status,
        "RestApiResponse": {"detail": detail},
    }
    return ClientError(answer, "InvokeRestApi")


def aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code}!"}}, "InvokeRestApi")


CONFLICT = rest_error("RestApiClientException", 409, "exists")
BAD_CONF = rest_error("RestApiClientException", 400, "param eta: -1 is less than 0")
DOWN = rest_error("RestApiServerException", 503, "starting")
THROTTLED = aws_error("ThrottlingException")
UNREACHABLE = EndpointConnectionError(endpoint_url="http://airflow")


@dataclass
class Clients:
    """MWAA and SQS: answers in the order given, then success."""

    answers: list[Exception | None] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    buried: list[dict[str, Any]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def invoke_rest_api(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        if self.answers and (answer := self.answers.pop(0)):
            raise answer
        return {"RestApiStatusCode": 200, "RestApiResponse": {}}

    def send_message(self, **message: Any) -> None:
        self.buried.append(message)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    made = Clients()
    monkeypatch.setattr(handler, "mwaa", lambda: made)
    monkeypatch.setattr(handler, "sqs", lambda: made)
    monkeypatch.setitem(airflow.start.__kwdefaults__, "sleep", made.pauses.append)
    return made


def reasons(clients: Clients) -> list[str]:
    return [message["MessageAttributes"]["ErrorMessage"]["StringValue"] for message in clients.buried]


def test_an_event_is_one_call_of_airflow(clients: Clients) -> None:
    answer = handler.handler(OBJECT_CREATED, Context())

    (call,) = clients.asked
    assert (call["Name"], call["Method"]) == ("mlops-local", "POST")
    assert call["Path"] == "/dags/churn_training/dagRuns"
    body = call["Body"]
    assert body["dag_run_id"] == answer["run_id"]
    assert body["logical_date"] is None
    assert body["conf"]["data"].endswith("/incoming/churn/november.csv")
    assert body["note"].startswith("Started by a new object: [s3://")
    assert answer["outcome"] == "started"


def test_a_second_delivery_is_a_success_that_starts_nothing(
    clients: Clients, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    clients.answers = [CONFLICT]

    answer = handler.handler(OBJECT_CREATED, Context())

    assert answer["outcome"] == "duplicate"
    assert len(clients.asked) == 1
    assert caplog.messages == ["this event has started its run before: nothing to do"]
    lines = capsys.readouterr().out.splitlines()
    (measured,) = [json.loads(line) for line in lines if '"_aws"' in line]
    assert measured["Duplicate"] == [1.0]
    assert measured["environment"] == "mlops-local"


@pytest.mark.parametrize("problem", [THROTTLED, DOWN, UNREACHABLE, aws_error("InternalServerException")])
def test_what_may_pass_is_asked_again_with_growing_pauses(clients: Clients, problem: Exception) -> None:
    clients.answers = [problem, problem, None]

    assert handler.handler(ALARM, Context())["outcome"] == "started"

    assert len(clients.asked) == 3
    assert len({json.dumps(call, sort_keys=True) for call in clients.asked}) == 1
    assert 0.5 <= clients.pauses[0] <= 0.75
    assert 1.0 <= clients.pauses[1] <= 1.5


def test_an_airflow_that_stays_away_is_an_error_with_its_reason(clients: Clients) -> None:
    clients.answers = [DOWN] * 9

    with pytest.raises(airflow.Unavailable, match=r"did not take churn_training drift__.*: 503 starting"):
        handler.handler(ALARM, Context())

    assert len(clients.asked) == 5


def test_no_pause_is_begun_that_the_function_would_not_survive(clients: Clients) -> None:
    clients.answers = [DOWN] * 9
    context = Context()
    context.milliseconds_left = 15_100

    with pytest.raises(airflow.Unavailable):
        handler.handler(ALARM, context)

    assert (len(clients.asked), clients.pauses) == (1, [])


def test_a_caller_hears_why_an_event_can_never_become_a_run(clients: Clients) -> None:
    clients.answers = [BAD_CONF]

    with pytest.raises(airflow.Refused, match="400 param eta: -1 is less than 0"):
        handler.handler({"dag": "churn_training", "conf": {"eta": -1}}, Context())
    with pytest.raises(routes.Unroutable, match="no route"):
        handler.handler({"source": "aws.ec2"}, Context())

    assert len(clients.asked) == 1


def test_a_batch_fails_only_for_the_messages_that_are_to_come_again(clients: Clients) -> None:
    clients.answers = [None, *[DOWN] * 5, CONFLICT]

    answer = handler.handler(
        queued(OBJECT_CREATED, changed(OBJECT_CREATED, object__key="incoming/churn/b.csv"), ALARM), Context()
    )

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert clients.buried == []


def test_a_batch_in_which_all_fail_is_no_error_of_the_function(clients: Clients) -> None:
    clients.answers = [DOWN] * 10

    answer = handler.handler(queued(OBJECT_CREATED, ALARM), Context())

    assert [item["itemIdentifier"] for item in answer["batchItemFailures"]] == ["message-0", "message-1"]


def test_poison_is_buried_at_once_with_its_reason(clients: Clients) -> None:
    clients.answers = [BAD_CONF]
    bad_conf = {"dag": "churn_training", "conf": {"eta": -1}}

    answer = handler.handler(queued(bad_conf, {"source": "aws.ec2"}, "no json"), Context())

    assert answer == {"batchItemFailures": []}
    assert [message["MessageBody"] for message in clients.buried] == [
        json.dumps(bad_conf),
        '{"source": "aws.ec2"}',
        "no json",
    ]
    assert {message["QueueUrl"] for message in clients.buried} == {"http://queue/dead"}
    refused, unroutable, broken = reasons(clients)
    assert refused.endswith("400 param eta: -1 is less than 0")
    assert "no route for the event" in unroutable
    assert broken.startswith("the message is no JSON")


@pytest.mark.parametrize(("receives", "buried"), [(2, 0), (3, 1), (4, 1)])
def test_the_last_delivery_is_buried_with_what_airflow_said(
    clients: Clients, receives: int, buried: int
) -> None:
    clients.answers = [DOWN] * 9

    answer = handler.handler(queued(ALARM, receives=receives), Context())

    assert len(answer["batchItemFailures"]) == 1 - buried
    assert len(clients.buried) == buried
    assert all("503 starting" in reason for reason in reasons(clients))


def test_a_message_that_cannot_be_buried_stays_in_the_queue(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**message: Any) -> None:
        raise aws_error("ServiceUnavailable")

    monkeypatch.setattr(clients, "send_message", refuse)

    answer = handler.handler(queued("no json"), Context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
