"""A data plane as a process, a stub of S3 and CloudWatch that records, and models to serve."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pytest
import xgboost as xgb
from botocore.config import Config

PROJECT = Path(__file__).resolve().parents[3]
FEATURES = 5

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def make_model(folder: Path, seed: int) -> xgb.Booster:
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 10, (200, FEATURES)).astype(np.float32)
    labels = (features[:, 0] + rng.normal(0, 2, 200) > 5).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": 3, "seed": seed}
    booster = xgb.train(params, xgb.DMatrix(features, label=labels), 5)
    folder.mkdir(parents=True)
    (folder / "xgboost-model").write_bytes(booster.save_raw("ubj"))
    return booster


def variant(model_dir: Path, name: str = "AllTraffic", weight: float = 1.0, **more) -> dict:
    return {
        "name": name,
        "weight": weight,
        "model_dir": str(model_dir),
        "image": "sagemaker-xgboost:3.2-0",
        "environment": {},
        "entry": None,
    } | more


def fleet(name: str, *variants: dict, weight: float = 1.0) -> dict:
    return {"id": name, "weight": weight, "variants": list(variants)}


CAPTURE = {
    "percentage": 100,
    "destination": "s3://bucket/capture/",
    "modes": ["Input", "Output"],
    "csv_content_types": ["text/csv"],
    "json_content_types": ["application/json"],
}


def write_desired(data_dir: Path, endpoints: dict[str, dict]) -> None:
    path = data_dir / "serving" / "endpoints.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version": 1, "endpoints": endpoints}))
    new.replace(path)


class StubAws:
    """S3's PUT and CloudWatch's PutMetricData, kept in memory. `away` makes both fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metric_requests: list[bytes] = []
        self.away = False
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self._body()
                if not stub.away:
                    stub.objects[self.path.lstrip("/")] = body
                self._answer(b"")

            def do_POST(self) -> None:
                stub.metric_requests.append(self._body())
                self._answer(b"{}")

            def _body(self) -> bytes:
                if self.headers.get("Expect") == "100-continue":
                    self.send_response_only(100)
                    self.end_headers()
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    body = b""
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    while self.rfile.readline().strip():
                        pass
                    return body
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))

            def _answer(self, body: bytes) -> None:
                self.send_response(503 if stub.away else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def records(self) -> list[dict]:
        return [json.loads(line) for body in self.objects.values() for line in decode(body).splitlines()]


def decode(body: bytes) -> str:
    """An S3 body as botocore sends it over plain HTTP: in aws-chunked framing when it carries a checksum."""
    text = body.decode()
    if not text.split("\r\n", 1)[0].strip("0123456789abcdef"):
        lines = text.split("\r\n")
        return "".join(lines[1:-1:2]) if len(lines) > 2 else text
    return text


@pytest.fixture
def aws() -> Iterator[StubAws]:
    stub = StubAws()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


class Plane:
    """The data plane's process."""

    def __init__(self, data_dir: Path, aws: StubAws, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.log = data_dir / "plane.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local_aws.serving", "--port", str(port), "--data-dir", str(data_dir)],
                env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": aws.url, "PYTHONPATH": str(PROJECT)},
                stderr=log,
                stdout=log,
            )

    def call(self, method: str, path: str) -> dict:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def states(self) -> dict[str, str]:
        """{"endpoint/fleet": state}"""
        return {
            f"{name}/{fleet_id}": value["state"]
            for name, endpoint in self.call("GET", "/-/status")["endpoints"].items()
            for fleet_id, value in endpoint["fleets"].items()
        }

    def until_up(self) -> dict[str, str]:
        return self._until(lambda _: True)

    def until_loaded(self, seconds: float = 30) -> dict[str, str]:
        return self._until(lambda states: "Loading" not in states.values(), seconds)

    def _until(self, reached: Callable[[dict[str, str]], bool], seconds: float = 30) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        states = None
        while time.monotonic() < deadline:
            with suppress(OSError):
                states = self.states()
                if reached(states):
                    return states
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            time.sleep(0.05)
        raise AssertionError(f"still loading: {states}\n{self.log.read_text()}")

    def client(self, attempts: int = 1):
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": attempts}, max_pool_connections=20),
        )

    def stop(self, sig: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout=45)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_plane(
    data_dir: Path, aws: StubAws, port: int | None = None, *, loaded: bool = True
) -> Iterator[Plane]:
    """A data plane that answers; `loaded`: wait for its models as well."""
    plane = Plane(data_dir, aws, port or free_port())
    try:
        if loaded:
            plane.until_loaded()
        else:
            plane.until_up()
        yield plane
    finally:
        plane.stop()
