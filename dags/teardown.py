"""teardown: what a named deployment has created, deleted, and nothing else. Wiring only."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from config import load
from mlops import housekeeping
from mlops.defaults import task_defaults

settings = load()

DOC = f"""
### Teardown

Deletes one deployment: the churn endpoint `{settings.churn_endpoint}` with its configurations and models, or
a bandit experiment with everything that its store records.

* **Starts by** the trigger form, the API
* **Deletes** what carries the deployment's tags; monitoring schedules are stopped
* **Keeps** raw data, runs, captures, and the versions in the model registry: `churn_training` deploys anew,
  `churn_deployment` brings an old version back

**Confirm** by the endpoint's name; any other text fails `plan`, and nothing is deleted. A retry goes on where
the last try ended.
"""

with DAG(
    dag_id="teardown",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    tags=["housekeeping", settings.environment],
    doc_md=DOC,
    params=housekeeping.teardown_params(),
    default_args=task_defaults(settings, execution_timeout=timedelta(hours=1)),
):
    plan = task(housekeeping.plan)()
    task(housekeeping.tear_down)(plan)
