"""monitoring: what the deployed churn model was asked and said, against its baselines. Wiring only."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, TaskGroup, task

from config import load
from mlops.defaults import task_defaults
from mlops.links import ReturnedLink
from mlops.monitoring import tasks
from mlops.monitoring.form import params
from mlops.monitoring.operator import AnalysisOperator
from mlops.schedules import schedule

settings = load()

endpoint = settings.churn_endpoint
DOC = f"""
### Monitoring

Judges a window of requests to `{endpoint}` against the baselines of the model that it serves: what was
asked, the answers against the labels that have come in, bias, and what the answers rest on.

* **Starts by** {settings.schedules.get("monitoring", "the trigger form, the API or `make trigger`")}
* **Reads** captured requests under `{settings.s3(settings.capture_prefix(endpoint))}`
  and labels under `{settings.s3(settings.ground_truth_prefix(endpoint))}`
  (folders `yyyy/mm/dd/HH` of the hour in which they came)
* **Writes** reports under `{settings.s3(settings.run_prefix("<run key>", "monitoring"))}`,
  and the endpoint's page
* **Rings** `{settings.drift_alarm}`, which asks for a retraining, and `{settings.broken_data_alarm}`,
  which asks for a person: a broken column is no drift, a model would only learn it

**Where to look.** Each analysis links its report page, `summarise` the endpoint's page, which has all of
them. The log of `summarise` says every violation in words.

**No data** is an outcome of its own: the analysis is skipped, `NO_DATA` and its reason are in its log and
are counted, and alarms stay as they were. An analysis that *failed* fails the run, after everything else
has been told.

**Any window** can be analysed at once: give its begin and end in the trigger form.
"""

with DAG(
    dag_id="monitoring",
    schedule=schedule(settings, "monitoring"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    tags=["churn", "monitoring", settings.environment],
    doc_md=DOC,
    params=params(settings),
    default_args=task_defaults(settings),
) as dag:
    plan = task(show_return_value_in_logs=False, doc_md=tasks.plan.__doc__)(tasks.plan)()
    choose = task.branch(doc_md=tasks.choose.__doc__)(tasks.choose)(plan)

    def analysis(step: str, doc: str, page: str | None = "report.html") -> AnalysisOperator:
        return AnalysisOperator(
            task_id=step,
            step=step.replace("_", "-"),
            config=plan[step],
            page=page,
            execution_timeout=timedelta(seconds=settings.timeouts.analyse, minutes=15),
            doc_md=doc,
        )

    with TaskGroup("analyse", tooltip="Our own analyses, each a processing job"):
        merge = analysis(
            "merge", "Joins labels to captured requests; counts what waits and what fits none.", None
        )
        data_quality = analysis("data_quality", "Types, completeness and distributions of what was asked.")
        model_quality = analysis("model_quality", "The answers against the labels.")
        bias = analysis("bias", "The groups of a facet, in labels and answers.")
        attribution = analysis("attribution", "What the answers rest on (SHAP).")
        merge >> [model_quality, bias]

    collect = task.sensor(
        # Rescheduled within a second, a sensor is taken for dead: Airflow hears of its last process too late.
        mode="reschedule" if settings.tasks.deferrable else "poke",
        poke_interval=settings.tasks.poll_interval,
        timeout=timedelta(hours=3).total_seconds(),
        execution_timeout=None,
        doc_md=tasks.collect.__doc__,
    )(tasks.collect)(plan)

    summarise = task(trigger_rule="all_done", doc_md=tasks.summarise.__doc__)(tasks.summarise)()
    summarise.operator.operator_extra_links = (ReturnedLink(),)

    choose >> [merge, data_quality, attribution, collect]
    [data_quality, model_quality, bias, attribution, collect] >> summarise
