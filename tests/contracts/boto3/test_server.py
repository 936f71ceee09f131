"""The front door: start, refusals, errors in each protocol's shape, stop."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from local_aws.pytest_plugin import ROOT, free_port
from local_aws.state import snapshots

PYTHON = str(ROOT / ".venv/local-aws/bin/python")


def serve(data_dir: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "local_aws", "serve", "--data-dir", str(data_dir), "--port", str(port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_named(local_aws: Any, tmp_path: Path) -> None:
    done = serve(tmp_path / "data", local_aws.port)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"port {local_aws.port} is taken by another program; choose another one with --port"
    )
    assert "Traceback" not in done.stderr


def test_state_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    """In one sentence, and with the process: a server that hangs would be waited for."""
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as database:
        database.executescript(snapshots.SCHEMA)
        database.execute("INSERT INTO snapshots VALUES ('glue', '4.0', ?)", (b"\x80\x04cut off",))
        database.commit()
    done = serve(tmp_path, free_port())
    assert done.returncode == 1
    assert "the stored state of glue, written with moto 4.0, cannot be read" in done.stderr

    other = tmp_path / "other"
    other.mkdir()
    (other / "state.sqlite").write_bytes(b"not a database" * 1000)
    done = serve(other, free_port())
    assert done.returncode == 1
    assert done.stderr.startswith(f"{other}/state.sqlite cannot be read: file is not a database")


def test_a_data_directory_serves_one_server(local_aws: Any) -> None:
    done = serve(local_aws.data_dir, 1)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"{local_aws.data_dir} is in use by local AWS, process {local_aws.process.pid}; "
        "stop it, or name another --data-dir"
    )


def test_it_listens_on_loopback_only(local_aws: Any) -> None:
    addresses = {
        info[4][0]
        for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        if not str(info[4][0]).startswith("127.")
    }
    for address in addresses:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((str(address), local_aws.port), timeout=2)


def test_a_page_that_rebinds_its_name_to_loopback_is_refused(local_aws: Any) -> None:
    answer = urllib3.request("GET", local_aws.endpoint_url, headers={"Host": "evil.example"})
    assert answer.status == 403


def test_no_page_of_another_origin_may_read_an_answer(local_aws: Any) -> None:
    answer = urllib3.request(
        "GET", local_aws.endpoint_url + "/-/health", headers={"Origin": "http://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in answer.headers
    anything = urllib3.request("GET", local_aws.endpoint_url, headers={"Origin": "http://evil.example"})
    assert anything.status == 200  # the list of buckets
    assert "Access-Control-Allow-Origin" not in anything.headers


def test_health_lists_what_runs(local_aws: Any) -> None:
    health = json.loads(urllib3.request("GET", local_aws.endpoint_url + "/-/health").data)
    assert health["version"]
    assert health["data_dir"] == str(local_aws.data_dir)
    assert "s3" in health["services"]
    assert isinstance(health["jobs"], list)
    assert health["server"]["pid"] == local_aws.process.pid
    assert health["server"]["rss"] > 10_000_000


def test_the_reset_of_moto_is_out_of_reach(local_aws: Any) -> None:
    assert urllib3.request("POST", local_aws.endpoint_url + "/moto-api/reset").status == 404


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("glue", "list_blueprints", {}),  # JSON
        ("translate", "list_languages", {}),  # a service that is not here
        ("lambda", "list_code_signing_configs", {}),  # REST and JSON
        ("cloudformation", "list_types", {}),  # query and XML
        ("cloudwatch", "list_managed_insight_rules", {"ResourceARN": "arn:aws:s3:::a"}),  # CBOR
        ("s3", "list_bucket_metrics_configurations", {"Bucket": "some-bucket"}),  # REST and XML
    ],
)
def test_what_is_not_supported_is_refused_by_name_and_not_tried_again(
    local_aws: Any, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = local_aws.client(service)
    calls = []
    client.meta.events.register("before-send", lambda **_: calls.append(1))
    if service == "s3":
        client.create_bucket(Bucket="some-bucket")
        calls.clear()
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(**arguments)
    assert error.value.response["Error"]["Code"] == "UnsupportedOperation"
    assert "local AWS does not support" in error.value.response["Error"]["Message"]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert len(calls) == 1


def test_status_and_env(local_aws: Any) -> None:
    def run(*arguments: str) -> str:
        command = [PYTHON, "-m", "local_aws", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    shown = run("status", "--port", str(local_aws.port))
    assert f"http://127.0.0.1:{local_aws.port}" in shown
    exports = dict(
        line.removeprefix("export ").split("=", 1)
        for line in run(
            "env", "--port", str(local_aws.port), "--runtime-port", str(local_aws.runtime_port)
        ).splitlines()
    )
    assert exports == local_aws.env


def test_status_of_nothing_is_one_clear_line(tmp_path: Path) -> None:
    command = [PYTHON, "-m", "local_aws", "status", "--port", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("local AWS does not answer on port 1: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(new_local_aws: Callable[[], Any], number: signal.Signals) -> None:
    server = new_local_aws()
    server.process.send_signal(number)
    assert server.process.wait(timeout=30) == 0
    assert "Traceback" not in server.log.read_text()


def test_many_clients_at_a_time(local_aws: Any) -> None:
    """More connections, kept open, than there are threads."""
    clients = [local_aws.client("sts") for _ in range(40)]
    accounts: list[str] = []

    def ask(client: Any) -> None:
        accounts.extend(client.get_caller_identity()["Account"] for _ in range(5))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accounts == ["123456789012"] * 200
    assert time.monotonic() - began < 30


def test_a_long_poll_keeps_nobody_waiting(local_aws: Any) -> None:
    sqs = local_aws.client("sqs")
    queue = sqs.create_queue(QueueName="long-poll")["QueueUrl"]
    received: list[str] = []

    def poll() -> None:
        answer = local_aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=15)
        received.extend(message["Body"] for message in answer.get("Messages", []))

    poller = threading.Thread(target=poll)
    began = time.monotonic()
    poller.start()
    while time.monotonic() - began < 1:
        local_aws.client("sts").get_caller_identity()
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    poller.join()
    assert received == ["hello"]
    assert time.monotonic() - began < 12


def test_invocations_at_the_front_door_reach_the_data_plane(new_local_aws: Callable[[], Any]) -> None:
    server = new_local_aws()
    with pytest.raises(ClientError) as error:
        server.client("sagemaker-runtime").invoke_endpoint(EndpointName="none", Body=b"1,2")
    at_the_data_plane = error.value.response["Error"]
    import boto3

    front = boto3.client(
        "sagemaker-runtime",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    with pytest.raises(ClientError) as error:
        front.invoke_endpoint(EndpointName="none", Body=b"1,2")
    assert error.value.response["Error"] == at_the_data_plane
    assert at_the_data_plane["Code"] == "ValidationError"


def test_the_status_page_shows_what_runs_and_what_has_ended(local_aws: Any) -> None:
    answer = urllib3.request("GET", local_aws.endpoint_url + "/-/status")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = answer.data.decode()
    assert f"state in {local_aws.data_dir}" in page
    assert f"process {local_aws.process.pid}," in page
    for job in json.loads(urllib3.request("GET", local_aws.endpoint_url + "/-/health").data)["jobs"]:
        assert f">{job['pid']}</td>" in page  # the data plane at least
    evil = urllib3.request("GET", local_aws.endpoint_url + "/-/status", headers={"Host": "evil.example"})
    assert evil.status == 403


def test_a_refusal_that_ends_the_connection_says_so(local_aws: Any) -> None:
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nno header\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert b"Connection: close" in headers
    assert b"Content-Length: %d" % len(body) in headers


def test_one_connection_serves_requests_however_they_arrive(local_aws: Any) -> None:
    """Two at once, one right after, one after a pause longer than a thread waits for it."""
    ask = b"GET /-/none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=30) as connection:
        answers = connection.makefile("rb")

        def answer() -> tuple[bytes, bytes]:
            status = answers.readline().strip()
            length = 0
            while (line := answers.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            return status, answers.read(length)

        not_served = (b"HTTP/1.1 404 Not Found", b"not served\n")
        connection.sendall(ask * 2)
        assert [answer(), answer()] == [not_served, not_served]
        connection.sendall(ask)
        assert answer() == not_served
        time.sleep(0.1)
        connection.sendall(ask)
        assert answer() == not_served


def test_a_client_that_waits_for_leave_to_send_gets_it(local_aws: Any) -> None:
    with socket.create_connection(("127.0.0.1", local_aws.port), timeout=30) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 43\r\nExpect: 100-continue\r\n"
            b"Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sts/aws4_request, x=y\r\n\r\n"
        )
        answers = connection.makefile("rb")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answers.readline() == b"\r\n"
        connection.sendall(b"Action=GetCallerIdentity&Version=2011-06-15")
        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
