"""make demo-drift: what it says of findings, and that it never waits for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import demo_drift
from workbench.demo_drift import Demo, make_world, told, wait
from workbench.settings import Settings, WorkbenchError

SINCE = datetime(2026, 11, 21, 9, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        ({"data_quality": 2, "model_quality": 0, "attribution": 1}, "data quality (2), attribution (1)"),
        ({"data_quality": 0}, "none"),
        ({}, "none"),
    ],
)
def test_findings_in_words(drift: dict[str, int], words: str) -> None:
    assert told(drift) == words


def test_waiting_ends_with_what_was_found_or_with_what_was_not() -> None:
    answers = iter(["", "", "run-1"])
    assert wait("a run", lambda: next(answers), seconds=30) == "run-1"
    with pytest.raises(WorkbenchError, match="waited 0 s in vain: the alarm"):
        wait("the alarm", lambda: False, seconds=0)


def demo(airflow: Any, tmp_path: Path) -> Demo:
    return Demo(Settings(tmp_path, 1, 2, 3), airflow, "c1", 400)


def test_only_a_run_that_an_alarm_asked_for_since_then_is_the_retraining(tmp_path: Path) -> None:
    def run(run_id: str, reason: str | None, minute: int) -> dict[str, Any]:
        conf = {"reason": reason} if reason else None
        return {"dag_run_id": run_id, "conf": conf, "queued_at": f"2026-11-21T09:{minute}:00Z"}

    runs = [run("by-hand", "because", 30), run("plain", None, 30), run("before", "alarm d: r", 10)]
    airflow = SimpleNamespace(runs=lambda *_, **__: runs)
    assert demo(airflow, tmp_path).retraining(SINCE) == ""
    runs.append(run("asked", "alarm churn-local-drift: r", 21))
    assert demo(airflow, tmp_path).retraining(SINCE) == "asked"


def test_a_champion_is_named_by_group_and_version(tmp_path: Path) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn-local/3"
    airflow = SimpleNamespace(xcom=lambda *_: arn)
    assert demo_drift.champion(demo(airflow, tmp_path), "r") == "churn-local/3"
    nothing = SimpleNamespace(xcom=lambda *_: None)
    assert demo_drift.champion(demo(nothing, tmp_path), "r") == "none"


@pytest.mark.parametrize(
    ("verdicts", "started"),
    [
        ([True], ["churn_training"]),
        (
            [False, True],
            ["churn_training", "teardown", "churn_training"],
        ),  # against an earlier demo's champion
    ],
)
def test_the_first_model_is_one_of_the_world_before(
    verdicts: list[bool], started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, dict[str, Any]]] = []

    def trigger(dag: str, conf: dict[str, Any]) -> str:
        begun.append((dag, conf))
        return f"run-{len(begun)}"

    airflow = SimpleNamespace(trigger=trigger, xcom=lambda *_: {"approved": verdicts[len(begun) // 2]})
    monkeypatch.setattr(demo_drift, "watch", lambda *_: "success")
    assert demo(airflow, tmp_path).first_model("s3://b/raw/a.csv") == f"run-{len(started)}"
    assert [dag for dag, _ in begun] == started
    confirmed = [conf for dag, conf in begun if dag == "teardown"]
    assert confirmed == [{"confirm": "churn-local"}] * (len(verdicts) - 1)


def test_an_alarm_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"MetricAlarms": [], "CompositeAlarms": [{"StateValue": "ALARM"}]}
    client = SimpleNamespace(describe_alarms=lambda **_: listed)
    monkeypatch.setattr(demo_drift.provision, "client", lambda *_: client)
    assert demo(None, tmp_path).alarm("churn-local-drift") == "ALARM"
    listed["CompositeAlarms"] = []
    with pytest.raises(WorkbenchError, match="there is no alarm churn-local-drift"):
        demo(None, tmp_path).alarm("churn-local-drift")


def test_callers_and_export_are_other_customers_with_the_same_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        demo_drift, "run_client", lambda _, module, **options: calls.append((module, options))
    )
    world = make_world(Settings(tmp_path, 1, 2, 3), "new_category", 0.4, 2500)
    made = {options["output"]: options for module, options in calls if module == "clients.churn_customers"}
    changed = {options["output"]: options for module, options in calls if module == "clients.drift"}
    assert set(changed) == {world.after, world.export}
    assert changed[world.after]["input"] == world.before
    assert {options["size"] for options in changed.values()} == {0.4}
    assert made[world.before]["seed"] != made[changed[world.export]["input"]]["seed"]
    assert made[world.before]["rows"] == 7500  # three windows, and each customer asks once


def test_a_window_too_small_to_tell_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="ROWS=199: a window of fewer than 200 customers says little"):
        demo_drift.run(Settings(tmp_path, 1, 2, 3), kind="shifted_feature", size=None, rows=199)
    assert list(tmp_path.iterdir()) == []
