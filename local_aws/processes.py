"""The one supervisor for everything that computes: start, watch, stop, adopt after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Reason = Literal["exited", "timed_out", "stopped", "lost"]


@dataclass(frozen=True)
class Job:
    """One process to run.

    id: unique, e.g. "training/NAME"; a finished job's id may be used again.
    env: what the job sees beside PATH, HOME, the AWS client variables and PYTHONUNBUFFERED; wins over those.
    cwd: made when missing.
    timeout_seconds: None = no limit. grace_seconds: between SIGTERM and SIGKILL.
    """

    id: str
    argv: list[str]
    env: dict[str, str]
    cwd: Path
    log_group: str
    log_stream: str
    timeout_seconds: float | None = None
    grace_seconds: float = 30


@dataclass(frozen=True)
class Exit:
    """How a job ended.

    code: exit status, negative signal number when killed by one, None when unknown (lost).
    reason: "exited" by itself, "timed_out" past its limit, "stopped" by stop() or by the server's own stop,
    "lost" when it vanished without a trace (machine restarted).
    last_line: last non-empty line it wrote to stderr, else to stdout, else "".
    """

    code: int | None
    reason: Reason
    last_line: str


@dataclass(frozen=True)
class Row:
    """A running job, for listings. cpu in percent of one core since it started; rss in bytes, whole group."""

    id: str
    pid: int
    cpu: float
    rss: int
    started: datetime
    log_group: str
    log_stream: str


OnExit = Callable[[Exit], None]
OnLine = Callable[[str], None]


class Supervisor:
    """Runs jobs under `runner.py`, which outlives a kill -9 of this server.

    Callbacks (on_exit, on_line) run on supervisor threads, never inside start/attach/stop; on_line sees each
    line as it is stored in the logs (TAB as `#011`), before on_exit.
    """

    def start(self, job: Job, on_exit: OnExit, on_line: OnLine | None = None) -> None:
        """Start a job. Raises ValueError when a job of this id is running."""
        raise NotImplementedError

    def attach(self, job_id: str, on_exit: OnExit, on_line: OnLine | None = None) -> None:
        """Take over a job of an earlier server: on_exit is called when it ends, at once when it has ended
        meanwhile, and with reason "lost" when it is neither alive nor finished nor known."""
        raise NotImplementedError

    def stop(self, job_id: str) -> None:
        """Ask a job to end (SIGTERM, grace, SIGKILL of its whole group); returns at once, on_exit follows.
        No error when it is not running."""
        raise NotImplementedError

    def is_running(self, job_id: str) -> bool:
        raise NotImplementedError

    def list(self) -> list[Row]:
        raise NotImplementedError

    def keep_alive(self, job: Job) -> None:
        """Run a long-lived process and start it again, with back-off, whenever it ends. A process of the same
        id left over from an earlier server is replaced."""
        raise NotImplementedError


__all__ = ["Exit", "Job", "OnExit", "OnLine", "Reason", "Row", "Supervisor"]
