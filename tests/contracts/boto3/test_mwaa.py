"""MWAA through stock boto3, with a small server in the place of Airflow. The real one: tests/end_to_end."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.pytest_plugin import LocalAws
from tests.contracts.json_handler import JsonHandler

PATIENCE = 120.0
PASSWORD = "s3cret"


class FakeAirflow(JsonHandler):
    """Answers with what it was asked. A run "taken" exists already; the first token is refused."""

    asked: list[tuple[str, str, Any]]
    logins: int

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"null")
        if self.path == "/auth/token":
            type(self).logins += 1
            ok = body == {"username": "admin", "password": PASSWORD}
            return self.answer(201 if ok else 401, {"access_token": f"token-{self.logins}"})
        if self.headers["Authorization"] == "Bearer token-1":
            return self.answer(401, {"detail": "expired"})
        self.asked.append((self.command, self.path, body))
        if "taken" in str(body):
            return self.answer(409, {"detail": "the run exists already"})
        if "broken" in self.path:
            return self.answer(500, {"detail": "Internal Server Error"})
        return self.answer(200, {"dag_runs": [], "total_entries": 0})

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET


@pytest.fixture(scope="module")
def airflow() -> Iterator[ThreadingHTTPServer]:
    FakeAirflow.asked, FakeAirflow.logins = [], 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeAirflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dags")


@pytest.fixture(scope="module")
def aws(
    airflow: ThreadingHTTPServer, dags: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAws]:
    """A local AWS that knows the Airflow and its folder."""
    folder = tmp_path_factory.mktemp("mwaa")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({"admin": PASSWORD}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_AWS_AIRFLOW_URL", f"http://127.0.0.1:{airflow.server_address[1]}")
        patch.setenv("LOCAL_AWS_AIRFLOW_PASSWORD_FILE", str(passwords))
        patch.setenv("LOCAL_AWS_AIRFLOW_DAGS", str(dags))
        server = LocalAws(folder / "data")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mwaa(aws: LocalAws) -> Any:
    return aws.client("mwaa")


@pytest.fixture(scope="module")
def s3(aws: LocalAws) -> Any:
    return aws.client("s3")


@pytest.fixture
def settings(s3: Any) -> dict[str, Any]:
    """Of an environment that can be made."""
    bucket = f"mwaa-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return {
        "Name": f"env-{uuid.uuid4().hex[:8]}",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/mwaa",
        "SourceBucketArn": f"arn:aws:s3:::{bucket}",
        "DagS3Path": "dags",
        "NetworkConfiguration": {"SubnetIds": ["subnet-a", "subnet-b"], "SecurityGroupIds": ["sg-a"]},
    }


@pytest.fixture
def environment(mwaa: Any, settings: dict[str, Any]) -> str:
    mwaa.create_environment(**settings)
    available(mwaa, settings["Name"])
    return str(settings["Name"])


def available(mwaa: Any, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        found: dict[str, Any] = mwaa.get_environment(Name=name)["Environment"]
        if found["Status"] == "AVAILABLE":
            return found
        assert found["Status"] in ("CREATING", "UPDATING"), found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def refusal(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return dict(error.value.response)


def test_an_environment_is_made_changed_and_deleted(
    mwaa: Any, s3: Any, settings: dict[str, Any], dags: Path
) -> None:
    bucket, name = settings["SourceBucketArn"].rpartition(":")[2], settings["Name"]
    for key in ("dags/one.py", "dags/folder/two.py", "other.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    mwaa.create_environment(**settings, Tags={"a": "b"})
    found = available(mwaa, name)
    assert found["Arn"].endswith(f"environment/{name}")
    assert (found["AirflowVersion"], found["EnvironmentClass"]) == ("3.3.1", "mw1.small")
    assert (found["LastUpdate"]["Status"], found["LastUpdate"]["Source"]) == ("SUCCESS", "CreateEnvironment")
    assert (dags / "one.py").read_text() == "dags/one.py"
    assert (dags / "folder/two.py").read_text() == "dags/folder/two.py"
    assert not (dags / "other.txt").exists()
    assert mwaa.list_tags_for_resource(ResourceArn=found["Arn"])["Tags"] == {"a": "b"}

    (dags / "mine.py").write_text("not published")
    s3.delete_object(Bucket=bucket, Key="dags/one.py")
    s3.put_object(Bucket=bucket, Key="dags/folder/two.py", Body=b"new")
    version = s3.put_object(Bucket=bucket, Key="plugins.zip", Body=b"z")["VersionId"]
    mwaa.update_environment(
        Name=name, PluginsS3Path="plugins.zip", PluginsS3ObjectVersion=version, MaxWorkers=2
    )
    found = available(mwaa, name)
    assert (found["PluginsS3ObjectVersion"], found["MaxWorkers"]) == (version, 2)
    assert (found["LastUpdate"]["Status"], found["LastUpdate"]["Source"]) == ("SUCCESS", "UpdateEnvironment")
    published = {path.relative_to(dags).as_posix() for path in dags.rglob("*.py")}
    assert published == {"folder/two.py", "mine.py"}
    assert (dags / "folder/two.py").read_text() == "new"

    pages = mwaa.get_paginator("list_environments").paginate()
    assert name in [found for page in pages for found in page["Environments"]]
    mwaa.delete_environment(Name=name)
    deadline = time.monotonic() + PATIENCE
    while name in mwaa.list_environments()["Environments"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SourceBucketArn": "arn:aws:s3:::no-such-bucket-here"}, "no-such-bucket-here does not exist"),
        ({"PluginsS3Path": "gone.zip"}, "PluginsS3Path: there is no s3://"),
        ({"RequirementsS3Path": "there.txt", "RequirementsS3ObjectVersion": "x"}, "has no version x"),
        ({"AirflowVersion": "2.0.2"}, "AirflowVersion 2.0.2 is none of"),
        ({"EnvironmentClass": "mw1.huge"}, "EnvironmentClass mw1.huge is none of"),
        ({"MinWorkers": 5, "MaxWorkers": 2}, "MinWorkers 5 is more than MaxWorkers 2"),
        ({"NetworkConfiguration": {"SubnetIds": ["a", "b", "c"]}}, "must name two subnets"),
    ],
)
def test_what_mwaa_would_not_take_is_refused(
    mwaa: Any, s3: Any, settings: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    s3.put_object(Bucket=settings["SourceBucketArn"].rpartition(":")[2], Key="there.txt", Body=b"")
    error = refusal(mwaa.create_environment, **{**settings, **change})["Error"]
    assert error["Code"] == "ValidationException"
    assert words in error["Message"]
    assert settings["Name"] not in mwaa.list_environments()["Environments"]


def test_a_bucket_without_versions_is_refused(mwaa: Any, s3: Any, settings: dict[str, Any]) -> None:
    name = f"plain-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    error = refusal(mwaa.create_environment, **{**settings, "SourceBucketArn": f"arn:aws:s3:::{name}"})
    assert "must have versioning enabled" in error["Error"]["Message"]


def test_the_rest_api_is_airflows(mwaa: Any, environment: str) -> None:
    """Also: a token that is refused is renewed, once."""
    body = {"logical_date": None, "conf": {"key": "raw/a.csv", "n": 1.5}}
    answer = mwaa.invoke_rest_api(Name=environment, Path="/dags/d/dagRuns", Method="POST", Body=body)
    assert answer["RestApiStatusCode"] == 200
    assert answer["RestApiResponse"] == {"dag_runs": [], "total_entries": 0}
    assert FakeAirflow.asked[-1] == ("POST", "/api/v2/dags/d/dagRuns", body)
    query = {"limit": 3, "order_by": "-run_after", "tags": ["a", "b"], "paused": False}
    mwaa.invoke_rest_api(Name=environment, Path="/dags", Method="GET", QueryParameters=query)
    assert FakeAirflow.asked[-1][1] == ("/api/v2/dags?limit=3&order_by=-run_after&tags=a&tags=b&paused=false")


def test_airflows_errors_come_with_status_and_words(mwaa: Any, environment: str) -> None:
    body = {"dag_run_id": "taken"}
    error = refusal(mwaa.invoke_rest_api, Name=environment, Path="/dags/d/dagRuns", Method="POST", Body=body)
    assert error["Error"]["Code"] == "RestApiClientException"
    assert (error["RestApiStatusCode"], error["RestApiResponse"]) == (
        409,
        {"detail": "the run exists already"},
    )
    error = refusal(mwaa.invoke_rest_api, Name=environment, Path="/broken", Method="GET")
    assert (error["Error"]["Code"], error["RestApiStatusCode"]) == ("RestApiServerException", 500)
    error = refusal(mwaa.invoke_rest_api, Name=environment, Path="/" + "x" * 64, Method="GET")["Error"]
    assert error["Code"] == "ValidationException"
    assert "less than or equal to 64" in error["Message"]


def test_tokens_are_airflows(aws: LocalAws, mwaa: Any, environment: str) -> None:
    cli = mwaa.create_cli_token(Name=environment)
    web = mwaa.create_web_login_token(Name=environment)
    assert cli["CliToken"].startswith("token-")
    assert web["WebToken"].startswith("token-")
    host = mwaa.get_environment(Name=environment)["Environment"]["WebserverUrl"]
    assert cli["WebServerHostname"] == web["WebServerHostname"] == host
    assert web["AirflowIdentity"] == "admin"


def test_what_is_not_there_or_not_done(mwaa: Any, environment: str) -> None:
    for call in (mwaa.get_environment, mwaa.delete_environment, mwaa.create_cli_token):
        assert refusal(call, Name="nobody")["Error"]["Code"] == "ResourceNotFoundException"
    error = refusal(mwaa.publish_metrics, EnvironmentName=environment, MetricData=[])["Error"]
    assert error["Code"] == "UnsupportedOperation"


def test_without_an_airflow_the_answer_says_so_and_an_environment_survives_a_kill(
    new_local_aws: Callable[[], Any], settings: dict[str, Any]
) -> None:
    aws = new_local_aws()
    s3, mwaa = aws.client("s3"), aws.client("mwaa")
    bucket = settings["SourceBucketArn"].rpartition(":")[2]
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    mwaa.create_environment(**settings)
    aws.restart(kill=True)
    assert available(mwaa, settings["Name"])["DagS3Path"] == "dags"
    once = aws.client("mwaa", config=Config(retries={"total_max_attempts": 1}))
    error = refusal(once.invoke_rest_api, Name=settings["Name"], Path="/dags", Method="GET")["Error"]
    assert error["Code"] == "InternalServerException"
    assert "--airflow-url" in error["Message"]


def test_an_airflow_that_is_down_is_a_server_error(
    new_local_aws: Callable[[], Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_AWS_AIRFLOW_URL", "http://127.0.0.1:9")  # discard: nobody listens
    aws = new_local_aws()
    s3, mwaa = aws.client("s3"), aws.client("mwaa")
    bucket = settings["SourceBucketArn"].rpartition(":")[2]
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    mwaa.create_environment(**settings)
    available(mwaa, settings["Name"])
    error = refusal(mwaa.invoke_rest_api, Name=settings["Name"], Path="/dags", Method="GET")
    assert (error["Error"]["Code"], error["RestApiStatusCode"]) == ("RestApiServerException", 503)
    assert "does not answer" in error["RestApiResponse"]["detail"]
