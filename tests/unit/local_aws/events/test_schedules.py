"""Schedule expressions, with the examples of "Cron expressions reference" of EventBridge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.services.events.schedules import InvalidSchedule, parse

START = datetime(2026, 11, 21, 10, 7, 30, tzinfo=UTC)  # a Saturday


def slots(expression: str, count: int, start: datetime = START) -> list[str]:
    schedule = parse(expression)
    found: list[str] = []
    moment: datetime | None = start
    while moment is not None and len(found) < count:
        moment = schedule.after(moment)
        found += [f"{moment:%a %Y-%m-%d %H:%M}"] if moment else []
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 10 * * ? *)", ["Sun 2026-11-22 10:00", "Mon 2026-11-23 10:00"]),
        ("cron(15 12 * * ? *)", ["Sat 2026-11-21 12:15", "Sun 2026-11-22 12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["Mon 2026-11-23 18:00", "Tue 2026-11-24 18:00"]),
        ("cron(0 8 1 * ? *)", ["Tue 2026-12-01 08:00", "Fri 2027-01-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["Sat 2026-11-21 10:15", "Sat 2026-11-21 10:30"]),
        ("cron(0/10 * ? * MON-FRI *)", ["Mon 2026-11-23 00:00", "Mon 2026-11-23 00:10"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["Mon 2026-11-23 08:00", "Mon 2026-11-23 08:05"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["Mon 2026-11-23 00:00", "Mon 2026-11-23 00:30"]),
        ("cron(0 9 ? * 2#1 *)", ["Mon 2026-12-07 09:00", "Mon 2027-01-04 09:00"]),
        ("cron(0 9 ? * MON#5 *)", ["Mon 2026-11-30 09:00", "Mon 2027-03-29 09:00"]),
        ("cron(0 0 L * ? *)", ["Mon 2026-11-30 00:00", "Thu 2026-12-31 00:00", "Sun 2027-01-31 00:00"]),
        ("cron(0 0 LW * ? *)", ["Mon 2026-11-30 00:00", "Thu 2026-12-31 00:00", "Fri 2027-01-29 00:00"]),
        ("cron(0 0 ? * L *)", ["Sat 2026-11-28 00:00"]),
        ("cron(0 0 ? * 6L *)", ["Fri 2026-11-27 00:00", "Fri 2026-12-25 00:00"]),
        ("cron(0 0 1W * ? *)", ["Tue 2026-12-01 00:00", "Fri 2027-01-01 00:00", "Mon 2027-02-01 00:00"]),
        ("cron(0 0 1W MAY ? 2027)", ["Mon 2027-05-03 00:00"]),  # the 1st is a Saturday
        ("cron(0 0 31W * ? *)", ["Thu 2026-12-31 00:00", "Fri 2027-01-29 00:00"]),
        ("cron(0 0 ? JAN,JUL SUN 2027-2028)", ["Sun 2027-01-03 00:00"]),
        ("cron(0 0 29 2 ? *)", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("cron(7 10 21 11 ? 2026)", []),
        ("cron(8 10 21 11 ? 2026)", ["Sat 2026-11-21 10:08"]),
        ("cron(0 0 ? * FRI-MON *)", ["Sun 2026-11-22 00:00", "Mon 2026-11-23 00:00", "Fri 2026-11-27 00:00"]),
    ],
)
def test_cron(expression, expected):
    assert slots(expression, max(len(expected), 1)) == expected


@pytest.mark.parametrize(
    ("expression", "delta"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(1 hour)", timedelta(hours=1)),
        ("rate(7 days)", timedelta(days=7)),
    ],
)
def test_rate(expression, delta):
    assert parse(expression).after(START) == START + delta


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(0 minutes)",
        "rate(1 week)",
        "rate(1.5 hours)",
        "every hour",
        "cron(0 10 * * *)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 10 32 * ? *)",
        "cron(0 10 ? * 8 *)",
        "cron(0 10 ? * MON#6 *)",
        "cron(0 10 * FEB-XYZ ? *)",
        "cron(0 10 * * ? 1969)",
        "cron(a 10 * * ? *)",
    ],
)
def test_what_eventbridge_refuses_is_refused(expression):
    with pytest.raises(InvalidSchedule):
        parse(expression)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  # zone is given below
    st.integers(0, 59),
    st.integers(0, 23),
)
def test_the_next_slot_is_the_first_one_later(moment, minute, hour):
    moment = moment.replace(tzinfo=UTC)
    found = parse(f"cron({minute} {hour} * * ? *)").after(moment)
    assert found is not None
    assert moment < found <= moment + timedelta(days=1, minutes=1)
    assert (found.minute, found.hour, found.second) == (minute, hour, 0)
