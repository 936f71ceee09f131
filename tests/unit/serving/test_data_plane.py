"""The data plane as a process, asked by stock boto3."""

# ruff: noqa: E501 - the tables read better with one case a line

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import xgboost as xgb
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import (
    CAPTURE,
    FEATURES,
    PROJECT,
    fleet,
    free_port,
    make_model,
    running_plane,
    variant,
    write_desired,
)

ROWS = np.random.default_rng(1).uniform(0, 10, (50, FEATURES)).round(3).astype(np.float32)
BODY = "\n".join(",".join(map(str, row)) for row in ROWS)


@pytest.fixture
def model(tmp_path):
    return tmp_path / "models" / "one", make_model(tmp_path / "models" / "one", 1)


def ask(client, body=BODY, endpoint="churn", **more):
    return client.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body, **more)


def test_an_endpoint_answers_with_xgboosts_own_scores_and_captures_them(tmp_path, aws, model):
    folder, booster = model
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", variant(folder))], "capture": CAPTURE}})
    with running_plane(tmp_path, aws) as plane:
        answer = ask(plane.client(), InferenceId="customer-7", CustomAttributes="trace=1")
        scores = np.float32(answer["Body"].read().decode().split())
        assert np.array_equal(scores, booster.predict(xgb.DMatrix(ROWS)))
        assert answer["ContentType"] == "text/csv; charset=utf-8"
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        assert plane.call("POST", "/-/flush")["objects"] == 1
        (record,) = aws.records()
        assert record["captureData"]["endpointInput"]["data"] == BODY
        assert record["eventMetadata"]["inferenceId"] == "customer-7"
        assert record["eventMetadata"]["eventId"] == answer["ResponseMetadata"]["RequestId"]
        assert uuid.UUID(record["eventMetadata"]["eventId"]).version == 4
        (key,) = aws.objects
        assert key.startswith("bucket/capture/churn/AllTraffic/20")
        assert any(b"Invocations" in request for request in aws.metric_requests)


@pytest.mark.parametrize(
    ("request_", "code", "status", "message"),
    [
        ({"EndpointName": "nope"}, "ValidationError", 400, "Endpoint nope of account 123456789012 not found."),
        ({"TargetVariant": "B"}, "ValidationError", 400, "Variant B was not found in the endpoint."),
        ({"TargetModel": "m"}, "ValidationError", 400, "TargetModel (multi-model endpoints) is not supported by local AWS."),
        ({"Body": "1" * (6 * 1024 * 1024 + 1)}, "ValidationError", 400, "Request body of 6291457 bytes exceeds the limit of 6291456 bytes (6 MB)."),
        ({"Body": "1,2"}, "ModelError", 424, 'Received client error (400) from primary with message "Unable to evaluate payload provided: Feature size of csv inference data 2 is not consistent with feature size of trained model 5". See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:group=/aws/sagemaker/Endpoints/churn in account 123456789012 for more information.'),
        ({"ContentType": "application/json"}, "ModelError", 424, "Received client error (415) from primary"),
        ({"Accept": "image/png"}, "ModelError", 424, "Received client error (406) from primary"),
    ],
)  # fmt: skip
def test_errors_are_those_that_boto3_knows(plane_of_one, request_, code, status, message):
    with pytest.raises(ClientError) as error:
        plane_of_one.client().invoke_endpoint(
            **{"EndpointName": "churn", "ContentType": "text/csv", "Body": BODY} | request_
        )
    response = error.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert response["Error"]["Message"].startswith(message)
    if code == "ModelError":
        assert response["OriginalStatusCode"] in (400, 406, 415)
        assert response["OriginalMessage"] in response["Error"]["Message"]
        assert response["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/churn")


@pytest.fixture(scope="module")
def plane_of_one(tmp_path_factory):
    from .conftest import StubAws

    folder = tmp_path_factory.mktemp("plane")
    make_model(folder / "model", 1)
    write_desired(folder, {"churn": {"fleets": [fleet("c1", variant(folder / "model"))], "capture": None}})
    with running_plane(folder, StubAws()) as plane:
        yield plane


def test_other_operations_are_refused_by_name(plane_of_one):
    client = plane_of_one.client()
    with pytest.raises(ClientError, match="InvokeEndpointWithResponseStream is not supported") as error:
        client.invoke_endpoint_with_response_stream(EndpointName="churn", Body=b"1")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_an_endpoint_that_is_not_asynchronous_says_so(plane_of_one):
    client = plane_of_one.client()
    with pytest.raises(ClientError, match="churn is not an asynchronous endpoint"):
        client.invoke_endpoint_async(EndpointName="churn", InputLocation="s3://b/k")
    with pytest.raises(ClientError, match="Endpoint nobody of account 123456789012 not found"):
        client.invoke_endpoint_async(EndpointName="nobody", InputLocation="s3://b/k")


def test_an_update_under_load_fails_no_request(tmp_path, aws, model):
    folder, old = model
    new = make_model(tmp_path / "models" / "two", 2)
    data = xgb.DMatrix(ROWS[:1])
    expected = {str(booster.predict(data)[0]): name for name, booster in (("old", old), ("new", new))}
    assert len(expected) == 2
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", variant(folder))], "capture": CAPTURE}})
    with running_plane(tmp_path, aws) as plane:
        client = plane.client()
        stop, body = threading.Event(), BODY.split("\n", 1)[0]

        def asking():
            seen = []
            while not stop.is_set():
                seen.append(expected[ask(client, body)["Body"].read().decode().strip()])
            return seen

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(asking) for _ in range(4)]
            time.sleep(0.3)
            for name, weights in (("canary", (0.9, 0.1)), ("all", (0.0, 1.0))):
                fleets = [
                    fleet("c1", variant(folder), weight=weights[0]),
                    fleet("c2", variant(tmp_path / "models" / "two"), weight=weights[1]),
                ]
                write_desired(tmp_path, {"churn": {"fleets": fleets, "capture": CAPTURE}})
                plane.call("POST", "/-/reload")
                assert plane.until_loaded() == {"churn/c1": "Ready", "churn/c2": "Ready"}, name
                time.sleep(0.3)
            write_desired(tmp_path, {"churn": {"fleets": fleets[1:], "capture": CAPTURE}})
            plane.call("POST", "/-/reload")
            time.sleep(0.2)
            stop.set()
            seen = [future.result() for future in futures]
        assert all(answers[0] == "old" and answers[-1] == "new" for answers in seen)
        plane.call("POST", "/-/flush")
        assert len(aws.records()) == sum(map(len, seen))


def test_killed_under_load_it_comes_back_and_has_captured_every_answered_request_once(tmp_path, aws, model):
    folder, _ = model
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", variant(folder))], "capture": CAPTURE}})
    port, answered = free_port(), []
    stop = threading.Event()
    with running_plane(tmp_path, aws, port) as plane:
        client = plane.client()

        def asking():
            while not stop.is_set():
                try:
                    answered.append(ask(client)["ResponseMetadata"]["RequestId"])
                except (BotoCoreError, ClientError):
                    time.sleep(0.01)

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(asking)
            time.sleep(0.5)
            plane.stop(signal.SIGKILL)
            before = len(answered)
            with running_plane(tmp_path, aws, port) as again:
                deadline = time.monotonic() + 20
                while len(answered) < before + 50 and time.monotonic() < deadline:
                    time.sleep(0.05)
                stop.set()
                pool.shutdown()
                again.call("POST", "/-/flush")
    assert before > 0
    assert len(answered) >= before + 50
    captured = [record["eventMetadata"]["eventId"] for record in aws.records()]
    assert len(captured) == len(set(captured))
    assert set(answered) <= set(captured)
    assert len(captured) - len(answered) <= 4  # at most one per client was under way when it was killed


def test_captures_wait_while_s3_is_away_and_an_orderly_stop_writes_them(tmp_path, aws, model):
    folder, _ = model
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", variant(folder))], "capture": CAPTURE}})
    aws.away = True
    with running_plane(tmp_path, aws) as plane:
        ask(plane.client())
        assert plane.call("POST", "/-/flush")["objects"] == 0
        aws.away = False
    assert len(aws.records()) == 1


def test_a_model_that_cannot_be_read_fails_its_fleet_with_the_reason(tmp_path, aws):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "xgboost-model").write_bytes(b"not a model")
    write_desired(
        tmp_path, {"churn": {"fleets": [fleet("c1", variant(tmp_path / "model"))], "capture": None}}
    )
    with running_plane(tmp_path, aws) as plane:
        status = plane.call("GET", "/-/status")["endpoints"]["churn"]["fleets"]["c1"]
        assert status["state"] == "Failed"
        assert "Unable to load model: xgboost-model is not an XGBoost model" in status["reason"]


def test_a_state_file_that_cannot_be_used_changes_nothing_and_is_reported(tmp_path, aws, model):
    folder, _ = model
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", variant(folder))], "capture": None}})
    with running_plane(tmp_path, aws) as plane:
        (tmp_path / "serving" / "endpoints.json").write_text('{"version": 1, "endpoints": {"churn": {}}}')
        with pytest.raises(OSError, match="400"):
            plane.call("POST", "/-/reload")
        assert "endpoints.json: KeyError: 'fleets'" in plane.call("GET", "/-/status")["error"]
        assert ask(plane.client())["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_taken_port_is_an_error_that_names_it(plane_of_one, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "local_aws.serving",
            "--port",
            str(plane_of_one.port),
            "--data-dir",
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Port {plane_of_one.port} of 127.0.0.1 cannot be used: Address already in use."
    )


SERVER = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(3)
        if body == b"bad":
            return self.answer(500, b"boom")
        self.answer(200, body.upper() + open("model/name").read().encode())
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", self.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        print("asked", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), H).serve_forever()
"""


@pytest.fixture
def own_process(tmp_path):
    """A fleet whose model is a server of its own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "name").write_text("!")
    (tmp_path / "server.py").write_text(SERVER)
    entry = ["python3", str(tmp_path / "server.py")]
    own = variant(tmp_path / "model", image="sagemaker-scikit-learn:1.4-2-cpu-py3", entry=entry)
    write_desired(tmp_path, {"churn": {"fleets": [fleet("c1", own)], "capture": None}})
    return tmp_path


def test_an_image_with_code_of_its_own_is_proxied_restarted_after_a_crash_and_never_orphaned(
    own_process, aws
):
    with running_plane(own_process, aws) as plane:
        client = plane.client()
        answer = ask(client, "hello", CustomAttributes="a=b")
        assert (answer["Body"].read(), answer["CustomAttributes"]) == (b"HELLO!", "a=b")
        with pytest.raises(
            ClientError, match=r"Received server error \(500\) from primary with message \"boom\""
        ):
            ask(client, "bad")
        with pytest.raises(ClientError, match=r"Received server error \(503\)"):
            ask(client, "die")
        deadline = time.monotonic() + 20
        while True:
            try:
                assert ask(client, "again")["Body"].read() == b"AGAIN!"
                break
            except ClientError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        (child,) = psutil.Process(plane.process.pid).children()
        plane.stop(signal.SIGKILL)
        child.wait(timeout=10)


def test_a_server_that_ends_before_it_is_ready_fails_with_its_last_line(own_process, aws):
    (own_process / "server.py").write_text("import sys\nsys.exit('no such module: torch')\n")
    with running_plane(own_process, aws) as plane:
        status = json.dumps(plane.call("GET", "/-/status"))
        assert "ended with code 1 before it answered /ping: no such module: torch" in status


def test_a_stock_client_tries_again_while_a_model_is_loading(own_process, aws):
    waits = "import pathlib, time\nwhile not pathlib.Path('model/go').exists():\n    time.sleep(0.02)\n"
    (own_process / "server.py").write_text(waits + SERVER)
    with running_plane(own_process, aws, loaded=False) as plane:
        with pytest.raises(ClientError, match="is still loading; try again") as caught:
            ask(plane.client(), "hello")
        assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
        (own_process / "model" / "go").touch()
        assert ask(plane.client(attempts=10), "hello")["Body"].read() == b"HELLO!"
