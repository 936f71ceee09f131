"""The Amazon provider's Glue operator, hook and trigger, unchanged, against local AWS."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.exceptions import AirflowException, TaskDeferred
from airflow.providers.amazon.aws.hooks.glue import GlueJobHook
from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

ROLE = "arn:aws:iam::123456789012:role/glue"


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(local_aws):
    name = f"provider-glue-{uuid.uuid4().hex[:8]}"
    local_aws.client("s3").create_bucket(Bucket=name)
    return name


def context() -> dict[str, Any]:
    return {"ti": MagicMock(dag_id="d", task_id="task", run_id="r", map_index=-1), "task_state_store": None}


def operator(**arguments: Any) -> GlueJobOperator:
    kind = arguments.pop("kind", "pythonshell")
    given = {
        "job_name": f"p-{uuid.uuid4().hex[:12]}",
        "iam_role_arn": ROLE,
        "create_job_kwargs": {
            "Command": {
                "Name": kind,
                "ScriptLocation": arguments.get("script_location"),
                "PythonVersion": "3.9",
            },
            "GlueVersion": "5.0",
            "MaxCapacity": 0.0625,
        },
        "job_poll_interval": 0.1,
        **arguments,
    }
    return GlueJobOperator(task_id="task", aws_conn_id=None, region_name="us-east-1", **given)


def put(local_aws, bucket, text) -> str:
    key = f"code/{uuid.uuid4().hex}.py"
    local_aws.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    return f"s3://{bucket}/{key}"


@pytest.mark.slow
def test_operator_uploads_its_script_creates_the_job_and_prints_its_log(local_aws, bucket, tmp_path, capsys):
    script = tmp_path / "etl.py"
    script.write_text(
        "from pyspark.sql import SparkSession\nprint(SparkSession.builder.getOrCreate().range(7).count())\n"
    )
    local_aws.client("iam").create_role(RoleName=f"glue-{bucket}", AssumeRolePolicyDocument="{}")
    task = operator(
        script_location=str(script),
        s3_bucket=bucket,
        iam_role_arn=None,
        iam_role_name=f"glue-{bucket}",
        create_job_kwargs={"GlueVersion": "5.0", "NumberOfWorkers": 2, "WorkerType": "G.1X"},
        verbose=True,
    )
    run_id = task.execute(context())
    run = local_aws.client("glue").get_job_run(JobName=task.job_name, RunId=run_id)["JobRun"]
    assert (run["JobRunState"], run["NumberOfWorkers"]) == ("SUCCEEDED", 2)
    assert local_aws.client("s3").head_object(Bucket=bucket, Key="artifacts/glue-scripts/etl.py")[
        "ContentLength"
    ]
    assert "Glue Job Run /aws-glue/jobs/output Logs:\n\t7\n" in capsys.readouterr().out


def test_operator_fails_with_the_job(local_aws, bucket):
    task = operator(script_location=put(local_aws, bucket, "raise ValueError('boom')"))
    with pytest.raises(AirflowException, match="Run State: FAILED"):
        task.execute(context())


def test_operator_updates_a_changed_job_and_its_tags(local_aws, bucket):
    location = put(local_aws, bucket, "pass")
    first = operator(script_location=location)
    first.execute(context())
    second = operator(
        script_location=location,
        job_name=first.job_name,
        job_desc="changed",
        update_config=True,
        create_job_kwargs={
            "Command": {"Name": "pythonshell", "ScriptLocation": location},
            "MaxCapacity": 0.0625,
            "Tags": {"team": "ml"},
        },
    )
    second.execute(context())
    glue = local_aws.client("glue")
    assert glue.get_job(JobName=first.job_name)["Job"]["Description"] == "changed"
    assert len(glue.get_job_runs(JobName=first.job_name)["JobRuns"]) == 2
    arn = f"arn:aws:glue:us-east-1:123456789012:job/{first.job_name}"
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {"team": "ml"}


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize(
    ("script", "status"), [("print('hi')", "success"), ("raise ValueError('boom')", "error")]
)
def test_deferred_operator_resumes_with_the_outcome(local_aws, bucket, script, status, verbose):
    task = operator(
        script_location=put(local_aws, bucket, script), deferrable=True, verbose=verbose, waiter_delay=1
    )
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())

    async def first_event() -> Any:
        trigger = deferred.value.trigger
        trigger.verbose = verbose
        try:
            return (await anext(trigger.run())).payload
        except AirflowException as error:
            return {"status": "error", "message": str(error)}

    event = asyncio.run(first_event())
    assert event["status"] == status
    if status == "success":
        assert task.execute_complete({}, event) == event["run_id"]


def test_killing_the_task_stops_the_run(local_aws, bucket):
    location = put(local_aws, bucket, "import time; time.sleep(600)")
    task = operator(script_location=location, wait_for_completion=False, stop_job_run_on_kill=True)
    run_id = task.execute(context())
    task.on_kill()
    hook = GlueJobHook(aws_conn_id=None, region_name="us-east-1", job_poll_interval=0.1)
    assert hook.job_completion(task.job_name, run_id) == {"JobRunState": "STOPPED", "JobRunId": run_id}


def test_a_retried_task_finds_the_run_of_its_first_try(local_aws, bucket):
    location = put(local_aws, bucket, "import time; time.sleep(3)")
    first = operator(script_location=location, wait_for_completion=False, resume_glue_job_on_retry=True)
    nothing_pushed = context()
    nothing_pushed["ti"].xcom_pull.return_value = None
    run_id = first.execute(nothing_pushed)
    again = operator(script_location=location, job_name=first.job_name, resume_glue_job_on_retry=True)
    assert again.execute(nothing_pushed) == run_id
    assert len(local_aws.client("glue").get_job_runs(JobName=first.job_name)["JobRuns"]) == 1
