"""EventBridge through boto3: rules that match, targets that receive, dead letters, nothing lost by a kill."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.queues import PATIENCE, TestQueue


@pytest.fixture(scope="module")
def events(local_aws: Any) -> Any:
    return local_aws.client("events")


@pytest.fixture(scope="module")
def sqs(local_aws: Any) -> Any:
    return local_aws.client("sqs")


@pytest.fixture
def source() -> str:
    return f"test.{uuid.uuid4().hex[:12]}"


def rule(events: Any, source: str, *targets: dict[str, Any], **options: Any) -> str:
    name = f"rule-{source}" + options.pop("suffix", "")
    pattern = json.dumps({"source": [source], **options.pop("pattern", {})})
    arn: str = events.put_rule(Name=name, EventPattern=pattern, **options)["RuleArn"]
    bus = {"EventBusName": options["EventBusName"]} if "EventBusName" in options else {}
    answer = events.put_targets(
        Rule=name, Targets=[{"Id": str(n), **target} for n, target in enumerate(targets)], **bus
    )
    assert answer["FailedEntryCount"] == 0
    return arn


def put(events: Any, source: str, detail: Any, **more: Any) -> str:
    entry = {"Source": source, "DetailType": "test", "Detail": json.dumps(detail), **more}
    answer = events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer
    return str(answer["Entries"][0]["EventId"])


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_target_receives_the_event_as_eventbridge_writes_it(events: Any, sqs: Any, source: str) -> None:
    queue = TestQueue(sqs)
    rule(events, source, {"Arn": queue.arn}, pattern={"detail": {"n": [{"numeric": [">", 3]}]}})
    put(events, source, {"n": 1})
    moment = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
    event_id = put(events, source, {"n": 4}, Resources=["arn:aws:s3:::b"], Time=moment)
    (event,) = queue.bodies(1)
    assert event == {
        "version": "0",
        "id": event_id,
        "detail-type": "test",
        "source": source,
        "account": "123456789012",
        "time": "2026-11-21T10:20:30Z",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::b"],
        "detail": {"n": 4},
    }
    assert queue.size() == 0


def test_inputs_paths_and_transformers(events: Any, sqs: Any, source: str) -> None:
    constant, part, made = TestQueue(sqs), TestQueue(sqs), TestQueue(sqs)
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"n": <n>, "say": "n is <n>"}'}
    rule(
        events,
        source,
        {"Arn": constant.arn, "Input": '{"a": 1}'},
        {"Arn": part.arn, "InputPath": "$.detail"},
        {"Arn": made.arn, "InputTransformer": transformer},
    )
    put(events, source, {"n": 4})
    assert constant.bodies(1) == [{"a": 1}]
    assert part.bodies(1) == [{"n": 4}]
    assert made.bodies(1) == [{"n": 4, "say": "n is 4"}]


def test_a_bad_target_goes_to_its_dead_letter_queue_and_the_others_receive(
    events: Any, sqs: Any, source: str
) -> None:
    good, dead = TestQueue(sqs), TestQueue(sqs)
    gone = good.arn + "-gone"
    function = "arn:aws:lambda:us-east-1:123456789012:function:gone"
    letter = {"DeadLetterConfig": {"Arn": dead.arn}, "RetryPolicy": {"MaximumRetryAttempts": 0}}
    rule_arn = rule(events, source, {"Arn": gone, **letter}, {"Arn": function, **letter}, {"Arn": good.arn})
    event_id = put(events, source, {})
    assert [event["id"] for event in good.bodies(1)] == [event_id]
    letters = dead.messages(2)
    assert {json.loads(message["Body"])["id"] for message in letters} == {event_id}
    why = [
        {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        for message in letters
    ]
    assert {one["TARGET_ARN"] for one in why} == {gone, function}
    assert {(one["RULE_ARN"], one["ERROR_CODE"], one["RETRY_ATTEMPTS"]) for one in why} == {
        (rule_arn, "NO_RESOURCE", "0")
    }
    assert f"the queue {gone} does not exist" in {one["ERROR_MESSAGE"] for one in why}


def test_an_event_that_cannot_fill_the_template_is_a_dead_letter(events: Any, sqs: Any, source: str) -> None:
    queue, dead = TestQueue(sqs), TestQueue(sqs)
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": "{<n>: 1}"}
    rule(
        events,
        source,
        {"Arn": queue.arn, "InputTransformer": transformer, "DeadLetterConfig": {"Arn": dead.arn}},
    )
    put(events, source, {"n": 5})
    put(events, source, {"n": "fine"})
    assert queue.bodies(1) == [{"fine": 1}]
    (letter,) = dead.messages(1)
    assert json.loads(letter["Body"])["detail"] == {"n": 5}
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "INVALID_JSON"


def test_topics_log_groups_fifo_queues_and_buses(local_aws: Any, events: Any, sqs: Any, source: str) -> None:
    logs, sns = local_aws.client("logs"), local_aws.client("sns")
    name = source.replace(".", "-")
    behind_topic, behind_bus = TestQueue(sqs), TestQueue(sqs)
    fifo = TestQueue(sqs, FifoQueue="true", ContentBasedDeduplication="true")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=behind_topic.arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    logs.create_log_group(logGroupName=f"/aws/events/{name}")
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/events/{name}"
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    rule(events, source, {"Arn": behind_bus.arn}, EventBusName=name)
    rule(
        events,
        source,
        {"Arn": topic},
        {"Arn": group},
        {"Arn": fifo.arn, "SqsParameters": {"MessageGroupId": "one"}},
        {"Arn": bus},
    )
    event_id = put(events, source, {})
    assert [event["id"] for event in behind_topic.bodies(1)] == [event_id]
    assert [event["id"] for event in behind_bus.bodies(1)] == [event_id]
    (message,) = fifo.messages(1)
    assert (json.loads(message["Body"])["id"], message["Attributes"]["MessageGroupId"]) == (event_id, "one")
    deadline = time.monotonic() + PATIENCE
    while not (found := logs.filter_log_events(logGroupName=f"/aws/events/{name}")["events"]):
        assert time.monotonic() < deadline
    assert json.loads(found[0]["message"])["id"] == event_id


def test_a_disabled_rule_is_silent(events: Any, sqs: Any, source: str) -> None:
    queue, control = TestQueue(sqs), TestQueue(sqs)
    rule(events, source, {"Arn": queue.arn}, State="DISABLED")
    rule(events, source, {"Arn": control.arn}, suffix="-control")
    put(events, source, {})
    control.messages(1)
    assert queue.size() == 0
    events.enable_rule(Name=f"rule-{source}")
    put(events, source, {})
    queue.messages(1)


def test_entries_are_judged_one_by_one(events: Any, source: str) -> None:
    fine = {"Source": source, "DetailType": "test", "Detail": "{}"}
    entries = [
        fine,
        {**fine, "Detail": "no json"},
        {**fine, "Detail": "[1]"},
        {**fine, "Source": "aws.s3"},
        {"DetailType": "test", "Detail": "{}"},
    ]
    answer = events.put_events(Entries=entries)
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "MalformedDetail",
        "MalformedDetail",
        "NotAuthorizedForSource",
        "InvalidArgument",
    ]
    assert answer["FailedEntryCount"] == 4
    assert refusal(events.put_events, Entries=[fine] * 11)[0] == "ValidationException"
    large = {**fine, "Detail": json.dumps({"text": "x" * 100_000})}
    assert refusal(events.put_events, Entries=[large] * 3) == (
        "ValidationException",
        "Total size of the entries in the request is over the limit.",
    )


def test_what_is_invalid_is_refused_when_it_is_made(events: Any, sqs: Any, source: str) -> None:
    queue = TestQueue(sqs)
    code, message = refusal(events.put_rule, Name="r", EventPattern='{"a": [{"prefix": 1}]}')
    assert code == "InvalidEventPatternException"
    assert message == "Event pattern is not valid. Reason: prefix match pattern must be a string"
    for schedule in ("rate(1 minutes)", "cron(0 10 * * * *)"):
        assert refusal(events.put_rule, Name="r", ScheduleExpression=schedule) == (
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        )
    rule(events, source, {"Arn": queue.arn})
    more = [{"Id": f"more-{n}", "Arn": queue.arn} for n in range(5)]
    assert refusal(events.put_targets, Rule=f"rule-{source}", Targets=more)[0] == "LimitExceededException"
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
    for target, expected in (
        ({"Id": "x", "Arn": machine}, ("UnsupportedOperation", f"the target {machine}")),
        ({"Id": "x", "Arn": queue.arn, "Input": "no json"}, ("ValidationException", "JSON syntax error")),
        (
            {"Id": "x", "Arn": queue.arn, "DeadLetterConfig": {"Arn": machine}},
            ("ValidationException", "must be the ARN of an SQS queue"),
        ),
    ):
        code, message = refusal(events.put_targets, Rule=f"rule-{source}", Targets=[target])
        assert code == expected[0]
        assert expected[1] in message


def test_what_is_not_done_is_refused_by_name(events: Any) -> None:
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/default"
    assert refusal(events.create_archive, ArchiveName="a", EventSourceArn=bus) == (
        "UnsupportedOperation",
        "local AWS does not support events.CreateArchive",
    )


def test_schedules_of_the_scheduler_are_refused_as_nothing_would_run_them(local_aws: Any) -> None:
    code, message = refusal(
        local_aws.client("scheduler").create_schedule,
        Name="s",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "RoleArn": "arn:aws:iam::123456789012:role/r"},
    )
    assert (code, "scheduler.CreateSchedule" in message) == ("UnsupportedOperation", True)


def test_a_pattern_can_be_tried(events: Any) -> None:
    event = {
        "id": "1",
        "account": "123456789012",
        "source": "aws.s3",
        "time": "2026-11-21T10:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "x",
        "detail": {"n": 1},
    }
    for pattern, expected in (('{"detail": {"n": [1]}}', True), ('{"detail": {"n": [2]}}', False)):
        answer = events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        assert answer["Result"] is expected
    assert refusal(events.test_event_pattern, EventPattern='{"a": []}', Event=json.dumps(event)) == (
        "InvalidEventPatternException",
        "Event pattern is not valid. Reason: Empty arrays are not allowed",
    )
    code, message = refusal(events.test_event_pattern, EventPattern='{"a": [1]}', Event='{"id": "1"}')
    assert (code, "account" in message) == ("ValidationException", True)


def test_a_kill_loses_no_event(new_local_aws: Callable[[], Any], source: str) -> None:
    aws = new_local_aws()
    events, queue = aws.client("events"), TestQueue(aws.client("sqs"))
    rule(events, source, {"Arn": queue.arn})
    sent = []
    for _ in range(2):
        sent += [put(events, source, {"n": n}) for n in range(10)]
        aws.restart(kill=True)
    missing = set(sent)
    while missing:  # at least once: one may come twice
        missing -= {event["id"] for event in queue.bodies(1)}
