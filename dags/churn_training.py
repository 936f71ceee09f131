"""churn_training: from raw customer data to a served churn model. Wiring only; the work is in jobs on AWS."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import DAG, TaskGroup, task

from config import load
from mlops.churn import requests, tasks
from mlops.churn.form import params
from mlops.defaults import task_defaults, within
from mlops.monitoring import tasks as monitoring
from mlops.operators import DeployEndpointOperator, GlueETLOperator, ProcessingOperator, TrainingOperator
from mlops.schedules import schedule

settings = load()
SQL = Path(__file__).parent / "sql" / "churn"
COMPARISON = "comparison"  # the one query that needs a previous run

DOC = f"""
### Churn training

Validates a file of customers, splits and encodes it (Glue), profiles it (Athena), trains XGBoost (SageMaker),
judges the challenger against the champion on one hold-out, and deploys it with a canary that rolls itself
back.

* **Starts by** {settings.schedules.get("churn_training", "no clock")}; a file under
  `{settings.s3(settings.incoming_prefix)}`; the alarm `{settings.drift_alarm}`; the trigger form, the API or
  `make trigger`. The run's note says which.
* **Reads** the newest object under `{settings.s3(settings.raw_prefix)}`, or the one named in the trigger form
* **Writes** every artefact of a run under `{settings.s3(settings.run_prefix("<run key>"))}`,
  and a version in model package group `{settings.churn_model_group}`
* **Serves** endpoint `{settings.churn_endpoint}`

**Where to look.** The report page is linked from the task `evaluate`, under *Details*; the verdict and its
reasons are in the log and the XCom of `gate`. A refused challenger is no failure: the tasks of `release` are
then skipped. The log of a task shows the lines of its job; the job's name begins with
`churn-training-<run key>-`.

**When a task fails**, its last log line says what is wrong and where. Bad data fails `validate` at once,
without retries. Any task can be cleared and run again: it adopts the job of this run that still runs or has
completed.
"""


with DAG(
    dag_id="churn_training",
    schedule=schedule(settings, "churn_training"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # events start it: a paused DAG would collect them in silence
    dagrun_timeout=timedelta(hours=12),
    tags=["churn", "training", settings.environment],
    doc_md=DOC,
    params=params(settings),
    template_searchpath=[str(SQL)],
    default_args=task_defaults(settings),
) as dag:
    with TaskGroup("prepare", tooltip="Fix the input, check it, split and encode it"):
        plan = task(multiple_outputs=True, show_return_value_in_logs=False, doc_md=tasks.plan.__doc__)(
            tasks.plan
        )()

        validate = ProcessingOperator(
            task_id="validate",
            step="validate",
            config=plan["validation"],
            execution_timeout=within(settings.timeouts.validate_data),
            doc_md="The raw file against the declared schema. Bad data ends the run here.",
        )

        etl = GlueETLOperator(
            task_id="etl",
            job_name=f"{settings.stem}-churn-etl",
            job_desc="Splits and encodes raw churn data",
            script_location="{{ ti.xcom_pull(task_ids='prepare.plan', key='etl_script') }}",
            script_args=plan["etl"],
            iam_role_arn=settings.role_arn("glue"),
            create_job_kwargs=requests.etl_job(settings),
            concurrent_run_limit=3,
            update_config=True,
            execution_timeout=within(settings.timeouts.etl),
            doc_md="Raw file -> train, validation and hold-out: encoded CSV, Parquet, a catalog table.",
        )
        validate >> etl

    with TaskGroup("profile", tooltip="What the data looks like, and what changed since the previous run"):
        queries = {
            file.stem: AthenaOperator(
                task_id=file.stem,
                query=file.name,
                database=settings.glue_database,
                workgroup=settings.athena_workgroup,
                output_location="{{ ti.xcom_pull(task_ids='prepare.plan', key='prefix') }}profile/",
                sleep_time=settings.tasks.poll_interval,
                max_polling_attempts=int(settings.timeouts.profile / settings.tasks.poll_interval),
                execution_timeout=within(settings.timeouts.profile),
                pre_execute=tasks.skip_without_previous_run if file.stem == COMPARISON else None,
                doc_md=file.read_text().splitlines()[0].removeprefix("-- "),
            )
            for file in sorted(SQL.glob("*.sql"))
        }

    train = TrainingOperator(
        task_id="train",
        step="train",
        config=plan["training"],
        priority_weight=10,  # before the queries, which the evaluation awaits as well but which are shorter
        execution_timeout=within(settings.timeouts.train),
        doc_md="Built-in XGBoost; its metrics of every round are in the log.",
    )

    evaluate = ProcessingOperator(
        task_id="evaluate",
        step="evaluate",
        config=plan["evaluation"],
        inputs={"challenger": train.output["model"]},
        arguments={
            "--costs": settings.gate.costs,
            "--profile": {name: query.output for name, query in queries.items()},
            "--lineage": plan["lineage"],
            "--training-job": train.output["job_name"],
        },
        page="report.html",
        trigger_rule="none_failed_min_one_success",  # the comparison is skipped on a first run
        execution_timeout=within(settings.timeouts.evaluate),
        doc_md="Challenger and champion on the same hold-out; writes the report page linked from this task.",
    )

    baseline = ProcessingOperator(
        task_id="baseline",
        step="baseline",
        config=plan["baseline"],
        inputs={"model": train.output["model"]},
        pre_execute=tasks.skip_unless_watched,
        execution_timeout=within(settings.timeouts.baseline),
        doc_md="What the model's monitors will compare with: data, quality, bias and attribution.",
    )

    gate = task.short_circuit(doc_md=tasks.gate.__doc__)(tasks.gate)(plan["prefix"])

    with TaskGroup("release", tooltip="Register, deploy with a canary, ask the endpoint"):
        register = task(
            multiple_outputs=True,
            show_return_value_in_logs=False,
            trigger_rule="none_failed_min_one_success",  # the baseline is skipped where nothing watches
            doc_md=tasks.register.__doc__,
        )(tasks.register)(plan, train.output["job_name"], train.output["model"])

        deploy = DeployEndpointOperator(
            task_id="deploy",
            endpoint=settings.churn_endpoint,
            model=register["model"],
            endpoint_config=register["endpoint_config"],
            deployment=requests.deployment(settings),
            execution_timeout=within(settings.timeouts.deploy),
            doc_md="Creates or updates the one endpoint: a canary first, rolled back when an alarm rings.",
        )

        smoke_test = task(outlets=[tasks.endpoint_asset()], doc_md=tasks.smoke_test.__doc__)(
            tasks.smoke_test
        )(plan["prefix"], register["model_package"])

        schedules = task(task_id="schedules", doc_md=monitoring.ensure_schedules.__doc__)(
            monitoring.ensure_schedules
        )(register["model_package"], register["model"])

    etl >> [*queries.values(), train] >> evaluate >> gate >> register >> deploy >> smoke_test
    train >> baseline >> register
    deploy >> schedules
