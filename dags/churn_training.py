"""churn_training: from raw customer data to a served churn model. Wiring only; the work is in jobs on AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import DAG, Asset, Metadata, TaskGroup, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from config import load
from mlops.churn import requests
from mlops.churn.form import params
from mlops.operators import DeployEndpointOperator, GlueETLOperator, ProcessingOperator, TrainingOperator

settings = load()
SQL = Path(__file__).parent / "sql" / "churn"
COMPARISON = "comparison"  # the one query that needs a previous run

DOC = f"""
### Churn training

Validates a file of customers, splits and encodes it (Glue), profiles it (Athena), trains XGBoost (SageMaker),
judges the challenger against the champion on one hold-out, and deploys it with a canary that rolls itself
back.

* **Starts by** {settings.schedules.get("churn_training", "the trigger form, the API or `make trigger`")}
* **Reads** the newest object under `{settings.s3(settings.raw_prefix)}`, or the one named in the trigger form
* **Writes** every artefact of a run under `{settings.s3(settings.run_prefix("<run key>"))}`,
  and a version in model package group `{settings.churn_model_group}`
* **Serves** endpoint `{settings.churn_endpoint}`

**Where to look.** The report page is linked from the task `evaluate`; the verdict and its reasons are in the
log and the XCom of `gate`. A refused challenger is no failure: the tasks of `release` are then skipped. The
log of a task shows the lines of its job; the job's name begins with `churn-training-<run key>-`.

**When a task fails**, its last log line says what is wrong and where. Bad data fails `validate` at once,
without retries. Any task can be cleared and run again: it adopts the job of this run that still runs or has
completed.
"""

endpoint_asset = Asset(
    name=f"{settings.churn_endpoint}-endpoint",
    uri=f"sagemaker://{settings.region}/endpoint/{settings.churn_endpoint}",
)


def skip_without_previous_run(context: dict) -> None:
    """A first run has nothing to be compared with."""
    if context["ti"].xcom_pull(task_ids="prepare.plan", key="previous_table") is None:
        raise AirflowSkipException("there is no table of a previous run to compare with")


with DAG(
    dag_id="churn_training",
    schedule=settings.schedules.get("churn_training"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    tags=["churn", "training", settings.environment],
    doc_md=DOC,
    params=params(settings),
    template_searchpath=[str(SQL)],
    default_args={
        "owner": settings.tasks.owner,
        "retries": settings.tasks.retries,
        "retry_delay": timedelta(seconds=settings.tasks.retry_delay),
        "execution_timeout": timedelta(minutes=10),
        "aws_conn_id": None,
        "region_name": settings.region,
        "poll_interval": settings.tasks.poll_interval,
        "deferrable": settings.tasks.deferrable,
    },
) as dag:
    with TaskGroup("prepare", tooltip="Fix the input, check it, split and encode it"):

        @task(
            multiple_outputs=True,
            show_return_value_in_logs=False,
            doc_md="Copies the input into the run's prefix; notes champion and previous table.",
        )
        def plan(params: dict, run_id: str) -> dict:
            from mlops.aws import client
            from mlops.champion import UnknownChampion
            from mlops.churn.plan import NoInput, UnknownParams, make_plan

            try:
                made = make_plan(
                    settings,
                    params,
                    run_id,
                    s3=client("s3"),
                    glue=client("glue"),
                    sagemaker=client("sagemaker"),
                )
            except (NoInput, UnknownChampion, UnknownParams) as error:
                raise AirflowFailException(str(error)) from None
            print(
                f"input {made['source']} (version {made['data_version']}), artefacts under {made['prefix']}"
            )
            print(f"champion: {made['champion']['model_package'] if made['champion'] else 'none yet'}")
            return made

        planned = plan()

        validate = ProcessingOperator(
            task_id="validate",
            step="validate",
            config=planned["validation"],
            execution_timeout=timedelta(seconds=settings.timeouts.validate_data),
            doc_md="The raw file against the declared schema. Bad data ends the run here.",
        )

        etl = GlueETLOperator(
            task_id="etl",
            job_name=f"{settings.stem}-churn-etl",
            job_desc="Splits and encodes raw churn data",
            script_location="{{ ti.xcom_pull(task_ids='prepare.plan', key='etl_script') }}",
            script_args=planned["etl"],
            iam_role_arn=settings.role_arn("glue"),
            create_job_kwargs=requests.etl_job(settings),
            concurrent_run_limit=3,
            update_config=True,
            poll_interval=settings.tasks.poll_interval,
            deferrable=settings.tasks.deferrable,
            execution_timeout=timedelta(seconds=settings.timeouts.etl),
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
                max_polling_attempts=settings.timeouts.profile // settings.tasks.poll_interval,
                execution_timeout=timedelta(seconds=settings.timeouts.profile),
                pre_execute=skip_without_previous_run if file.stem == COMPARISON else None,
            )
            for file in sorted(SQL.glob("*.sql"))
        }

    train = TrainingOperator(
        task_id="train",
        step="train",
        config=planned["training"],
        priority_weight=10,  # before the queries, which the evaluation awaits as well but which are shorter
        execution_timeout=timedelta(seconds=settings.timeouts.train),
        doc_md="Built-in XGBoost; its metrics of every round are in the log.",
    )

    evaluate = ProcessingOperator(
        task_id="evaluate",
        step="evaluate",
        config=planned["evaluation"],
        inputs={"challenger": train.output["model"]},
        arguments={
            "--costs": settings.gate.costs,
            "--profile": {name: query.output for name, query in queries.items()},
            "--lineage": {
                "run_id": "{{ run_id }}",
                "run_key": planned["run_key"],
                "training_job": train.output["job_name"],
                "data": planned["source"],
                "data_version": planned["data_version"],
                "code_version": planned["code_version"],
                "split": planned["split"],
                "champion_split": planned["champion_split"],
                "reason": "{{ params.reason }}",
            },
        },
        page="report.html",
        trigger_rule="none_failed",  # the comparison is skipped on a first run
        execution_timeout=timedelta(seconds=settings.timeouts.evaluate),
        doc_md="Challenger and champion on the same hold-out; writes the report page linked from this task.",
    )

    @task.short_circuit(doc_md="Decides; a refused challenger skips the release, and the run is a success.")
    def gate(prefix: str, params: dict, ti: Any = None) -> bool:
        from mlops import gate as rule
        from mlops.aws import client, split_s3

        bucket, key = split_s3(f"{prefix}evaluation/evaluation.json")
        evaluation = json.load(client("s3").get_object(Bucket=bucket, Key=key)["Body"])
        try:
            verdict = rule.decide(evaluation, margin=params["margin"], data_checks=params["data_checks"])
        except rule.EvaluationUnusable as error:
            raise AirflowFailException(f"s3://{bucket}/{key}: {error}") from None
        print(verdict)
        ti.xcom_push(key="verdict", value=verdict.as_dict())
        if verdict.approved and not params["deploy"]:
            print("the trigger form said not to deploy: the release is skipped")
        return verdict.approved and params["deploy"]

    with TaskGroup("release", tooltip="Register, deploy with a canary, ask the endpoint"):

        @task(
            multiple_outputs=True,
            show_return_value_in_logs=False,
            doc_md="Registers the model with its evaluation and lineage.",
        )
        def register(plan: dict, training_job: str, model_uri: str, params: dict, run_id: str) -> dict:
            from mlops.aws import client
            from mlops.churn import release

            package = release.register(
                settings,
                sagemaker=client("sagemaker"),
                model_uri=model_uri,
                evaluation_uri=f"{plan['prefix']}evaluation/",
                description=f"churn_training, training job {training_job}",
                metadata=release.lineage(plan, training_job, run_id, params["reason"]),
            )
            print(f"model package {package}")
            name = release.release_name(settings, plan["run_key"], package)
            return {
                "model_package": package,
                "model": requests.model(settings, name, package),
                "endpoint_config": requests.endpoint_config(settings, name),
            }

        registered = register(planned, train.output["job_name"], train.output["model"])

        deploy = DeployEndpointOperator(
            task_id="deploy",
            endpoint=settings.churn_endpoint,
            poll_interval=settings.tasks.poll_interval,
            deferrable=settings.tasks.deferrable,
            model=registered["model"],
            endpoint_config=registered["endpoint_config"],
            deployment=requests.deployment(settings),
            execution_timeout=timedelta(seconds=settings.timeouts.deploy),
            doc_md="Creates or updates the one endpoint: a canary first, rolled back when an alarm rings.",
        )

        @task(
            outlets=[endpoint_asset],
            doc_md="Rows of the hold-out through the endpoint must equal the batch scores.",
        )
        def smoke_test(prefix: str, model_package: str) -> Iterator[Metadata]:
            from mlops.aws import client, split_s3
            from mlops.churn import release

            bucket, key = split_s3(f"{prefix}evaluation/smoke_sample.csv")
            sample = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
            try:
                worst = release.smoke_test(
                    client("sagemaker-runtime"),
                    settings.churn_endpoint,
                    sample,
                    settings.deployment.smoke_tolerance,
                )
            except release.SmokeTestFailed as error:
                raise AirflowFailException(str(error)) from None
            print(
                f"endpoint {settings.churn_endpoint} answers as the batch did: largest difference {worst:.2g}"
            )
            yield Metadata(endpoint_asset, {"model_package": model_package})

        deploy >> smoke_test(planned["prefix"], registered["model_package"])

    etl >> [*queries.values(), train] >> evaluate >> gate(planned["prefix"]) >> registered >> deploy
