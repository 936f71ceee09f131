"""Values, files and pages as Athena writes them."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from local_aws.services.athena import pages
from local_aws.services.athena.engine import results


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1234567.0, "1234567.0"),
        (1e7, "1.0E7"),
        (1.5e10, "1.5E10"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (-123.456, "-123.456"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (1e100, "1.0E100"),
        (123456789.125, "1.23456789125E8"),
    ],
)
def test_doubles_are_written_as_java_writes_them(value, expected):
    assert results.java_double(value) == expected


def test_single_precision_is_written_with_its_own_digits():
    assert results.java_float(0.10000000149011612) == "0.1"
    assert results.java_float(0.3333333432674408) == "0.33333334"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        (date(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31, 10, 0, 0, 123456), "2024-01-31 10:00:00.123"),  # noqa: DTZ001
        (datetime(2024, 1, 31, tzinfo=UTC), "2024-01-31 00:00:00.000 UTC"),
        (timedelta(days=2, hours=3), "2 03:00:00.000"),
        (b"\x01\xff", "01 ff"),
        ([1, None, "a"], "[1, null, a]"),
        ({"x": 1.0, "y": None}, "{x=1.0, y=null}"),
    ],
)
def test_values_are_written_as_athena_writes_them(value, expected):
    assert results.text(value) == expected


def test_null_and_the_empty_text_are_told_apart():
    assert results.csv_line(["a", None, "", 'say "x"', "two\nlines"]) == '"a",,"","say ""x""","two\nlines"\n'


def test_pages_resume_at_their_token_even_inside_multi_line_values():
    written: list[pages.Row] = [["h", "g"], ["two\nlines", None], ["", 'q"q'], [None, None], ["last", "x"]]
    file = io.BytesIO("".join(results.csv_line(row) for row in written).encode())
    seen: list[list[pages.Row]] = []
    token: int | None = 0
    while token is not None:
        rows, token = pages.page(file, token, 2, is_csv=True)
        seen.append(rows)
    assert seen == [written[:2], written[2:4], written[4:]]


def test_null_has_no_value_in_the_answer():
    assert pages.result_rows([["a", None]]) == [{"Data": [{"VarCharValue": "a"}, {}]}]
