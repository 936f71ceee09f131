"""churn_deployment: what a person approved in the model registry becomes what the endpoint serves."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from config import load
from mlops.churn import approval, requests, tasks
from mlops.defaults import task_defaults
from mlops.monitoring import tasks as monitoring
from mlops.operators import DeployEndpointOperator

settings = load()

DOC = f"""
### Churn deployment

Brings endpoint `{settings.churn_endpoint}` to one version of the model registry, with the canary and the
smoke test of `churn_training`: an older version to go back to, or one that somebody has approved by hand.

* **Starts by** the approval of a version in group `{settings.churn_model_group}` (an event), the trigger
  form, the API. What `churn_training` registers it approves and deploys itself: that starts nothing here.
* **Serves** endpoint `{settings.churn_endpoint}`

**Where to look.** The log of `plan` names the version and the run that trained it.

**When a task fails**, its last log line says what is wrong. A version that is not approved, or not of this
pipeline, fails `plan`; a rollback of the canary fails `deploy` and names the alarm.
"""

with DAG(
    dag_id="churn_deployment",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,  # events start it: a paused DAG would collect them in silence
    dagrun_timeout=timedelta(hours=3),
    tags=["churn", "deployment", settings.environment],
    doc_md=DOC,
    params={
        "model_package": Param(
            None,
            type="string",
            pattern=rf"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{{12}}:model-package/{settings.churn_model_group}/\d+$",
            title="Version",
            description="ARN of an approved version in the model registry.",
        ),
        "monitoring": Param(
            settings.monitoring.mode,
            type="string",
            enum=["own", "managed", "off"],
            title="Monitoring",
            description="What watches the endpoint afterwards, as in churn_training.",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            title="Why this run",
            description="Kept with the run, for whoever asks later.",
        ),
    },
    default_args=task_defaults(settings),
) as dag:
    plan = task(multiple_outputs=True, show_return_value_in_logs=False, doc_md=approval.plan.__doc__)(
        approval.plan
    )()

    deploy = DeployEndpointOperator(
        task_id="deploy",
        endpoint=settings.churn_endpoint,
        model=plan["model"],
        endpoint_config=plan["endpoint_config"],
        deployment=requests.deployment(settings),
        execution_timeout=timedelta(seconds=settings.timeouts.deploy, minutes=15),
        doc_md="Updates the endpoint: a canary first, rolled back when an alarm rings.",
    )

    smoke_test = task(outlets=[tasks.endpoint_asset()], doc_md=tasks.smoke_test.__doc__)(tasks.smoke_test)(
        plan["prefix"], plan["model_package"]
    )

    schedules = task(task_id="schedules", doc_md=monitoring.ensure_schedules.__doc__)(
        monitoring.ensure_schedules
    )(plan["model_package"], plan["model"])

    deploy >> [smoke_test, schedules]
