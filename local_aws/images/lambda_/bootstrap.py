"""`python -P bootstrap.py FOLDER`: one invocation of a Python function, in a process of its own.

The runtime is AWS's own runtime interface client (awslambdaric), so that handlers, contexts, logs, errors and
their stack traces are those of Lambda. Only its transport is ours: files of FOLDER instead of HTTP.

    invocation.json  what to run; read
    event            the payload; read
    payload          the response or the error; written
    outcome.json     {"kind", "init_ms", "duration_ms", "max_memory_mb"}, written last and atomically. kind is
                     response | error | init_error | timeout | memory

Run by path in the environment `functions`: the function must not see this project.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
WATCH_SECONDS = 0.05
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class Files:
    """What awslambdaric's bootstrap asks of a runtime client, over the files of one invocation."""

    def __init__(self, folder: Path, description: dict[str, Any], marshaller: Any) -> None:
        self.folder = folder
        self.description = description
        self.marshaller = marshaller
        self.invoked_at: float | None = None
        self.ready_at = STARTED
        self.written = threading.Lock()

    def wait_next_invocation(self) -> Any:
        """The invocation the first time; then the process ends, as nothing of a sandbox is used again."""
        if self.invoked_at is not None:
            self.end(0)
        from awslambdaric.lambda_runtime_client import InvocationRequest

        self.ready_at = self.invoked_at = time.monotonic()
        timeout = self.description["timeout_seconds"]
        watch = threading.Thread(target=self.watch, args=(self.invoked_at + timeout,), daemon=True)
        watch.start()
        return InvocationRequest(
            invoke_id=self.description["request_id"],
            x_amzn_trace_id=None,
            invoked_function_arn=self.description["arn"],
            deadline_time_in_ms=int((time.time() + timeout) * 1000),
            client_context=self.description["client_context"],
            cognito_identity=None,
            tenant_id=None,
            content_type="application/json",
            event_body=(self.folder / "event").read_bytes(),
            invocation_id=None,
        )

    def post_invocation_result(self, _id: str, result: Any, *_: Any) -> None:
        self.publish("response", result if isinstance(result, bytes) else result.encode())

    def post_invocation_error(self, _id: str, error: str, *_: Any) -> None:
        self.publish("error", error.encode())

    def post_init_error(self, error: dict[str, Any], *_: Any) -> None:
        self.ready_at = time.monotonic()
        self.publish("init_error", json.dumps(error).encode())
        self.end(1)

    def publish(self, kind: str, payload: bytes | None) -> None:
        """Write how it ended. What comes first counts: never released, so a later end is not written."""
        self.written.acquire()
        if payload is not None:
            (self.folder / "payload").write_bytes(payload)
        outcome = {
            "kind": kind,
            "init_ms": (self.ready_at - STARTED) * 1000,
            "duration_ms": (time.monotonic() - (self.invoked_at or self.ready_at)) * 1000,
            "max_memory_mb": peak_mb(),
        }
        temporary = self.folder / "outcome.part"
        temporary.write_text(json.dumps(outcome))
        temporary.replace(self.folder / "outcome.json")

    def watch(self, deadline: float) -> None:
        """End the process when its time is over or its memory exceeded: the runner then ends its children."""
        limit = self.description["memory_mb"]
        while (left := deadline - time.monotonic()) > 0 and peak_mb() <= limit:
            time.sleep(min(WATCH_SECONDS, left))
        if self.written.locked():
            return
        self.publish("timeout" if left <= 0 else "memory", None)
        os.kill(os.getpid(), signal.SIGKILL)

    def end(self, code: int) -> None:
        # Threads that the function left behind must not keep the process, as they do not keep a sandbox.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def peak_mb() -> int:
    """The most memory that this process has had, in MB."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES / 2**20) + 1


def main(folder: Path) -> None:
    description = json.loads((folder / "invocation.json").read_text())
    # Lambda's order: the code, the layers, then what the runtime brings.
    sys.path[:0] = [description["task_root"], *description["layer_paths"]]
    os.chdir(description["task_root"])
    if hasattr(time, "tzset"):
        time.tzset()  # TZ of the environment: UTC
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

    bootstrap.run(description["handler"], Files(folder, description, LambdaMarshaller()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
