"""Fixtures that run a local AWS of their own: `local_aws` for the session, `new_local_aws` to stop and kill.

Standard library and pytest only, so that tests of every environment can use it: the server is a process of
the local-aws environment, whatever interpreter runs the tests. LOCAL_AWS_PYTHON and LOCAL_AWS_JOBS_PYTHON
name other interpreters.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from local_aws.environment import client_environment

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class LocalAws:
    """A running local AWS.

    endpoint_url, runtime_url: where clients connect. env: what a client process needs. data_dir: its state.
    log: what the server prints.
    """

    def __init__(self, data_dir: Path, region: str = "us-east-1", options: Sequence[str] = ()) -> None:
        """options: more of `python -m local_aws serve`."""
        self.options = options
        self.data_dir = data_dir
        self.region = region
        self.port, self.runtime_port = free_port(), free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.runtime_url = f"http://127.0.0.1:{self.runtime_port}"
        self.env = client_environment(self.port, self.runtime_port, region)
        self.log = data_dir.with_name(data_dir.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def client(self, service: str, **arguments: Any) -> Any:
        """A boto3 client; give `config` for other retries or timeouts."""
        import boto3

        url = self.env.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}", self.endpoint_url)
        return boto3.client(
            service,
            endpoint_url=url,
            region_name=self.region,
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            **arguments,
        )

    def start(self) -> None:
        command = [
            os.environ.get("LOCAL_AWS_PYTHON", str(ROOT / ".venv/local-aws/bin/python")),
            *("-m", "local_aws", "serve"),
            *("--port", str(self.port)),
            *("--runtime-port", str(self.runtime_port)),
            *("--data-dir", str(self.data_dir)),
            *("--region", self.region),
            *self.options,
            *(
                "--jobs-python",
                os.environ.get("LOCAL_AWS_JOBS_PYTHON", str(ROOT / ".venv/jobs/bin/python")),
            ),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"local AWS did not start (exit {self.process.poll()}):\n{tail}")
            time.sleep(0.05)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/-/health", timeout=5):  # noqa: S310  # http
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """Orderly, as `make down` does it. Nothing happens when it is not running."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the server alone: its jobs go on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self, kill: bool = False) -> None:
        """Stop (or kill) it and start it again, on the same ports and state."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One local AWS for all tests of the session: use names of your own, and do not stop it."""
    server = LocalAws(tmp_path_factory.mktemp("local-aws") / "data")
    yield server
    server.stop()


@pytest.fixture
def new_local_aws(tmp_path: Path) -> Iterator[Callable[..., LocalAws]]:
    """Makes a local AWS for this test alone, to stop, kill and restart. Arguments: options of `serve`."""
    servers: list[LocalAws] = []

    def make(*options: str) -> LocalAws:
        servers.append(LocalAws(tmp_path / f"aws-{len(servers)}", options=options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def free_port() -> int:
    """A free port, below those of outgoing connections: such a one might take it before a server does."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)  # noqa: S311 - not for secrets
            probe.bind(("127.0.0.1", port))
            return port
