"""churn_deployment: a version that somebody approved is deployed as churn_training deploys its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

ROOT = Path(__file__).resolve().parents[2]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn-local/3"


@pytest.fixture(scope="module")
def dag() -> Any:
    return DagBag(ROOT / "dags" / "churn_deployment.py").dags["churn_deployment"]


def test_the_shape(dag: Any) -> None:
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}

    assert edges == {
        "plan": ["deploy", "schedules", "smoke_test"],
        "deploy": ["schedules", "smoke_test"],
        "smoke_test": [],
        "schedules": [],
    }
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is False


@pytest.mark.parametrize(
    ("version", "valid"),
    [
        (ARN, True),
        (ARN.replace("churn-local", "somebody-elses"), False),
        ("3", False),
        (None, False),
    ],
)
def test_a_run_names_one_version_of_this_environment(dag: Any, version: str | None, valid: bool) -> None:
    param = dag.params.get_param("model_package")
    if valid:
        assert param.resolve(version) == version
    else:
        with pytest.raises(ParamValidationError):
            param.resolve(version)
