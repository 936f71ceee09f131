"""The table of routes: which event starts what, under which id, and what starts nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.lambda_functions.events import (
    ALARM,
    APPROVAL,
    BUCKET,
    CLOCK,
    OBJECT_CREATED,
    PACKAGE,
    changed,
)
from trigger_dag import routes
from trigger_dag.patterns import matches


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return routes.load(os.environ)


def test_a_new_object_starts_a_training_on_it(table: dict[str, Any]) -> None:
    start = routes.start_of(OBJECT_CREATED, table)

    assert (start.route, start.dag) == ("new_data", "churn_training")
    assert start.conf == {
        "data": f"s3://{BUCKET}/incoming/churn/november.csv",
        "only_newest": True,
        "reason": "new object incoming/churn/november.csv",
    }
    assert f"[s3://{BUCKET}/incoming/churn/november.csv](https://" in start.note
    assert start.run_id.startswith("new_data__2026-11-21T13:00:05Z__")


def test_an_alarm_starts_a_training_that_minds_the_cool_down(table: dict[str, Any]) -> None:
    start = routes.start_of(ALARM, table)

    assert start.dag == "churn_training"
    assert start.conf == {
        "cooldown": True,
        "reason": "alarm churn-local-drift: Threshold Crossed: 2 datapoints were greater than the threshold "
        "(0.0).",
    }
    assert "[churn-local-drift](https://" in start.note
    wordy = routes.start_of(changed(ALARM, state__reason="because " * 200), table)
    assert len(wordy.conf["reason"]) == 200
    assert len(wordy.note) == 1000


def test_a_schedule_and_an_approval_have_their_routes(table: dict[str, Any]) -> None:
    clock, approval = routes.start_of(CLOCK, table), routes.start_of(APPROVAL, table)

    assert (clock.dag, clock.conf) == ("churn_training", {"reason": "schedule of 2026-11-21T13:00:05Z"})
    assert "rule/mlops-local-clock" in clock.note
    assert approval.dag == "churn_deployment"
    assert approval.conf == {"model_package": PACKAGE, "reason": "approval of version 7"}


def test_the_run_id_is_the_event_and_not_its_delivery(table: dict[str, Any]) -> None:
    first = routes.start_of(OBJECT_CREATED, table)
    again = routes.start_of({**OBJECT_CREATED, "id": "another delivery"}, table)
    overwritten = routes.start_of(changed(OBJECT_CREATED, object__sequencer="00617F08299329D18A"), table)

    assert first.run_id == again.run_id
    assert first.run_id != overwritten.run_id
    ids = {routes.start_of(event, table).run_id for event in (OBJECT_CREATED, ALARM, CLOCK, APPROVAL)}
    assert len(ids) == 4
    assert all(routes.RUN_ID.fullmatch(run_id) for run_id in ids)


@pytest.mark.parametrize(
    "event",
    [
        changed(OBJECT_CREATED, object__key="raw/churn/november.csv"),
        changed(OBJECT_CREATED, bucket__name="somebody-elses"),
        changed(ALARM, state__value="OK"),
        changed(ALARM, alarmName="churn-local-broken-data"),
        changed(APPROVAL, ModelApprovalStatus="Rejected"),
        # The pipeline registers what it has approved itself: no update of the approval, no second deployment.
        changed(APPROVAL, UpdatedModelPackageFields=[]),
        {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {}},
        {},
    ],
)
def test_what_no_route_knows_starts_nothing(table: dict[str, Any], event: dict[str, Any]) -> None:
    with pytest.raises(routes.Unroutable, match="no route for the event"):
        routes.start_of(event, table)


def test_an_event_that_lacks_what_its_route_needs(table: dict[str, Any]) -> None:
    event = changed(OBJECT_CREATED)
    del event["detail"]["object"]["sequencer"]

    with pytest.raises(
        routes.Unroutable, match=r"route new_data: the event has no detail\.object\.sequencer"
    ):
        routes.start_of(event, table)


def test_a_direct_call_names_the_dag_itself(table: dict[str, Any]) -> None:
    start = routes.start_of({"dag": "monitoring", "conf": {"hours": 2}, "id": "2026-11-21"}, table)

    assert (start.dag, start.run_id, start.conf) == ("monitoring", "direct__2026-11-21", {"hours": 2})
    same, other = ({"dag": "monitoring", "conf": {"hours": hours}} for hours in (1, 2))
    assert routes.start_of(same, table) == routes.start_of(dict(same), table)
    assert routes.start_of(same, table).run_id != routes.start_of(other, table).run_id


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"dag": "a/../b"}, "is not the id of a DAG"),
        ({"dag": "x" * 51}, "is not the id of a DAG"),
        ({"dag": ["churn_training"]}, "is not the id of a DAG"),
        ({"dag": "monitoring", "conf": [1]}, "conf must be a JSON object"),
        ({"dag": "monitoring", "id": "a b"}, "is not a run id"),
        ({"dag": "monitoring", "config": {}}, "unknown key config of a direct event"),
        (["dag"], "the event is no JSON object"),
    ],
)
def test_a_direct_call_that_cannot_be_meant(table: dict[str, Any], event: Any, message: str) -> None:
    with pytest.raises(routes.Unroutable, match=message):
        routes.start_of(event, table)


def test_every_path_of_the_table_is_short_enough_for_mwaa(table: dict[str, Any]) -> None:
    assert all(len(f"/dags/{route['dag']}/dagRuns") <= 64 for route in table.values())


def test_a_missing_variable_is_an_error_of_the_deployment(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[routes.x]\ndag = "{env.NOWHERE}"\n')

    with pytest.raises(KeyError, match="NOWHERE"):
        routes.load({}, file)


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"]}, {"a": ["w", "x"]}, True),
        ({"a": ["x"]}, {}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": ["1"]}, {"a": 1}, False),
        ({"a": {"b": ["x"]}}, {"a": {"b": "x", "c": 1}}, True),
        ({"a": {"b": ["x"]}}, {"a": "x"}, False),
        ({"a": [{"prefix": "in/"}]}, {"a": "in/x"}, True),
        ({"a": [{"prefix": "in/"}]}, {"a": 7}, False),
        ({"a": [{"suffix": ".csv"}]}, {"a": "x.csv"}, True),
        ({"a": [{"anything-but": ["x"]}]}, {"a": "y"}, True),
        ({"a": [{"anything-but": "x"}]}, {"a": "x"}, False),
        ({"a": [{"anything-but": "x"}]}, {}, False),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"exists": False}]}, {}, True),
    ],
)
def test_patterns(pattern: dict[str, Any], event: dict[str, Any], expected: bool) -> None:
    assert matches(pattern, event) is expected


def test_an_operator_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="numeric"):
        matches({"a": [{"numeric": [">", 0]}]}, {"a": 1})
