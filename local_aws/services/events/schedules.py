"""Schedule expressions of EventBridge: rate(...) and cron(...), in UTC.

After "Creating rules that run on a schedule"
(docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html). AWS's cron has six fields, with
the year last, counts weekdays from SUN = 1, and knows `?`, `L`, `W`, `#`: the cron libraries of Python read
five-field cron and not this one.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
CRON = re.compile(r"cron\((.*)\)")
MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {name: number for number, name in enumerate(("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"), 1)}
FIRST_YEAR, LAST_YEAR = 1970, 2199


class InvalidSchedule(ValueError):
    """The message says what is wrong with the expression."""


@dataclass(frozen=True)
class Rate:
    every: timedelta

    def after(self, moment: datetime) -> datetime | None:
        """The next slot. A rate counts from the moment its rule is made, and then from slot to slot."""
        return moment + self.every


@dataclass(frozen=True)
class Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    on_day: Callable[[date], bool]

    def after(self, moment: datetime) -> datetime | None:
        """The first slot later than `moment`; None when there is none any more."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for day in self._days(start.date()):
            first = start if day == start.date() else datetime(day.year, day.month, day.day, tzinfo=UTC)
            for hour in sorted(hour for hour in self.hours if hour >= first.hour):
                least = first.minute if hour == first.hour else 0
                minute = min((minute for minute in self.minutes if minute >= least), default=None)
                if minute is not None:
                    return first.replace(hour=hour, minute=minute)
        return None

    def _days(self, first: date) -> Iterator[date]:
        for year in sorted(year for year in self.years if year >= first.year):
            for month in sorted(self.months):
                for number in range(1, calendar.monthrange(year, month)[1] + 1):
                    day = date(year, month, number)
                    if day >= first and self.on_day(day):
                        yield day


def parse(expression: str) -> Rate | Cron:
    """Raises InvalidSchedule.

    >>> parse("cron(0 10 * * ? *)").after(datetime(2026, 11, 21, 10, tzinfo=UTC)).isoformat()
    '2026-11-22T10:00:00+00:00'
    """
    if rate := RATE.fullmatch(expression):
        number, unit = int(rate[1]), rate[2]
        if number < 1 or (number == 1) == unit.endswith("s"):
            raise InvalidSchedule("a rate is a positive number with its unit in the singular or plural")
        return Rate(timedelta(**{unit.rstrip("s") + "s": number}))
    if cron := CRON.fullmatch(expression):
        return _cron(cron[1].split())
    raise InvalidSchedule("a schedule is rate(value unit) or cron(minutes hours day month weekday year)")


def _cron(fields: list[str]) -> Cron:
    if len(fields) != 6:
        raise InvalidSchedule(f"cron has six fields, not {len(fields)}")
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise InvalidSchedule("exactly one of day-of-month and day-of-week must be ?")
    return Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        _numbers(months, 1, 12, MONTHS),
        _numbers(years, FIRST_YEAR, LAST_YEAR),
        _day_of_week(weekdays) if days == "?" else _day_of_month(days),
    )


def _day_of_month(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _last_day(day)
    if field == "LW":
        return lambda day: day.day == _nearest_weekday(day, _last_day(day))
    if field.endswith("W"):
        wanted = _number(field[:-1], 1, 31)
        return lambda day: wanted <= _last_day(day) and day.day == _nearest_weekday(day, wanted)
    numbers = _numbers(field, 1, 31)
    return lambda day: day.day in numbers


def _day_of_week(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: _weekday(day) == 7
    if field.endswith("L"):
        wanted = _number(field[:-1], 1, 7, WEEKDAYS)
        return lambda day: _weekday(day) == wanted and day.day > _last_day(day) - 7
    if "#" in field:
        name, _, place = field.partition("#")
        wanted, nth = _number(name, 1, 7, WEEKDAYS), _number(place, 1, 5)
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == nth
    numbers = _numbers(field, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in numbers


def _numbers(field: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """A list of numbers, ranges and steps: `1,5-7,*/15,10/2`."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = lowest, highest
        elif dash:
            begin, end = _number(first, lowest, highest, names), _number(last, lowest, highest, names)
        else:
            begin = _number(span, lowest, highest, names)
            end = highest if slash else begin
        by = _number(step, 1, highest) if slash else 1
        if begin <= end:
            found.update(range(begin, end + 1, by))
        else:  # FRI-MON, 22-2: over the end
            found.update(range(begin, highest + 1, by), range(lowest, end + 1, by))
    return frozenset(found)


def _number(text: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> int:
    value = int(text) if text.isascii() and text.isdigit() else (names or {}).get(text.capitalize(), -1)
    if not lowest <= value <= highest:
        raise InvalidSchedule(f"{text!r} is not between {lowest} and {highest}")
    return value


def _weekday(day: date) -> int:
    """1 is Sunday."""
    return day.isoweekday() % 7 + 1


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> int:
    """Monday to Friday nearest to the wanted day, within its month."""
    weekday = day.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < _last_day(day) else wanted - 2
    return wanted
