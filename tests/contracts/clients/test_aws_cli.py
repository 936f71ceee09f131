"""The AWS command line, unchanged, against local AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = """
Parameters: {Name: {Type: String}}
Resources:
  Bucket: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Ref Name}}
Outputs: {Bucket: {Value: !Ref Bucket}}
"""
Aws = Callable[..., Any]


@pytest.fixture(scope="module")
def aws(local_aws: Any, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """`aws("s3", "ls")`: its JSON where it prints some, else its text. Raises CalledProcessError."""
    home = str(tmp_path_factory.mktemp("home"))  # no profile of the machine
    environment = {"PATH": os.environ["PATH"], "HOME": home, "AWS_PAGER": "", **local_aws.env}

    def run(*arguments: str) -> Any:
        command = [str(Path(sys.executable).with_name("aws")), *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        return json.loads(done.stdout) if done.stdout[:1] in ("{", "[") else done.stdout

    return run


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    name = f"cli-{uuid.uuid4().hex[:10]}"
    assert aws("s3", "mb", f"s3://{name}") == f"make_bucket: {name}\n"
    return name


def test_who_one_is(aws: Aws) -> None:
    assert aws("sts", "get-caller-identity")["Account"] == "123456789012"


def test_files_go_there_and_back(aws: Aws, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "small.txt").write_text("small")
    large = os.urandom(9 * 2**20)  # in parts
    (source / "deep" / "large.bin").write_bytes(large)
    for path in (source / "small.txt", source / "deep" / "large.bin"):
        os.utime(path, (time.time() - 60,) * 2)  # S3 tells whole seconds
    aws("s3", "sync", str(source), f"s3://{bucket}/up", "--only-show-errors")
    listed = aws("s3", "ls", f"s3://{bucket}/up/", "--recursive").split()
    assert [name for name in listed if "/" in name] == ["up/deep/large.bin", "up/small.txt"]
    assert aws("s3", "sync", str(source), f"s3://{bucket}/up") == ""  # nothing has changed
    aws("s3", "cp", f"s3://{bucket}/up/deep/large.bin", str(tmp_path / "back"), "--only-show-errors")
    assert (tmp_path / "back").read_bytes() == large
    aws("s3", "mv", f"s3://{bucket}/up/small.txt", f"s3://{bucket}/moved.txt", "--only-show-errors")
    assert aws("s3", "cp", f"s3://{bucket}/moved.txt", "-") == "small"
    aws("s3", "rm", f"s3://{bucket}/up", "--recursive", "--only-show-errors")
    left = aws("s3api", "list-objects-v2", "--bucket", bucket)["Contents"]
    assert [item["Key"] for item in left if not item["Key"].startswith("athena/")] == ["moved.txt"]


def test_a_query_of_athena(aws: Aws, bucket: str) -> None:
    started = aws(
        *("athena", "start-query-execution", "--query-string", "SELECT 7 * 6 AS answer"),
        *("--result-configuration", f"OutputLocation=s3://{bucket}/athena/"),
    )["QueryExecutionId"]
    deadline = time.monotonic() + 60
    while True:
        state = aws("athena", "get-query-execution", "--query-execution-id", started)
        if state["QueryExecution"]["Status"]["State"] == "SUCCEEDED":
            break
        assert time.monotonic() < deadline
    rows = aws("athena", "get-query-results", "--query-execution-id", started)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "42"}]


def test_a_stack_is_deployed_changed_and_deleted(aws: Aws, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    name = f"cli-stack-{uuid.uuid4().hex[:8]}"
    deploy = ("cloudformation", "deploy", "--template-file", str(template), "--stack-name", name)
    assert "Successfully created/updated stack" in aws(*deploy, "--parameter-overrides", f"Name={name}")
    stack = aws("cloudformation", "describe-stacks", "--stack-name", name)["Stacks"][0]
    assert stack["Outputs"][0]["OutputValue"] == name
    aws("cloudformation", "delete-stack", "--stack-name", name)
    aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)
    assert name not in aws("s3", "ls")


def test_logs_are_searched(aws: Aws, local_aws: Any) -> None:
    logs = local_aws.client("logs")
    group = f"/cli/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group, logStreamName="stream", logEvents=[{"timestamp": now, "message": "hello there"}]
    )
    found = aws("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "there")
    assert [event["message"] for event in found["events"]] == ["hello there"]


def test_what_is_not_supported_says_so(aws: Aws) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        aws("glue", "start-workflow-run", "--name", "x")
    assert "UnsupportedOperation" in caught.value.stderr
    assert "StartWorkflowRun" in caught.value.stderr
