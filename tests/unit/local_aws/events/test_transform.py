"""What a target receives, with the examples of "Amazon EventBridge input transformation"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_aws.services.events.transform import InvalidInput, check, find, target_input

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {
        "instance-id": "i-0123456789",
        "state": "RUNNING",
        "tags": [{"k": 1}, {"k": 2}],
        "say": 'a "b"',
    },
}
RULE = {"arn": "arn:rule", "name": "my-rule", "ingestion-time": "2015-11-11T21:29:55Z"}
PATHS = {"instance": "$.detail.instance-id", "state": "$.detail.state"}


def transformed(template: str, paths: dict[str, str] | None = None) -> str:
    transformer = {"InputPathsMap": PATHS if paths is None else paths, "InputTemplate": template}
    target = {"Id": "1", "Arn": "arn", "InputTransformer": transformer}
    check(target)
    return target_input(target, EVENT, RULE)


def test_the_whole_event_a_constant_or_a_part():
    assert json.loads(target_input({}, EVENT, RULE)) == EVENT
    assert target_input({"Input": '{"a":  1}'}, EVENT, RULE) == '{"a":  1}'
    assert target_input({"InputPath": "$.detail.state"}, EVENT, RULE) == '"RUNNING"'
    assert target_input({"InputPath": "$"}, EVENT, RULE) == json.dumps(EVENT)


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('"<instance>"\n"<state>"', '"i-0123456789"\n"RUNNING"'),
        (
            '{"instance" : <instance>, "state": <state>}',
            '{"instance" : "i-0123456789", "state": "RUNNING"}',
        ),
        (
            r'{"instance": <instance>, "status": "instance \"<instance>\" is in <state>"}',
            r'{"instance": "i-0123456789", "status": "instance \"i-0123456789\" is in RUNNING"}',
        ),
        (
            '{"state": [9, <state>, true], "Transformed" : "Yes"}',
            '{"state": [9, "RUNNING", true], "Transformed" : "Yes"}',
        ),
        (
            '{"rule": <aws.events.rule-name>, "arn": "<aws.events.rule-arn>"}',
            '{"rule": "my-rule", "arn": "arn:rule"}',
        ),
        ('"at <aws.events.event.ingestion-time>"', '"at 2015-11-11T21:29:55Z"'),
    ],
)
def test_templates_as_documented(template, result):
    assert transformed(template) == result


def test_objects_stay_objects_outside_quotes_and_lose_their_quotes_inside():
    paths = {"detail": "$.detail", "tags": "$.detail.tags"}
    assert json.loads(transformed('{"d": <detail>, "n": <tags>}', paths)) == {
        "d": EVENT["detail"],
        "n": [{"k": 1}, {"k": 2}],
    }
    assert transformed('"tags: <tags>"', paths) == '"tags: [{k: 1}, {k: 2}]"'


def test_quotes_within_an_object_within_text_are_dropped_too():
    assert json.loads(transformed('"<detail>"', {"detail": "$.detail"})).endswith("say: a b}")


def test_text_with_quotes_stays_json():
    assert json.loads(transformed('{"a": <say>, "b": "<say>"}', {"say": "$.detail.say"})) == {
        "a": 'a "b"',
        "b": 'a "b"',
    }


def test_the_event_itself_with_and_without_its_detail():
    result = json.loads(transformed('{"all": <aws.events.event.json>, "head": <aws.events.event>}'))
    assert result["all"] == EVENT
    assert result["head"] == {name: value for name, value in EVENT.items() if name != "detail"}


def test_a_path_without_a_value_leaves_nothing():
    assert transformed('"a <none> b"', {"none": "$.detail.none"}) == '"a  b"'
    assert transformed('{"a": <none>}', {"none": "$.detail.none"}) == '{"a": ""}'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.detail.tags[1].k", 2),
        ("$.detail.tags[*].k", [1, 2]),
        ("$.detail.tags[7]", None),
        ("$.resources[0]", EVENT["resources"][0]),
        ("$.detail-type", EVENT["detail-type"]),
    ],
)
def test_paths(path, value):
    assert find(EVENT, path) == value


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"Input": "no json"}, "JSON syntax error in input for target 1"),
        ({"Input": "{}", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer"),
        ({"InputPath": "detail"}, "must begin with"),
        ({"InputPath": "$..detail"}, "local AWS reads names"),
        ({"InputTransformer": {"InputTemplate": '"<unknown>"'}}, "Placeholder unknown is not defined"),
        ({"InputTransformer": {"InputPathsMap": {"a": "$.b"}, "InputTemplate": "plain <a>"}}, "not JSON"),
        ({"InputTransformer": {"InputPathsMap": {"AWS.a": "$.b"}, "InputTemplate": '"x"'}}, "reserved"),
    ],
)
def test_what_could_never_be_delivered_is_refused(target, reason):
    with pytest.raises(InvalidInput, match=reason):
        check({"Id": "1", "Arn": "arn", **target})
