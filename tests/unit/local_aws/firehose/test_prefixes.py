"""Prefix expressions and object names, by the examples of Firehose's guide."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from moto.firehose.exceptions import InvalidArgumentException

from local_aws.services.firehose import prefixes

OPENED = datetime(2018, 8, 30, 23, 5, 9, 123456, tzinfo=UTC)
NAME = r"clicks-1-2018-08-30-23-05-09-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [
        ("", "2018/08/30/23/"),
        ("myPrefix", "myPrefix2018/08/30/23/"),
        ("my/", "my/2018/08/30/23/"),
        ("a/dt=!{timestamp:yyyy-MM-dd-HH}/", "a/dt=2018-08-30-23/"),
        ("a/!{timestamp:yyyy}/!{timestamp:MM}/x/", "a/2018/08/x/"),
        ("year=!{timestamp:yyyy}/day=!{timestamp:DDD}/", "year=2018/day=242/"),
        ("!{timestamp:yyyy/'month='MM/'at' h'' a}/", None),
        ("!{timestamp:yy-M-d 'o''clock' hh a}/", "18-8-30 o'clock 11 PM/"),
        ("!{timestamp:HH:mm:ss.SSS}/", "23:05:09.123/"),
    ],
)
def test_where_an_object_goes(prefix: str, folder: str | None) -> None:
    if folder is None:
        with pytest.raises(InvalidArgumentException, match="local AWS does not support h"):
            prefixes.check(prefix, "errors/")
        return
    prefixes.check(prefix, "errors/")
    key = prefixes.object_key("clicks", "1", prefix, OPENED, ".gz")
    assert re.fullmatch(re.escape(folder) + NAME + r"\.gz", key), key


def test_the_time_zone_of_the_stream() -> None:
    key = prefixes.object_key("s", "2", "!{timestamp:yyyy-MM-dd-HH}/", OPENED, "", "Asia/Tokyo")
    assert key.startswith("2018-08-31-08/s-2-2018-08-31-08-05-09-")


def test_every_random_string_is_another() -> None:
    text = prefixes.evaluate("!{firehose:random-string}/!{firehose:random-string}/", OPENED)
    first, second, _ = text.split("/")
    assert len(first) == len(second) == 11
    assert first != second


@pytest.mark.parametrize(
    ("prefix", "error_prefix", "reason"),
    [
        ("a/!{timestamp:yyyy}/", None, "ErrorOutputPrefix cannot be null"),
        ("a/!{firehose:error-output-type}/", "e/", "Prefix cannot contain"),
        ("a/", "e/!{timestamp:yyyy}/", "must contain !{firehose:error-output-type}"),
        ("a/!{timestamp}/", "e/", "may only open an expression"),
        ("a/!{clock:yyyy}/", "e/", r"unknown expression !\{clock:yyyy\}"),
        ("!{partitionKeyFromQuery:customer}/", "e/", "does not support dynamic partitioning"),
        ("!{timestamp:YYYY}/", "e/", r"!\{timestamp:YYYY\}: local AWS does not support YYYY"),
        ("!{timestamp:'yyyy}/", "e/", "quote is not closed"),
        ("x" * 513, None, "longer than 512"),
    ],
)
def test_what_aws_refuses(prefix: str, error_prefix: str | None, reason: str) -> None:
    with pytest.raises(InvalidArgumentException, match=reason):
        prefixes.check(prefix, error_prefix)
