"""Worker processes that execute queries: kept for the next query, killed to cancel one."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.services.athena.engine.errors import QueryError

_PROJECT = Path(__file__).parents[3]
# A worker is replaced after this many queries, so that nothing can pile up in it.
_QUERIES_A_WORKER = 500

Answer = Callable[[str, dict[str, Any]], Any]


class WorkerDied(RuntimeError):
    """The worker process ended in the middle of a query."""


class Worker:
    """One process; one query at a time."""

    def __init__(self) -> None:
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local_aws.services.athena.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_PROJECT,
            env={**environment, "TZ": "UTC"},
        )
        self.queries = 0

    def run(self, query: dict[str, Any], answer: Answer) -> dict[str, Any]:
        """Execute a query, answering what the engine asks; returns its `done` or `failed` message."""
        self.queries += 1
        self._send({"query": query})
        while True:
            message = self._receive()
            if "call" not in message:
                return message
            operation, arguments = message["call"]
            try:
                self._send({"answer": answer(operation, arguments)})
            except QueryError as error:
                self._send({"error": [error.name, error.message]})
            except Exception as error:  # noqa: BLE001 - the engine must hear of it, whatever it is
                self._send({"error": ["GENERIC_INTERNAL_ERROR", f"{operation}: {error}"]})

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerDied(f"the query engine ended with exit code {self._process.poll()}") from error

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise WorkerDied(f"the query engine ended with exit code {self._process.wait()}")
        message: dict[str, Any] = json.loads(line)
        return message


class Pool:
    """Idle workers; a new one is started when there is none."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def take(self) -> Worker:
        """A worker for one query."""
        with self._lock:
            return self._idle.pop() if self._idle else Worker()

    def give_back(self, worker: Worker) -> None:
        """Keep a worker for the next query."""
        if worker.queries >= _QUERIES_A_WORKER:
            worker.kill()
            return
        with self._lock:
            self._idle.append(worker)
