"""Windows: which hours a run looks at, and in which folders their labels may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops.monitoring.windows import BadWindow, Window, iso, label_folders, of_run, parse

HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "2026-11-21T08:00:00Z to 2026-11-21T09:00:00Z"),
        ({"start": None, "end": ""}, "2026-11-21T08:00:00Z to 2026-11-21T09:00:00Z"),
        ({"end": "2026-11-20T12:30:00Z"}, "2026-11-20T11:30:00Z to 2026-11-20T12:30:00Z"),
        ({"start": "2026-11-21T09:10:00Z"}, "2026-11-21T09:10:00Z to 2026-11-21T09:20:31Z"),
        (
            {"start": "2026-11-21T10:00:00+02:00", "end": "2026-11-21T10:00:30.9+02:00"},
            "2026-11-21T08:00:00Z to 2026-11-21T08:00:30Z",
        ),
        # Without a zone it is UTC, as everything else here.
        ({"start": "2026-11-21T08:00:00", "end": "2026-11-21T08:30:00"},
         "2026-11-21T08:00:00Z to 2026-11-21T08:30:00Z"),
    ],
)  # fmt: skip
def test_the_window_of_a_run(params: dict[str, str], expected: str) -> None:
    assert str(of_run(params, at("2026-11-21T09:20:31"), HOUR)) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "yesterday"}, "parameter start: 'yesterday' is no moment in time"),
        (
            {"start": "2026-11-21T09:00:00Z", "end": "2026-11-21T08:00:00Z"},
            r"the window ends \(2026-11-21T08:00:00Z\) before it starts \(2026-11-21T09:00:00Z\)",
        ),
        (
            {"start": "2026-11-21T00:30:00Z", "end": "2026-11-21T06:30:00Z"},
            "touches 7 hours; one run looks at 6 at most",
        ),
    ],
)
def test_a_bad_window_is_one_sentence(params: dict[str, str], message: str) -> None:
    with pytest.raises(BadWindow, match=message):
        of_run(params, at("2026-11-21T09:20:00"), HOUR)


def test_hours_are_those_that_the_window_touches() -> None:
    window = Window(at("2026-11-20T22:59:59"), at("2026-11-21T00:00:01"))
    assert window.hours() == ["2026/11/20/22", "2026/11/20/23", "2026/11/21/00"]
    assert Window(at("2026-11-20T22:00:00"), at("2026-11-20T23:00:00")).hours() == ["2026/11/20/22"]


def test_a_window_is_cut_where_the_model_came() -> None:
    window = Window(at("2026-11-21T08:00:00"), at("2026-11-21T09:00:00"))
    cut = window.not_before(at("2026-11-21T08:30:00.700000"))
    assert str(cut) == "2026-11-21T08:30:00Z to 2026-11-21T09:00:00Z"
    assert window.not_before(at("2026-11-21T07:00:00")) == window
    assert window.not_before(at("2026-11-21T09:00:00")) is None
    assert str(window.earlier(timedelta(hours=24))) == "2026-11-20T08:00:00Z to 2026-11-20T09:00:00Z"


@pytest.mark.parametrize(
    ("start", "now", "folders"),
    [
        ("2026-11-21T08:10:00", "2026-11-21T08:50:00", ["2026/11/21/08"]),
        ("2026-11-21T08:10:00", "2026-11-21T10:50:00", ["2026/11/21/08", "2026/11/21/09", "2026/11/21/10"]),
        ("2026-11-20T20:00:00", "2026-11-21T10:50:00", ["2026/11/20", "2026/11/21"]),
        ("2026-11-20T20:00:00", "2026-11-25T10:50:00", ["2026/11"]),
        ("2026-10-30T20:00:00", "2026-12-25T10:50:00", ["2026/10", "2026/11", "2026/12"]),
        ("2025-10-30T20:00:00", "2026-12-25T10:50:00", ["2025", "2026"]),
    ],
)
def test_labels_are_looked_for_in_few_folders(start: str, now: str, folders: list[str]) -> None:
    assert label_folders(at(start), at(now)) == folders


def test_times_go_out_and_come_back() -> None:
    moment = at("2026-11-21T08:30:00")
    assert parse(iso(moment)) == moment
