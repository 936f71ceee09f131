"""Requests per second and p99 of an endpoint, against Flask under gunicorn and against the bare model.

    .venv/jobs/bin/python -m benchmarks.endpoint [--seconds 0.5] [--rounds 15] [--json FILE]

Four servers, each a process of its own, are measured in turns with 1, 8 and 64 clients; each figure is the
median of the rounds, each ratio the median of the ratios within a round: many short ones, because other work
on the machine comes and goes. Beside the clock stands the processor time of a request in the server, and in
the client:

* `bare`: the model behind the same ASGI server (uvicorn, uvloop, httptools): read the body, parse it,
  predict, answer. No endpoint logic at all.
* `flask`: the same model in a Flask application under gunicorn, one worker as the data plane is one (see
  `flask_model`; kept-alive connections, four threads).
* `endpoint`: the data plane: choice of the variant, metrics, errors, request ids.
* `capture`: the same with every request captured; the upload of a file a minute is not in it.

Each request is one row of 69 features. The clients are asyncio protocols that send a prepared request over a
kept-alive connection and look for the end of the answer, which costs less than any server's part: with 8
clients and more the server is what limits, with one the two wait for each other. Targets: endpoint / flask
>= 3, endpoint / bare >= 0.8, capture / endpoint >= 0.9.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

CLIENTS = (1, 8, 64)
FEATURES = 69
TARGETS = {("endpoint", "flask"): 3.0, ("endpoint", "bare"): 0.8, ("capture", "endpoint"): 0.9}
NAME = "bench"
# Nothing listens there: publishing fails fast, and metrics stay where they are added up.
NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


Figures = dict[str, float]


class Client(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, latencies: list[float], until: float) -> None:
        self.request = request
        self.latencies = latencies
        self.until = until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"{head.decode()}\n{body.decode()}"))
            return
        now = time.perf_counter()
        self.latencies.append(now - self.asked)
        self.received = b""
        if now < self.until:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(self.request)


@dataclass
class Server:
    """A server under test: where it listens, which path answers, and its process."""

    port: int
    path: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Of the process and, as gunicorn has them, of its workers."""
        every = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (each.cpu_times() for each in every))


def post(path: str, content_type: str, body: bytes) -> bytes:
    """A prepared request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def row_request(path: str) -> bytes:
    row = ",".join(f"{random.uniform(0, 100):.1f}" for _ in range(FEATURES))
    return post(path, "text/csv", row.encode())


async def load(server: Server, request: bytes, clients: int, seconds: float) -> Figures:
    """Asks for a number of seconds: answers a second, latency percentiles, processor time of an answer."""
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    used, own = server.cpu_seconds(), time.process_time()
    begun = time.perf_counter()
    connections = [
        await loop.create_connection(
            lambda: Client(request, latencies, begun + seconds), "127.0.0.1", server.port
        )
        for _ in range(clients)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in connections))
    elapsed = time.perf_counter() - begun
    used, own = server.cpu_seconds() - used, time.process_time() - own
    for transport, _ in connections:
        transport.close()
    latencies.sort()
    return {
        "requests_per_second": len(latencies) / elapsed,
        "cpu_us": used / len(latencies) * 1e6,
        "client_us": own / len(latencies) * 1e6,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[min(int(len(latencies) * 0.99), len(latencies) - 1)] * 1000,
    }


@contextmanager
def started(argv: list[str], env: dict[str, str], port: int, ready: str, path: str) -> Iterator[Server]:
    """A server process, from its first answer with 200 to its end."""
    root = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, *argv], env={**os.environ, **env, "PYTHONPATH": root}, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=2) as answer:
                    if answer.status == 200 and b"Loading" not in answer.read():
                        break
            except OSError:
                pass
            time.sleep(0.1)
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(argv)} ended with code {process.returncode}")
        yield Server(port, path, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_model(folder: Path) -> None:
    """A model of the reference's size: 69 features, depth 5, 100 rounds."""
    import numpy as np
    import xgboost as xgb

    rng = np.random.default_rng(7)
    features = rng.uniform(0, 100, (3000, FEATURES)).astype(np.float32)
    labels = (features[:, 0] + features[:, 1] + rng.normal(0, 30, 3000) > 130).astype(np.float32)
    params = {"max_depth": 5, "eta": 0.2, "objective": "binary:logistic", "seed": 7}
    booster = xgb.train(params, xgb.DMatrix(features, label=labels), 100)
    folder.mkdir(parents=True)
    (folder / "xgboost-model").write_bytes(booster.save_raw("ubj"))


def write_desired(data_dir: Path, model: Path, *, capture: bool) -> None:
    variant = {
        "name": "AllTraffic",
        "weight": 1.0,
        "model_dir": str(model),
        "image": "sagemaker-xgboost:3.2-0",
        "environment": {},
        "entry": None,
    }
    settings = {
        "percentage": 100,
        "destination": "s3://bench/capture",
        "modes": ["Input", "Output"],
        "csv_content_types": ["text/csv"],
        "json_content_types": ["application/json"],
    }
    endpoint = {
        "fleets": [{"id": "bench-1", "weight": 1.0, "variants": [variant]}],
        "capture": settings if capture else None,
    }
    folder = data_dir / "serving"
    folder.mkdir(parents=True)
    (folder / "endpoints.json").write_text(json.dumps({"version": 1, "endpoints": {NAME: endpoint}}))


def run(seconds: float, rounds: int) -> dict[str, dict[int, list[Figures]]]:
    """{server: {clients: the figures of each round}}"""
    taken: dict[str, dict[int, list[Figures]]] = {}
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_model(base / "model")
        port = free_port()
        env = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(port)}
        argv = ["-m", "local_aws.images.xgboost.serve"]
        servers = {"bare": stack.enter_context(started(argv, env, port, "/ping", "/invocations"))}
        port = free_port()
        argv = ["-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}"]
        argv.append("benchmarks.flask_model:app")
        servers["flask"] = stack.enter_context(started(argv, env, port, "/ping", "/invocations"))
        for name in ("endpoint", "capture"):
            write_desired(base / name, base / "model", capture=name == "capture")
            port = free_port()
            argv = ["-m", "local_aws.serving", "--port", str(port), "--data-dir", str(base / name)]
            argv += ["--capture-seconds", "3600"]  # there is no S3 to take a file
            path = f"/endpoints/{NAME}/invocations"
            servers[name] = stack.enter_context(started(argv, NOWHERE, port, "/-/status", path))
        for server in servers.values():
            asyncio.run(load(server, row_request(server.path), 8, min(seconds, 1)))  # warm
        for clients in CLIENTS:
            for _ in range(rounds):
                for name, server in servers.items():
                    figures = asyncio.run(load(server, row_request(server.path), clients, seconds))
                    taken.setdefault(name, {}).setdefault(clients, []).append(figures)
    return taken


def ratios(above: dict[int, list[Figures]], below: dict[int, list[Figures]]) -> list[float]:
    """Requests a second of one server by those of another, for each number of clients."""
    return [
        statistics.median(
            one["requests_per_second"] / other["requests_per_second"]
            for one, other in zip(above[clients], below[clients], strict=True)
        )
        for clients in CLIENTS
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    taken = run(options.seconds, options.rounds)
    results = {
        name: {
            str(clients): {key: statistics.median(one[key] for one in figures) for key in figures[0]}
            for clients, figures in by_clients.items()
        }
        for name, by_clients in taken.items()
    }
    print("server    clients  requests/s   p50 ms   p99 ms   cpu us   client's")
    for name, by_clients in results.items():
        for count, middle in by_clients.items():
            print(
                f"{name:10}{count:>7}{middle['requests_per_second']:12.0f}{middle['p50_ms']:9.2f}"
                f"{middle['p99_ms']:9.2f}{middle['cpu_us']:9.0f}{middle['client_us']:11.0f}"
            )
    missed = False
    for (name, against), target in TARGETS.items():
        reached = ratios(taken[name], taken[against])
        verdict = "met" if min(reached) >= target else "MISSED"
        missed = missed or min(reached) < target
        shown = " / ".join(f"{ratio:.2f}" for ratio in reached)
        clients = " / ".join(map(str, CLIENTS))
        print(f"{name} / {against} at {clients} clients: {shown}, target {target:g}: {verdict}")
    if options.json:
        options.json.write_text(json.dumps({"benchmark": "endpoint", "results": results}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
