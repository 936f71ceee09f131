"""bandit_learning: rewards in, a better policy out, again and again. Wiring only."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, TaskGroup, task

from config import load
from mlops.bandit import form, tasks
from mlops.bandit.steps import train_and_evaluate
from mlops.bandit.workflows import HOSTING, JOINING
from mlops.defaults import task_defaults, within
from mlops.operators import DeployEndpointOperator
from mlops.operators.athena import QueryOperator
from mlops.schedules import schedule

settings = load()

DOC = f"""
### Bandit: learning

One batch of an experiment: joins the rewards that have come in with the observations they belong to, trains
the next policy from the last one, estimates what challenger and champion are worth on events that no policy
was trained on, and swaps the policy when the challenger is not worse.

* **Starts by** {settings.schedules.get("bandit_learning", "the trigger form, the API or `make trigger`")},
  and waits for a batch: by size, or by the clock; **Learn now** in the form does not wait
* **Reads** rewards under `{settings.s3("bandits/<experiment>/rewards_data/")}`,
  and of the observations only the hours to which the rewards belong
* **Writes** each reward into one outcome under `joined/join_id=<join>/outcome=...`: `train` and `evaluation`
  are used; `unmatched` ones are tried again with the next batch; `late`, `duplicate`, `conflict`, `unknown`
  and `refused` ones are counted and kept
* **Serves** by a soft swap (the running containers take the model up) or by blue/green

**Where to look.** The log of `batch.settle` says what became of the rewards, that of `gate` why the
challenger was taken or refused (a refusal is no failure), that of `swap.verify` who serves. The dashboard
`{settings.stem}-bandit-<experiment>` in CloudWatch has the history.

**When a task fails**, its last log line says what is wrong and where. No reward is lost: those of a join that
failed are claimed again by the next one, and no reward counts twice.
"""


with DAG(
    dag_id="bandit_learning",
    schedule=schedule(settings, "bandit_learning"),
    catchup=False,
    max_active_runs=4,  # experiments; of one experiment, the store lets one run at a time
    dagrun_timeout=timedelta(hours=24),
    tags=["bandit", "training", settings.environment],
    doc_md=DOC,
    params=form.learning(settings),
    template_searchpath=[str(Path(__file__).parent / "sql" / "bandit")],
    user_defined_macros={"plan_task": "batch.plan"},  # whose XCom the queries read
    default_args=task_defaults(settings),
) as dag:
    with TaskGroup("batch", tooltip="Collect rewards, join them with their observations"):
        wait = task.sensor(
            poke_interval=settings.tasks.poll_interval,
            # Where tasks defer, the worker is given back between two looks.
            mode="reschedule" if settings.tasks.deferrable else "poke",
            timeout=timedelta(hours=25).total_seconds(),
            execution_timeout=None,
            doc_md=tasks.wait.__doc__,
        )(tasks.wait)()

        plan = task(multiple_outputs=True, show_return_value_in_logs=False, doc_md=tasks.plan.__doc__)(
            tasks.plan
        )()

        query = {
            "database": settings.glue_database,
            "workgroup": settings.athena_workgroup,
            "output_location": plan["queries"],
            "on_failure_callback": tasks.fails(JOINING),
            "execution_timeout": within(settings.timeouts.profile),
        }
        look = QueryOperator(
            task_id="look", query="look.sql", doc_md="Which hours the rewards belong to.", **query
        )
        scope = task(on_failure_callback=tasks.fails(JOINING), doc_md=tasks.scope.__doc__)(tasks.scope)(
            plan, look.output
        )
        join = QueryOperator(
            task_id="join",
            query="join.sql",
            destination=plan["joined"],
            doc_md="Every reward beside its observation, in exactly one outcome.",
            **query,
        )
        count = QueryOperator(task_id="count", query="count.sql", doc_md="What became of them.", **query)
        settle = task.short_circuit(
            ignore_downstream_trigger_rules=False,
            on_failure_callback=tasks.fails(JOINING),
            doc_md=tasks.settle.__doc__,
        )(tasks.settle)(plan, count.output)

    train, evaluate = train_and_evaluate(settings, plan)
    gate = task.branch(trigger_rule="none_failed", doc_md=tasks.gate.__doc__)(tasks.gate)(
        plan, model_uri=train.output["model"]
    )

    with TaskGroup("swap", tooltip="Bring the policy to every worker, and ask them"):
        soft = task(task_id="soft", on_failure_callback=tasks.fails(HOSTING), doc_md=tasks.soft_swap.__doc__)(
            tasks.soft_swap
        )(plan, model_uri=train.output["model"])
        blue_green = DeployEndpointOperator(
            task_id="blue_green",
            endpoint=plan["endpoint"],
            model=gate["model"],
            endpoint_config=gate["endpoint_config"],
            deployment=plan["deployment"],
            pre_execute=tasks.point_new_containers,
            on_failure_callback=tasks.fails(HOSTING),
            execution_timeout=within(settings.timeouts.deploy),
            doc_md="New containers with the policy, then a switch.",
        )
        verify = task(trigger_rule="none_failed_min_one_success", doc_md=tasks.verify.__doc__)(tasks.verify)()
        [soft, blue_green] >> verify

    following = task(trigger_rule="none_failed", doc_md=tasks.next_batch.__doc__)(tasks.next_batch)()
    again = TriggerDagRunOperator(
        task_id="again",
        trigger_dag_id="bandit_learning",
        trigger_run_id="{{ run_id.split('__left_')[0] }}__left_{{ params.batches - 1 }}",
        conf=following,
        skip_when_already_exists=True,
        doc_md="The next batch, in a run of its own.",
    )

    (
        wait
        >> plan
        >> look
        >> scope
        >> join
        >> count
        >> settle
        >> train
        >> evaluate
        >> gate
        >> [soft, blue_green]
    )
    verify >> following >> again
