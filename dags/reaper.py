"""reaper: what costs money and is used by nobody. Wiring only."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from config import load
from mlops import housekeeping
from mlops.defaults import task_defaults

settings = load()

DOC = f"""
### Reaper

Looks for what environment `{settings.environment}` has made in SageMaker and no longer needs: endpoints that
nobody has invoked, configurations and models that no endpoint serves with, anything past its tag `expires`.

* **Starts by** {settings.schedules.get("reaper", "the trigger form, the API or `make trigger DAG=reaper`")}
* **Finds** by the tags `project={settings.project}` and `environment={settings.environment}`
* **Removes** only when the run says `remove`; otherwise it reports

**A date in the tag `expires`** (2026-12-31) decides alone: until then a resource stays, however idle it is.

**Where to look.** The log of `find` has a line for each resource; its return value is the list.
"""

with DAG(
    dag_id="reaper",
    schedule=settings.schedules.get("reaper"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    tags=["housekeeping", settings.environment],
    doc_md=DOC,
    params=housekeeping.reaper_params(),
    default_args=task_defaults(settings, execution_timeout=timedelta(hours=1)),
):
    find = task(housekeeping.find)()
    task(housekeeping.remove)(find)
