"""What was acknowledged is there after a stop, a kill -9 and a full disk."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.pytest_plugin import ROOT, LocalAws

IMPATIENT = Config(retries={"max_attempts": 0}, read_timeout=5, connect_timeout=2)

TEMPLATE = """
Parameters: {Name: {Type: String}}
Resources:
  Bucket: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Sub "${Name}-bucket"}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub "${Name}-role"
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}
"""


def objects(aws: LocalAws, bucket: str) -> dict[str, bytes]:
    s3 = aws.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
def test_a_restart_loses_nothing(new_local_aws: Callable[[], LocalAws], kill: bool) -> None:
    aws = new_local_aws()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket="data", Tagging={"TagSet": [{"Key": "team", "Value": "ml"}]})
    first = s3.put_object(Bucket="data", Key="k", Body=b"first", Metadata={"run_id": "1"})["VersionId"]
    s3.put_object(Bucket="data", Key="k", Body=b"second", Tagging="a=1")
    s3.put_object(Bucket="data", Key="gone", Body=b"")
    s3.delete_object(Bucket="data", Key="gone")
    upload = s3.create_multipart_upload(Bucket="data", Key="big")["UploadId"]
    part = s3.upload_part(Bucket="data", Key="big", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    glue = aws.client("glue")
    glue.create_database(DatabaseInput={"Name": "churn"})
    columns = [{"Name": "churn", "Type": "int"}]
    glue.create_table(
        DatabaseName="churn", TableInput={"Name": "t", "StorageDescriptor": {"Columns": columns}}
    )
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    aws.client("sagemaker").create_model_package_group(ModelPackageGroupName="churn")
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/g")
    logs.put_retention_policy(logGroupName="/g", retentionInDays=7)
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName="/g", logStreamName="s", logEvents=[{"timestamp": now, "message": "hello"}]
    )
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name="s", SecretString="x")
    cloudformation = aws.client("cloudformation")
    stack = {"StackName": "one", "TemplateBody": TEMPLATE}
    cloudformation.create_stack(**stack, Parameters=[{"ParameterKey": "Name", "ParameterValue": "one"}])

    aws.restart(kill=kill)

    assert s3.get_object(Bucket="data", Key="k")["Body"].read() == b"second"
    old = s3.get_object(Bucket="data", Key="k", VersionId=first)
    assert (old["Body"].read(), old["Metadata"]) == (b"first", {"run_id": "1"})
    assert s3.get_object_tagging(Bucket="data", Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert s3.get_bucket_tagging(Bucket="data")["TagSet"] == [{"Key": "team", "Value": "ml"}]
    assert s3.get_bucket_versioning(Bucket="data")["Status"] == "Enabled"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="data")["Contents"]] == ["k"]
    s3.complete_multipart_upload(
        Bucket="data",
        Key="big",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]},
    )
    assert s3.get_object(Bucket="data", Key="big")["Body"].read() == b"part"
    table = glue.get_table(DatabaseName="churn", Name="t")["Table"]
    assert table["StorageDescriptor"]["Columns"] == columns
    assert aws.client("iam").get_role(RoleName="r")["Role"]["RoleName"] == "r"
    groups = aws.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["churn"]
    events = logs.get_log_events(logGroupName="/g", logStreamName="s", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["hello"]
    assert logs.describe_log_groups(logGroupNamePrefix="/g")["logGroups"][0]["retentionInDays"] == 7
    assert secrets.get_secret_value(SecretId="s")["SecretString"] == "x"
    assert "one-bucket" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    cloudformation.delete_stack(StackName="one")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="one")
    assert "one-bucket" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]] == ["r"]


def test_every_acknowledged_write_survives_a_kill_under_load(
    new_local_aws: Callable[[], LocalAws],
) -> None:
    aws = new_local_aws()
    aws.client("s3").create_bucket(Bucket="data")
    aws.client("glue").create_database(DatabaseInput={"Name": "db"})
    aws.client("logs").create_log_group(logGroupName="/g")
    acknowledged: list[dict[str, bytes]] = [{} for _ in range(3)]
    tables: list[str] = []
    messages: list[str] = []

    def write_objects(mine: dict[str, bytes], name: str) -> None:
        s3 = aws.client("s3", config=IMPATIENT)
        with contextlib.suppress(BotoCoreError, ClientError):
            for number in range(10_000):
                key, body = f"{name}/{number % 40}", f"{name} {number}".encode() * 500
                s3.put_object(Bucket="data", Key=key, Body=body)
                mine[key] = body

    def write_tables() -> None:
        glue = aws.client("glue", config=IMPATIENT)
        with contextlib.suppress(BotoCoreError, ClientError):
            for number in range(10_000):
                glue.create_table(DatabaseName="db", TableInput={"Name": f"t{number}"})
                tables.append(f"t{number}")

    def write_logs() -> None:
        logs = aws.client("logs", config=IMPATIENT)
        with contextlib.suppress(BotoCoreError, ClientError):
            logs.create_log_stream(logGroupName="/g", logStreamName="s")
            for number in range(10_000):
                event = {"timestamp": int(time.time() * 1000), "message": str(number)}
                logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=[event])
                messages.append(str(number))

    writers = [
        threading.Thread(target=write_objects, args=(mine, f"writer-{index}"))
        for index, mine in enumerate(acknowledged)
    ]
    writers += [threading.Thread(target=write_tables), threading.Thread(target=write_logs)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 60
    while min(*map(len, acknowledged), len(tables), len(messages)) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    aws.kill()
    for writer in writers:
        writer.join()
    aws.start()

    stored = objects(aws, "data")
    for mine in acknowledged:
        for key, body in mine.items():
            # The request that was under way when the server was killed may or may not have been stored.
            name, _, number = body[:20].decode().partition(" ")
            following = f"{name} {int(number.split(name)[0]) + 40}".encode() * 500
            assert stored[key] in (body, following)
    pages = aws.client("glue").get_paginator("get_tables").paginate(DatabaseName="db")
    assert {table["Name"] for page in pages for table in page["TableList"]} >= set(tables)
    events = aws.client("logs").filter_log_events(logGroupName="/g")["events"]
    assert [event["message"] for event in events][: len(messages)] == messages


def test_a_listing_goes_on_after_a_restart(new_local_aws: Callable[[], LocalAws]) -> None:
    aws = new_local_aws()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="data")
    for number in range(4):
        s3.put_object(Bucket="data", Key=f"k{number}", Body=b"")
    first = s3.list_objects_v2(Bucket="data", MaxKeys=2)
    aws.restart()
    second = s3.list_objects_v2(Bucket="data", ContinuationToken=first["NextContinuationToken"])
    assert [item["Key"] for item in second["Contents"]] == ["k2", "k3"]


def test_blobs_that_nothing_refers_to_are_removed_at_the_start(
    new_local_aws: Callable[[], LocalAws],
) -> None:
    aws = new_local_aws()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="data")
    for body in (b"1", b"2", b"3"):
        s3.put_object(Bucket="data", Key="k", Body=body)
    (aws.data_dir / "objects" / "incoming" / "left").write_bytes(b"cut off")

    def blobs() -> list[Path]:
        return [path for path in (aws.data_dir / "objects").rglob("*") if path.is_file()]

    assert len(blobs()) == 4
    aws.restart(kill=True)
    deadline = time.monotonic() + 20
    while len(blobs()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert objects(aws, "data") == {"k": b"3"}


ON_A_SMALL_DISK = """
    import pathlib, sys
    sys.path.insert(0, {root!r})
    from local_aws.pytest_plugin import LocalAws
    from botocore.config import Config
    from botocore.exceptions import ClientError

    aws = LocalAws(pathlib.Path({disk!r}) / "data")
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_object(Bucket="data", Key="k", Body=b"old")
    for key in ("k", "other"):
        try:
            s3.put_object(Bucket="data", Key=key, Body=bytes(60 << 20))
        except ClientError as error:
            print(error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
            print(error.response["ResponseMetadata"].get("RetryAttempts"))
    print(s3.get_object(Bucket="data", Key="k")["Body"].read())
    aws.restart()
    print([item["Key"] for item in s3.list_objects_v2(Bucket="data")["Contents"]])
    s3.put_object(Bucket="data", Key="after", Body=b"fits")
    print(s3.get_object(Bucket="data", Key="after")["Body"].read())
    aws.stop()
"""


def test_a_full_disk_is_said_and_the_old_state_stays(tmp_path: Path) -> None:
    """On a file system of 40 MB, made in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = textwrap.dedent(ON_A_SMALL_DISK).format(root=str(ROOT), disk=str(disk))
    mount = f'mount -t tmpfs -o size=40m none "{disk}"'
    unshare = ["unshare", "-rm", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*unshare, mount], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system does not let a user mount a file system of its own")
    done = subprocess.run(
        [*unshare, f'{mount} && exec "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "InsufficientStorage 507",
        "0",
        "InsufficientStorage 507",
        "0",
        "b'old'",
        "['k']",
        "b'fits'",
    ], done.stderr
