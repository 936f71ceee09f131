"""CloudWatch Logs as boto3, the provider's log reader and the SageMaker SDK use it."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def logs(local_aws: Any) -> Any:
    return local_aws.client("logs")


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/test/{uuid.uuid4().hex[:12]}"
    logs.create_log_group(logGroupName=name)
    return name


def put(logs: Any, group: str, stream: str, count: int, start: int | None = None) -> int:
    """`count` events "<stream> <number>", a millisecond apart; the time of the first."""
    start = start or int(time.time() * 1000)
    if not logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": start + number, "message": f"{stream} {number}"} for number in range(count)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return start


def test_reading_forward_ends_with_the_same_token(logs: Any, group: str) -> None:
    start = put(logs, group, "s", 25)
    token, messages, calls = None, [], 0
    while True:
        more: dict[str, Any] = {"nextToken": token} if token else {}
        page = logs.get_log_events(
            logGroupName=group, logStreamName="s", startFromHead=True, limit=10, **more
        )
        messages += [event["message"] for event in page["events"]]
        calls += 1
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert messages == [f"s {number}" for number in range(25)]
    assert calls == 4
    put(logs, group, "s", 1, start=start + 25)  # a token is a place in time: what is older stays behind it
    page = logs.get_log_events(logGroupName=group, logStreamName="s", nextToken=token)
    assert [event["message"] for event in page["events"]] == ["s 0"]


def test_reading_an_empty_stream_then_what_was_written_since(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    page = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True)
    assert page["events"] == []
    put(logs, group, "s", 2)
    page = logs.get_log_events(logGroupName=group, logStreamName="s", nextToken=page["nextForwardToken"])
    assert [event["message"] for event in page["events"]] == ["s 0", "s 1"]


def test_the_newest_events_come_without_a_token_and_the_older_by_the_backward_one(
    logs: Any, group: str
) -> None:
    put(logs, group, "s", 25)
    page = logs.get_log_events(logGroupName=group, logStreamName="s", limit=10)
    assert [event["message"] for event in page["events"]] == [f"s {number}" for number in range(15, 25)]
    page = logs.get_log_events(
        logGroupName=group, logStreamName="s", limit=10, nextToken=page["nextBackwardToken"]
    )
    assert [event["message"] for event in page["events"]] == [f"s {number}" for number in range(5, 15)]


def test_times_bound_what_is_read_the_end_excluded(logs: Any, group: str) -> None:
    start = put(logs, group, "s", 10)
    page = logs.get_log_events(
        logGroupName=group, logStreamName="s", startFromHead=True, startTime=start + 2, endTime=start + 5
    )
    assert [event["message"] for event in page["events"]] == ["s 2", "s 3", "s 4"]


def test_the_log_reader_of_the_sagemaker_sdk_ends(logs: Any, group: str) -> None:
    """It repeats describe_log_streams, without passing the token, for as long as it is given one."""
    put(logs, group, "job-1/algo-1-1", 1)
    put(logs, group, "job-10/algo-1-1", 1)
    streams = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix="job-1/", orderBy="LogStreamName", limit=1
    )
    assert [stream["logStreamName"] for stream in streams["logStreams"]] == ["job-1/algo-1-1"]
    assert "nextToken" not in streams


def test_streams_by_name_by_last_event_and_in_pages(logs: Any, group: str) -> None:
    now = int(time.time() * 1000)
    for name, age in (("b", 3000), ("a", 1000), ("c", 2000)):
        put(logs, group, name, 1, now - age)

    def names(**options: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=group, PaginationConfig={"PageSize": 2}, **options
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "b", "c"]
    assert names(descending=True) == ["c", "b", "a"]
    assert names(orderBy="LastEventTime") == ["b", "c", "a"]
    assert names(orderBy="LastEventTime", descending=True) == ["a", "c", "b"]
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")["logStreams"]
    assert stream["firstEventTimestamp"] == stream["lastEventTimestamp"] == now - 3000


def test_filtering_over_streams(logs: Any, group: str) -> None:
    now = int(time.time() * 1000)
    put(logs, group, "one", 12, now)
    put(logs, group, "two", 12, now)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern="1", PaginationConfig={"PageSize": 3}
    )
    found = [event["message"] for page in pages for event in page["events"]]
    assert found == ["one 1", "two 1", "one 10", "two 10", "one 11", "two 11"]
    only = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="tw", limit=2)
    assert [event["message"] for event in only["events"]] == ["two 0", "two 1"]


def test_what_does_not_exist_is_named_so(logs: Any, group: str) -> None:
    for call in (
        lambda: logs.get_log_events(logGroupName="/no/such", logStreamName="s"),
        lambda: logs.get_log_events(logGroupName=group, logStreamName="none"),
        lambda: logs.describe_log_streams(logGroupName="/no/such"),
        lambda: logs.filter_log_events(logGroupName="/no/such"),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_deleted_group_takes_its_events_with_it(logs: Any, group: str) -> None:
    put(logs, group, "s", 3)
    logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    assert logs.filter_log_events(logGroupName=group)["events"] == []


def test_a_group_shows_its_retention_and_size(logs: Any, group: str) -> None:
    put(logs, group, "s", 2)
    logs.put_retention_policy(logGroupName=group, retentionInDays=30)
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert (found["retentionInDays"], found["storedBytes"]) == (30, 2 * (3 + 26))


def test_an_insights_query_reads_the_events(logs: Any, group: str) -> None:
    start = put(logs, group, "s", 3)
    query = logs.start_query(
        logGroupName=group,
        startTime=start // 1000 - 60,
        endTime=start // 1000 + 60,
        queryString="fields @message",
    )
    results = logs.get_query_results(queryId=query["queryId"])["results"]
    assert sorted(field["value"] for row in results for field in row if field["field"] == "@message") == [
        "s 0",
        "s 1",
        "s 2",
    ]
