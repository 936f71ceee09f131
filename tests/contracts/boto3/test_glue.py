"""Glue through boto3: jobs that run, their states and logs, and the data catalog."""

from __future__ import annotations

import json
import os
import textwrap
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/glue"
FINISHED = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT")


class Glue:
    """A bucket of its own, and jobs whose scripts are given as text."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        self.api, self.s3, self.logs = aws.client("glue"), aws.client("s3"), aws.client("logs")
        self.bucket = f"glue-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key: str, text: str) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=textwrap.dedent(text).encode())
        return f"s3://{self.bucket}/{key}"

    def job(self, script: str, kind: str = "pythonshell", **definition: Any) -> str:
        name = f"job-{uuid.uuid4().hex[:12]}"
        location = self.put(f"code/{name}.py", script)
        command = {"Name": kind, "ScriptLocation": location, "PythonVersion": "3"}
        self.api.create_job(Name=name, Role=ROLE, Command=command, GlueVersion="5.0", **definition)
        return name

    def start(self, name: str, **arguments: Any) -> str:
        return str(self.api.start_job_run(JobName=name, **arguments)["JobRunId"])

    def wait(self, name: str, run_id: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run: dict[str, Any] = self.api.get_job_run(JobName=name, RunId=run_id)["JobRun"]
            if run["JobRunState"] in (states or FINISHED):
                return run
            time.sleep(0.05)
        raise AssertionError(f"still {run['JobRunState']} after {seconds} s")

    def run(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.wait(name, self.start(name, **arguments))

    def lines(self, run: dict[str, Any], suffix: str = "output") -> list[str]:
        events = self.logs.filter_log_events(
            logGroupName=f"{run['LogGroupName']}/{suffix}", logStreamNames=[run["Id"]]
        )["events"]
        return [event["message"] for event in events]


@pytest.fixture
def glue(local_aws: Any) -> Glue:
    return Glue(local_aws)


@pytest.fixture
def new_glue(new_local_aws: Callable[[], Any]) -> Glue:
    return Glue(new_local_aws())


@pytest.mark.slow
def test_spark_reads_and_writes_s3_with_either_scheme(glue: Glue) -> None:
    glue.put("in/a.csv", "name,n\na,1\nb,2\n")
    glue.put("in/b.csv", "name,n\na,3\n")
    name = glue.job(
        """
        import sys
        from awsglue.context import GlueContext
        from awsglue.job import Job
        from awsglue.utils import getResolvedOptions
        from pyspark.context import SparkContext
        from pyspark.sql import functions as F

        args = getResolvedOptions(sys.argv, ["JOB_NAME", "source", "bucket"])
        context = GlueContext(SparkContext.getOrCreate())
        job = Job(context)
        job.init(args["JOB_NAME"], args)
        rows = context.spark_session.read.csv(args["source"], header=True, inferSchema=True)
        rows.createOrReplaceTempView("rows")
        sums = context.spark_session.sql("SELECT name, sum(n) AS n FROM rows GROUP BY name ORDER BY name")
        print([tuple(row) for row in sums.collect()])
        sums.coalesce(1).write.mode("overwrite").csv(f"s3a://{args['bucket']}/out/csv/")
        sums.withColumn("day", F.lit("x")).coalesce(1).write.partitionBy("day").parquet(f"s3://{args['bucket']}/out/parquet")
        job.commit()
        """,
        kind="glueetl",
        DefaultArguments={"--source": "nowhere", "--bucket": glue.bucket},
    )
    run = glue.run(name, Arguments={"--source": f"s3://{glue.bucket}/in/"})
    assert (run["JobRunState"], run.get("ErrorMessage")) == ("SUCCEEDED", None)
    assert glue.lines(run)[-1] == "[('a', 4), ('b', 2)]"
    assert run["LogGroupName"] == "/aws-glue/jobs"
    assert run["Arguments"] == {"--source": f"s3://{glue.bucket}/in/"}
    assert run["StartedOn"] <= run["CompletedOn"]
    assert run["ExecutionTime"] == pytest.approx(
        (run["CompletedOn"] - run["StartedOn"]).total_seconds(), abs=2
    )
    keys = [item["Key"] for item in glue.s3.list_objects_v2(Bucket=glue.bucket, Prefix="out/")["Contents"]]
    (csv,) = [key for key in keys if key.startswith("out/csv/")]
    assert glue.s3.get_object(Bucket=glue.bucket, Key=csv)["Body"].read() == b"a,4\nb,2\n"
    (parquet,) = [key for key in keys if key.startswith("out/parquet/")]
    assert parquet.startswith("out/parquet/day=x/part-00000-")


@pytest.mark.slow
def test_spark_error_is_the_runs_error_message(glue: Glue) -> None:
    name = glue.job(
        f"""
        from pyspark.sql import SparkSession
        SparkSession.builder.getOrCreate().read.csv("s3://{glue.bucket}/nothing/here").count()
        """,
        kind="glueetl",
    )
    run = glue.run(name)
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"] == (
        f"AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://{glue.bucket}/nothing/here."
    )
    assert glue.lines(run, "error") == [run["ErrorMessage"]]


def test_arguments_reach_the_script_in_their_order_of_precedence(glue: Glue) -> None:
    name = glue.job(
        "import json, sys; print(json.dumps(sys.argv[1:]))",
        DefaultArguments={"--a": "default", "--b": "default", "--enable-metrics": ""},
        NonOverridableArguments={"--c": "fixed"},
    )
    run = glue.run(name, Arguments={"--b": "given", "--c": "given"})
    (line,) = glue.lines(run)
    words = json.loads(line)
    assert words[::2] == ["--JOB_ID", "--JOB_RUN_ID", "--a", "--b", "--c"]
    assert words[3:] == [run["Id"], "--a", "default", "--b", "given", "--c", "fixed"]


@pytest.mark.parametrize(
    ("script", "state", "message"),
    [
        ("raise ValueError('boom')", "FAILED", "ValueError: boom"),
        ("import sys; sys.exit(0)", "SUCCEEDED", None),
        ("import sys; sys.exit(3)", "FAILED", "SystemExit: 3"),
        ("import sys; sys.exit('no data')", "FAILED", "SystemExit: no data"),
        ("import nowhere", "FAILED", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:", "FAILED", "SyntaxError: invalid syntax"),
        ("import os; os.kill(os.getpid(), 9)", "FAILED", "The run's process was killed by signal 9"),
    ],
)
def test_how_a_script_ends_is_how_its_run_ends(
    glue: Glue, script: str, state: str, message: str | None
) -> None:
    run = glue.run(glue.job(script))
    assert (run["JobRunState"], (run.get("ErrorMessage") or "").partition(" (")[0] or None) == (
        state,
        message,
    )


def test_extra_files_and_modules(glue: Glue) -> None:
    helper = glue.put("lib/helper.py", "def double(n):\n    return 2 * n\n")
    data = glue.put("lib/data.txt", "21")
    name = glue.job(
        """
        import awswrangler
        from helper import double
        print(double(int(open("data.txt").read())))
        """
    )
    arguments = {
        "--extra-py-files": helper,
        "--extra-files": data,
        "--additional-python-modules": "awswrangler>=3",
    }
    run = glue.run(name, Arguments=arguments)
    assert (run["JobRunState"], glue.lines(run)) == ("SUCCEEDED", ["42"])


def test_a_script_does_not_see_this_projects_modules(glue: Glue) -> None:
    run = glue.run(glue.job("import dags, config"))
    assert run["ErrorMessage"].startswith("ModuleNotFoundError")


def test_a_missing_script_fails_the_run_and_names_it(glue: Glue) -> None:
    name = glue.job("pass")
    glue.s3.delete_object(Bucket=glue.bucket, Key=f"code/{name}.py")
    run = glue.run(name)
    assert run["JobRunState"] == "FAILED"
    assert f"s3://{glue.bucket}/code/{name}.py" in run["ErrorMessage"]


def test_a_stopped_run_leaves_no_process(glue: Glue) -> None:
    name = glue.job("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    run_id = glue.start(name)
    run = glue.wait(name, run_id, "RUNNING")
    deadline = time.monotonic() + 60
    while not (lines := glue.lines(run)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = glue.api.batch_stop_job_run(JobName=name, JobRunIds=[run_id, "jr_none"])
    assert answer["SuccessfulSubmissions"] == [{"JobName": name, "JobRunId": run_id}]
    assert [error["JobRunId"] for error in answer["Errors"]] == ["jr_none"]
    assert glue.wait(name, run_id)["JobRunState"] == "STOPPED"
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[0]), 0)


def test_no_more_runs_at_once_than_the_job_allows(glue: Glue) -> None:
    name = glue.job("import time; time.sleep(600)", ExecutionProperty={"MaxConcurrentRuns": 1})
    run_id = glue.start(name)
    with pytest.raises(ClientError) as caught:
        glue.start(name)
    assert caught.value.response["Error"]["Code"] == "ConcurrentRunsExceededException"
    glue.api.batch_stop_job_run(JobName=name, JobRunIds=[run_id])
    glue.wait(name, run_id)


def test_failed_runs_are_repeated_as_often_as_the_job_says(glue: Glue) -> None:
    name = glue.job("raise ValueError('again')", MaxRetries=2)
    first = glue.start(name)
    glue.wait(name, first)
    glue.wait(name, f"{first}_attempt_1")
    glue.wait(name, f"{first}_attempt_2")
    assert [(run["Id"], run["Attempt"]) for run in glue.api.get_job_runs(JobName=name)["JobRuns"]] == [
        (f"{first}_attempt_2", 2),
        (f"{first}_attempt_1", 1),
        (first, 0),
    ]


def test_history_is_paged_the_newest_first(glue: Glue) -> None:
    name = glue.job("pass", ExecutionProperty={"MaxConcurrentRuns": 5})
    ids = [glue.run(name)["Id"] for _ in range(3)]
    pages = glue.api.get_paginator("get_job_runs").paginate(JobName=name, PaginationConfig={"PageSize": 2})
    assert [[run["Id"] for run in page["JobRuns"]] for page in pages] == [[ids[2], ids[1]], [ids[0]]]


def test_job_definitions(glue: Glue) -> None:
    name = glue.job("pass", Description="first", Timeout=5, Tags={"team": "ml"})
    with pytest.raises(ClientError) as caught:
        glue.api.create_job(
            Name=name, Role=ROLE, Command={"Name": "glueetl", "ScriptLocation": "s3://b/k.py"}
        )
    assert caught.value.response["Error"]["Code"] == "AlreadyExistsException"
    update = {
        "Role": ROLE,
        "Command": {"Name": "glueetl", "ScriptLocation": "s3://b/k.py"},
        "NumberOfWorkers": 2,
        "WorkerType": "G.1X",
    }
    glue.api.update_job(JobName=name, JobUpdate=update)
    job = glue.api.get_job(JobName=name)["Job"]
    assert (job["NumberOfWorkers"], job["Command"]["Name"], job.get("Description"), job.get("Timeout")) == (
        2,
        "glueetl",
        None,
        None,
    )
    assert glue.api.get_tags(ResourceArn=f"arn:aws:glue:us-east-1:123456789012:job/{name}")["Tags"] == {
        "team": "ml"
    }
    glue.api.delete_job(JobName=name)
    with pytest.raises(glue.api.exceptions.EntityNotFoundException):
        glue.api.get_job(JobName=name)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"--job-bookmark-option": "job-bookmark-enable"}, "--job-bookmark-option"),
        ({"--enable-glue-datacatalog": ""}, "--enable-glue-datacatalog"),
        ({"--extra-py-files": "s3://bucket/folder/"}, "--extra-py-files"),
    ],
)
def test_what_is_not_computed_is_refused_before_the_run(
    glue: Glue, arguments: dict[str, str], named: str
) -> None:
    with pytest.raises(ClientError) as caught:
        glue.start(glue.job("pass"), Arguments=arguments)
    assert caught.value.response["Error"]["Code"] == "InvalidInputException"
    assert named in caught.value.response["Error"]["Message"]


def test_a_run_survives_kill_minus_nine_of_the_server(new_glue: Glue) -> None:
    name = new_glue.job("import time; print('on', flush=True); time.sleep(3); print('end')")
    run_id = new_glue.start(name)
    new_glue.wait(name, run_id, "RUNNING")
    new_glue.aws.restart(kill=True)
    run = new_glue.wait(name, run_id)
    assert (run["JobRunState"], new_glue.lines(run)) == ("SUCCEEDED", ["on", "end"])


def test_an_orderly_stop_fails_what_was_running_with_a_reason(new_glue: Glue) -> None:
    name = new_glue.job("import time; time.sleep(600)")
    run_id = new_glue.start(name)
    new_glue.wait(name, run_id, "RUNNING")
    new_glue.aws.restart()
    run = new_glue.api.get_job_run(JobName=name, RunId=run_id)["JobRun"]
    assert (run["JobRunState"], run["ErrorMessage"]) == (
        "FAILED",
        "local AWS was stopped while the run was in progress",
    )


def test_catalog_round_trip(glue: Glue) -> None:
    database = f"db_{uuid.uuid4().hex[:8]}"
    columns = [{"Name": "n", "Type": "int"}]
    storage = {"Columns": columns, "Location": f"s3://{glue.bucket}/t/"}
    table = {"Name": "t", "StorageDescriptor": storage, "PartitionKeys": [{"Name": "day", "Type": "string"}]}
    glue.api.create_database(DatabaseInput={"Name": database})
    glue.api.create_table(DatabaseName=database, TableInput=table)
    rows = [
        {"Values": [day], "StorageDescriptor": {**storage, "Location": f"s3://{glue.bucket}/t/{day}/"}}
        for day in "ab"
    ]
    place = {"DatabaseName": database, "TableName": "t"}
    assert not glue.api.batch_create_partition(**place, PartitionInputList=rows).get("Errors")
    again = glue.api.batch_create_partition(**place, PartitionInputList=rows[:1])["Errors"]
    assert [error["ErrorDetail"]["ErrorCode"] for error in again] == ["AlreadyExistsException"]
    found = glue.api.get_partitions(DatabaseName=database, TableName="t", Expression="day = 'b'")[
        "Partitions"
    ]
    assert [partition["Values"] for partition in found] == [["b"]]
    columns.append({"Name": "m", "Type": "double"})
    glue.api.update_table(DatabaseName=database, TableInput=table)
    (current,) = glue.api.get_tables(DatabaseName=database)["TableList"]
    assert [column["Name"] for column in current["StorageDescriptor"]["Columns"]] == ["n", "m"]
    assert len(glue.api.get_table_versions(DatabaseName=database, TableName="t")["TableVersions"]) == 2
    with pytest.raises(glue.api.exceptions.EntityNotFoundException):
        glue.api.get_table(DatabaseName=database, Name="missing")
