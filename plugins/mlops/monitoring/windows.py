"""The time that an execution looks at, and the hour folders that hold it.

SageMaker writes captures to folders named by the hour (UTC) of the request; labels come into folders named by
the hour in which they were collected, which is later. A window need not begin or end with an hour: the
analyses leave out what is outside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

HOUR = timedelta(hours=1)
MAXIMUM_HOURS = 6  # a processing job has ten inputs; code, baseline, model and history are some of them
MAXIMUM_LABEL_FOLDERS = 3
FOLDERS = (len("2026/11/21/09"), len("2026/11/21"), len("2026/11"), len("2026"))


class BadWindow(ValueError):
    """The params describe no window; the message says which and why."""


@dataclass(frozen=True)
class Window:
    """From `start` to before `end`, UTC, whole seconds."""

    start: datetime
    end: datetime

    def hours(self) -> list[str]:
        """The hour folders that hold it, oldest first: `2026/11/21/09`."""
        return [f"{hour:%Y/%m/%d/%H}" for hour in _hours(self.start, self.end)]

    def earlier(self, by: timedelta) -> Window:
        return Window(self.start - by, self.end - by)

    def not_before(self, moment: datetime) -> Window | None:
        """The part after `moment`; None when there is none."""
        start = max(self.start, _whole(moment))
        return Window(start, self.end) if start < self.end else None

    def __str__(self) -> str:
        return f"{iso(self.start)} to {iso(self.end)}"


def of_run(params: Mapping[str, Any], at: datetime, length: timedelta) -> Window:
    """The window of a run that is due `at`: the last full hours, or what `start` and `end` say.

    Raises BadWindow: no moment in time, an end before the start, more hours than a job has inputs.
    """
    given = {name: _moment(name, params[name]) for name in ("start", "end") if params.get(name)}
    end = given.get("end") or _hour(at)
    if "start" in given and "end" not in given:
        end = _whole(at)  # "since ..." means until now
    window = Window(given.get("start") or end - length, end)
    if window.start >= window.end:
        raise BadWindow(f"the window ends ({iso(window.end)}) before it starts ({iso(window.start)})")
    if len(window.hours()) > MAXIMUM_HOURS:
        raise BadWindow(
            f"the window {window} touches {len(window.hours())} hours; one run looks at {MAXIMUM_HOURS} at "
            "most. Start a run for each part"
        )
    return window


def label_folders(start: datetime, now: datetime) -> list[str]:
    """The fewest folders in which labels for requests since `start` can have arrived by `now`.

    Hours while they are few, else days, months, years: a folder too many costs reading, one too few loses
    labels.
    """
    hours = [f"{hour:%Y/%m/%d/%H}" for hour in _hours(start, now)]
    found = [sorted({hour[:length] for hour in hours}) for length in FOLDERS]
    return next((folders for folders in found if len(folders) <= MAXIMUM_LABEL_FOLDERS), found[-1])


def iso(moment: datetime) -> str:
    """As the containers want it: `2026-11-21T09:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """The inverse of `iso`. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _moment(name: str, text: str) -> datetime:
    try:
        return _whole(parse(text))
    except ValueError as error:
        raise BadWindow(f"parameter {name}: {text!r} is no moment in time ({error})") from None


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = _hour(start)
    while hour < end:
        yield hour
        hour += HOUR


def _hour(moment: datetime) -> datetime:
    return _whole(moment).replace(minute=0, second=0)


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
