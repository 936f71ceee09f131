"""One batch transform job: start the model server, send it every object, keep what it answers.

    python -m local_aws.images.batch.driver <base>

<base> holds plan.json (written by the control plane), input/, model/ and output/. An object's answers become
output/<same path>.out, whole or not at all; a failed object does not keep the others from being tried. Exit
status 1 when any object failed; the first failure's reason is in <base>/failure and on the last line of the
log.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.images.batch.filters import FilterError, Records, parse

READY_SECONDS = 240
DEFAULT_PAYLOAD_MB = 6


class TransformError(Exception):
    """One object, or the whole job, cannot be transformed. The message says which and why."""


@dataclass(frozen=True)
class Batch:
    """Some records of one object, and the request's body made of them."""

    records: list[bytes]
    body: bytes


def main(base: Path) -> int:
    plan = json.loads((base / "plan.json").read_text())
    port = _free_port()
    environment = {**os.environ, **plan["server"]["env"], "SAGEMAKER_BIND_TO_PORT": str(port)}
    server = subprocess.Popen(plan["server"]["argv"], env=environment, cwd=base)
    failures: list[str] = []
    try:
        _wait_ready(server, port)
        transform = Transform(plan, port, base / "part")
        for path in sorted(p for p in (base / "input").rglob("*") if p.is_file()):
            name = str(path.relative_to(base / "input"))
            try:
                transform.run(path, base / "output" / f"{name}.out")
            except (TransformError, FilterError) as error:
                failures.append(f"{name}: {error}")
                print(failures[-1], flush=True)
    except (TransformError, FilterError) as error:
        failures.append(str(error))
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
    if failures:
        (base / "failure").write_text(failures[0])
        print(f"{len(failures)} failed, the first: {failures[0]}", flush=True)
        return 1
    return 0


class Transform:
    """Objects to requests and answers to files, as the job's plan says. Order of records is kept."""

    def __init__(self, plan: dict[str, Any], port: int, work: Path) -> None:
        """work: a file outside the output folder, so that an interrupted job publishes no half object."""
        self.plan, self.port, self.work = plan, port, work
        offered = _execution_parameters(port)
        strategy = plan["strategy"] or {"SINGLE_RECORD": "SingleRecord"}.get(offered.get("BatchStrategy", ""))
        self.single = strategy == "SingleRecord"
        megabytes = plan["max_payload_mb"] or offered.get("MaxPayloadInMB") or DEFAULT_PAYLOAD_MB
        self.limit = int(megabytes * 1024 * 1024)
        self.concurrent = max(1, int(plan["concurrent"] or offered.get("MaxConcurrentTransforms") or 1))
        processing = plan["data_processing"]
        self.joins = processing.get("JoinSource") == "Input"
        self.input_filter = parse(processing.get("InputFilter") or "$")
        self.output_filter = parse(processing.get("OutputFilter") or "$")
        filters = (processing.get("InputFilter") or "$", processing.get("OutputFilter") or "$")
        self.by_record = self.joins or filters != ("$", "$")
        if self.by_record:
            self.given = Records(plan["content_type"])
            self.answered = Records(plan["accept"] or plan["content_type"])

    def run(self, source: Path, destination: Path) -> None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with self.work.open("wb") as target, ThreadPoolExecutor(self.concurrent) as pool:
            for answer in self._answers(pool, self._batches(source)):
                target.write(answer)
                if self.plan["assemble"] == "Line" and not answer.endswith(b"\n"):
                    target.write(b"\n")
        self.work.replace(destination)

    def _answers(self, pool: ThreadPoolExecutor, batches: Iterator[Batch]) -> Iterator[bytes]:
        """At most `concurrent` requests are under way, and no more than that many bodies in memory."""
        running: deque[Future[bytes]] = deque()
        for batch in batches:
            if len(running) == self.concurrent:
                yield running.popleft().result()
            running.append(pool.submit(self._answer, batch))
        while running:
            yield running.popleft().result()

    def _answer(self, batch: Batch) -> bytes:
        answer = self._send(batch.body)
        if not self.by_record:
            return answer
        answers = self.answered.split(answer)
        if len(answers) != len(batch.records):
            raise TransformError(
                f"the model answered {len(answers)} records to {len(batch.records)}, "
                "so they cannot be joined or filtered"
            )
        return b"\n".join(self._process(*pair) for pair in zip(batch.records, answers, strict=True))

    def _process(self, record: bytes, answer: bytes) -> bytes:
        value = self.answered.decode(answer)
        if self.joins:
            value = self.given.join(self.given.decode(record), value)
        return self.answered.encode(self.output_filter(value))

    def _batches(self, source: Path) -> Iterator[Batch]:
        if self.plan["split"] == "None":
            yield self._batch([source.read_bytes()])
            return
        records: list[bytes] = []
        size = 0
        with source.open("rb") as lines:
            for line in lines:
                record = line.rstrip(b"\r\n")
                if not record.strip():
                    continue
                if records and (self.single or size + len(record) + 1 > self.limit):
                    yield self._batch(records)
                    records, size = [], 0
                records.append(record)
                size += len(record) + 1
        if records:
            yield self._batch(records)

    def _batch(self, records: list[bytes]) -> Batch:
        sent = [self._filtered(record) for record in records] if self.by_record else records
        body = b"\n".join(sent)
        if len(body) > self.limit:
            raise TransformError(
                f"a record of {len(body)} bytes is larger than MaxPayloadInMB ({self.limit} bytes)"
            )
        return Batch(records, body)

    def _filtered(self, record: bytes) -> bytes:
        return self.given.encode(self.input_filter(self.given.decode(record)))

    def _send(self, body: bytes) -> bytes:
        headers = {"Content-Type": self.plan["content_type"] or "application/octet-stream"}
        if self.plan["accept"]:
            headers["Accept"] = self.plan["accept"]
        for attempt in range(self.plan["retries"] + 1):
            try:
                status, answer = _request(
                    self.port, "POST", "/invocations", body, headers, self.plan["timeout_seconds"]
                )
            except (OSError, http.client.HTTPException) as error:
                status, answer = 503, f"the model server did not answer: {error!r}".encode()
            if status < 300:
                return answer
            if status < 500 or attempt == self.plan["retries"]:
                break
        raise TransformError(f"the model answered {status}: {answer[:300].decode(errors='replace').strip()}")


def _wait_ready(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise TransformError(
                f"The model server ended with status {server.returncode} before it answered /ping."
            )
        try:
            if _request(port, "GET", "/ping", b"", {}, 2)[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise TransformError(f"The model server did not answer /ping with 200 within {READY_SECONDS} s.")


def _execution_parameters(port: int) -> dict[str, Any]:
    """What the server would like. A server need not have the route."""
    try:
        status, body = _request(port, "GET", "/execution-parameters", b"", {}, 10)
        offered = json.loads(body) if status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return offered if isinstance(offered, dict) else {}


def _request(
    port: int, method: str, path: str, body: bytes, headers: dict[str, str], timeout: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
