"""reaper and teardown: how they are wired, and what their forms take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

ROOT = Path(__file__).resolve().parents[2]


def dag(name: str) -> Any:
    return DagBag(ROOT / "dags" / f"{name}.py").dags[name]


@pytest.mark.parametrize(
    ("name", "chain"), [("reaper", ["find", "remove"]), ("teardown", ["plan", "tear_down"])]
)
def test_the_shape(name: str, chain: list[str]) -> None:
    found = dag(name)
    assert [task.task_id for task in found.topological_sort()] == chain
    assert found.get_task(chain[0]).downstream_task_ids == {chain[1]}
    assert found.max_active_runs == 1
    assert found.schedule is None  # nothing is removed by surprise: each environment sets its own
    assert found.doc_md


def test_the_reaper_only_reports_unless_told_otherwise() -> None:
    params = dag("reaper").params
    assert params.dump() == {"remove": False, "idle_hours": 72}
    params["idle_hours"] = 1
    with pytest.raises(ParamValidationError):
        params["idle_hours"] = 0


def test_a_teardown_cannot_be_started_without_a_confirmation() -> None:
    params = dag("teardown").params
    with pytest.raises(ParamValidationError):
        params.validate()
    params["confirm"] = "churn-local"
    assert params.validate() == {"deployment": "churn", "experiment": None, "confirm": "churn-local"}
