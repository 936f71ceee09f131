"""When a schedule fires and which records it looks at.

Time is counted in *hours* since the epoch, UTC. Local AWS can be told that such an hour is shorter (see
`local_aws.pace`): expressions, windows and offsets all shrink with it; the hour folders of captured data are
those of the clock on the wall.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local_aws.pace import HOUR_SECONDS
from local_aws.services.sagemaker import errors

NOW = "NOW"
DAY = 24
_CRON = re.compile(r"cron\(0 (?:(\*)|(\d{1,2})(?:/(\d{1,2}))?) \? \* \* \*\)")
# AWS's own example `-PT2D` is no ISO 8601, so days are read behind the T as well.
_DURATION = re.compile(r"-?P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)D)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_UNIT_HOURS = (7 * DAY, DAY, DAY, 1, 1 / 60, 1 / 3600)


@dataclass(frozen=True)
class Window:
    """Records from `start` to `end` (exclusive), both in UTC and of whole seconds."""

    start: datetime
    end: datetime

    def folders(self) -> list[str]:
        """The hour folders, `yyyy/mm/dd/HH`, that the window touches."""
        return hour_folders(self.start, self.end)


def hours_of_day(expression: str) -> frozenset[int]:
    """The hours at which an expression fires; empty for NOW. Only SageMaker's documented forms are taken."""
    if expression == NOW:
        return frozenset()
    match = _CRON.fullmatch(expression.strip())
    if match:
        every, first, step = match.groups()
        if every:
            return frozenset(range(DAY))
        if int(first) < DAY and 1 <= int(step or DAY) <= DAY:
            return frozenset(range(int(first), DAY, int(step or DAY)))
    raise errors.validation(
        f"The schedule expression {expression!r} is not supported. Supported are NOW, cron(0 * ? * * *) for "
        "hourly, cron(0 [00-23] ? * * *) for daily and cron(0 [00-23]/[01-24] ? * * *) for every x hours."
    )


def current(moment: datetime, seconds: int) -> int:
    """The number of the hour that `moment` lies in."""
    return int(moment.timestamp() // seconds)


def moment_of(hour: int, seconds: int) -> datetime:
    return datetime.fromtimestamp(hour * seconds, UTC)


def newest(hours: frozenset[int], hour: int) -> int:
    """The last hour, `hour` included, at which the schedule fires."""
    return next(each for each in range(hour, hour - DAY, -1) if each % DAY in hours)


def hours_since(text: str) -> float:
    """`-PT5H` -> 5.0. Raises ValidationException for what is no duration."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise errors.validation(f"The offset {text!r} is not an ISO 8601 duration such as -PT1H or -P8D.")
    return sum(float(n or 0) * unit for n, unit in zip(match.groups(), _UNIT_HOURS, strict=True))


def window(
    scheduled: datetime, hours: frozenset[int], seconds: int, start: str | None, end: str | None
) -> Window:
    """What an execution looks at: by its offsets, else everything since the schedule last fired.

    Raises ValidationException when it would end before it starts.
    """
    hour = current(scheduled, seconds)
    before = hour - newest(hours, hour - 1) if hours else 1
    first = hours_since(start) if start else float(before)
    last = hours_since(end) if end else 0.0
    if first <= last:
        raise errors.validation(f"The window's start {start!r} is not before its end {end!r}.")
    return Window(*(scheduled - timedelta(seconds=round(offset * seconds)) for offset in (first, last)))


def hour_folders(start: datetime, end: datetime) -> list[str]:
    """`yyyy/mm/dd/HH` of every hour between two times; `end` is exclusive."""
    first = start.replace(minute=0, second=0, microsecond=0)
    count = -(-int((end - first).total_seconds()) // HOUR_SECONDS)
    return [(first + timedelta(hours=i)).strftime("%Y/%m/%d/%H") for i in range(count)]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
