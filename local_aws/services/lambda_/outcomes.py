"""How invocations end, and how Lambda words it."""

from __future__ import annotations

import contextlib
import json
import math
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.job import Exit

TAIL_BYTES = 4096


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended.

    function_error: "Unhandled" when the function failed, None when it returned. payload: the response, or the
    error as JSON. log_tail: the last 4 KB of its log. version: what was executed. lost: nothing is known of
    it, because its process vanished or local AWS was stopped; function_error is set then.
    """

    function_error: str | None
    payload: bytes
    log_tail: str
    version: str
    lost: bool = False

    def error_message(self) -> str:
        """errorMessage of the payload; the payload itself where it has none."""
        with contextlib.suppress(ValueError, AttributeError):
            return str(json.loads(self.payload).get("errorMessage", ""))
        return self.payload.decode(errors="replace")


OnOutcome = Callable[[Outcome], None]


@dataclass(frozen=True)
class Description:
    """What one invocation is, as it is written to its folder: for the runtime, and for a server that starts
    after this one was killed. arn: as it was invoked."""

    request_id: str
    arn: str
    function_arn: str
    function_name: str
    version: str
    handler: str
    task_root: str
    layer_paths: list[str]
    timeout_seconds: int
    memory_mb: int
    log_group: str
    log_stream: str
    client_context: Any = None


def failure(call: Description, kind: str, end: Exit) -> tuple[str, str, str]:
    """(error type, message, status of the report) of a function that ended without an answer."""
    if kind == "timeout" or end.reason == "timed_out":
        message = f"Task timed out after {call.timeout_seconds:.2f} seconds"
        return "Sandbox.Timedout", message, "timeout"
    if kind == "memory":
        how = "signal: killed"
    elif end.code is not None and end.code < 0:
        how = f"signal: {signal.strsignal(-end.code) or -end.code}".lower()
    else:
        how = f"exit status {end.code}" if end.code else ""
    error_type = "Runtime.OutOfMemory" if kind == "memory" else "Runtime.ExitError"
    message = f"Runtime exited with error: {how}" if how else "Runtime exited without providing a reason"
    return error_type, message, f"error\tError Type: {error_type}"


def report(call: Description, written: dict[str, Any], status: str) -> str:
    """Lambda's last line of an invocation. status: of `failure`, "" for an answer."""
    duration, init = written["duration_ms"], written["init_ms"]
    memory = min(written["max_memory_mb"], call.memory_mb)
    fields = [
        f"REPORT RequestId: {call.request_id}",
        f"Duration: {duration:.2f} ms",
        f"Billed Duration: {math.ceil(duration + init)} ms",
        f"Memory Size: {call.memory_mb} MB",
        f"Max Memory Used: {memory} MB",
        f"Init Duration: {init:.2f} ms",
    ]
    return "\t".join([*fields, *([f"Status: {status}"] if status else [])]) + "\t"


def read(folder: Path) -> dict[str, Any]:
    """What the runtime wrote of its end; kind "" when it could not."""
    try:
        found: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
    except (OSError, ValueError):
        return {"kind": "", "init_ms": 0.0, "duration_ms": 0.0, "max_memory_mb": 0}
    return found


def last_bytes(lines: Iterable[str]) -> str:
    """What LogType=Tail gives."""
    return "".join(f"{line}\n" for line in lines).encode()[-TAIL_BYTES:].decode(errors="ignore")


def lost(version: str, why: str) -> Outcome:
    """An end of which nothing is known."""
    message = json.dumps({"errorType": "ServiceException", "errorMessage": f"The invocation was lost: {why}"})
    return Outcome("Unhandled", message.encode(), "", version, lost=True)
