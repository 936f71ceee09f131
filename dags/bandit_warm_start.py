"""bandit_warm_start: from an earlier policy's log, or from nothing, to a served policy. Wiring only."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

from config import load
from mlops.bandit import form, tasks, warm
from mlops.bandit.steps import train_and_evaluate
from mlops.bandit.workflows import HOSTING
from mlops.defaults import task_defaults, within
from mlops.operators import DeployEndpointOperator
from mlops.operators.athena import QueryOperator

settings = load()

DOC = f"""
### Bandit: warm start

Creates an experiment, or resumes it by its id, and serves its first policy: one that has learned from the log
of an earlier policy, or one that chooses at random.

* **Starts by** the trigger form, the API or `make trigger DAG=bandit_warm_start`
* **Reads** the log named in the form: JSON lines with event_id, observation, action, action_prob, reward
* **Writes** everything of an experiment under `{settings.s3("bandits/<experiment>/")}`; records in the tables
  `{settings.bandit_table("experiments")}`, `-models` and `-joins`
* **Creates** two streams (observations and rewards), four tables in `{settings.glue_database}`, a dashboard
  and the endpoint `{settings.stem}-bandit-<experiment>`

**Where to look.** What became of the log's events is in the log of `settle`; the verdict in that of `gate`: a
first policy is refused only when it is worse than the log's own.

**When a task fails**, its last log line says what is wrong and where. Any task can be cleared and run again.
"""


with DAG(
    dag_id="bandit_warm_start",
    schedule=None,
    catchup=False,
    max_active_runs=4,  # experiments; of one experiment, the store lets one run at a time
    dagrun_timeout=timedelta(hours=6),
    tags=["bandit", "training", settings.environment],
    doc_md=DOC,
    params=form.warm_start(settings),
    template_searchpath=[str(Path(__file__).parent / "sql" / "bandit")],
    user_defined_macros={"plan_task": "plan"},  # whose XCom the queries read
    default_args=task_defaults(settings),
) as dag:
    plan = task(multiple_outputs=True, show_return_value_in_logs=False, doc_md=warm.plan.__doc__)(warm.plan)()

    query = {
        "database": settings.glue_database,
        "workgroup": settings.athena_workgroup,
        "output_location": plan["queries"],
        "execution_timeout": within(settings.timeouts.profile),
    }
    split = QueryOperator(
        task_id="split",
        query="warm_start.sql",
        destination=plan["joined"],
        pre_execute=warm.skip_without_log,
        doc_md="The log's events, split for training and evaluation as live events are.",
        **query,
    )
    count = QueryOperator(task_id="count", query="count.sql", doc_md="What became of them.", **query)
    settle = task(trigger_rule="none_failed", doc_md=warm.settle.__doc__)(warm.settle)(plan, count.output)

    train, evaluate = train_and_evaluate(settings, plan)
    gate = task.short_circuit(trigger_rule="none_failed", doc_md=warm.gate.__doc__)(warm.gate)(
        plan, model_uri=train.output["model"]
    )
    deploy = DeployEndpointOperator(
        task_id="deploy",
        endpoint=plan["endpoint"],
        model=gate["model"],
        endpoint_config=gate["endpoint_config"],
        deployment=plan["deployment"],
        pre_execute=tasks.point_new_containers,
        on_failure_callback=tasks.fails(HOSTING),
        execution_timeout=within(settings.timeouts.deploy),
        doc_md="Creates the endpoint, or replaces its containers.",
    )
    verify = task(doc_md=tasks.verify.__doc__)(tasks.verify)()

    split >> count >> settle >> train >> evaluate >> gate >> deploy >> verify
