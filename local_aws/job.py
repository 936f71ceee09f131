"""What a job is, how it can end, and how it is listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Reason = Literal["exited", "timed_out", "stopped", "lost"]
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One process to run.

    id: unique, e.g. "training/NAME"; a finished job's id may be used again.
    env: what the job sees beside PATH, HOME, the AWS client variables and PYTHONUNBUFFERED; wins over those.
    cwd: made when missing.
    timeout_seconds: None = no limit. grace_seconds: between SIGTERM and SIGKILL.
    verbatim: log lines keep their TABs (else `#011`, as the agents of SageMaker and Glue write them), and a
    CR within a line ends a line of one and the same log event, as Lambda's runtime writes stack traces.
    """

    id: str
    argv: list[str]
    env: dict[str, str]
    cwd: Path
    log_group: str
    log_stream: str
    timeout_seconds: float | None = None
    grace_seconds: float = 30
    verbatim: bool = False


@dataclass(frozen=True)
class Exit:
    """How a job ended.

    code: exit status, negative signal number when killed by one, None when unknown (lost).
    reason: "exited" by itself, "timed_out" past its limit, "stopped" by stop() or because the server was
    stopped in an orderly way, "lost" when it vanished without a trace (machine restarted, runner killed).
    last_line: last non-empty line it wrote to stderr, else to stdout, else "".
    """

    code: int | None
    reason: Reason
    last_line: str


OnExit = Callable[[Exit], None]


@dataclass(frozen=True)
class Row:
    """A running job, for listings. cpu in percent of one core since it started; rss in bytes, whole tree."""

    id: str
    pid: int
    cpu: float
    rss: int
    started: datetime
    log_group: str
    log_stream: str


@dataclass(frozen=True)
class Ended:
    """A job that has ended, for listings. at: timezone-aware."""

    id: str
    exit: Exit
    at: datetime
    log_group: str
    log_stream: str
