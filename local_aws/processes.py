"""The one supervisor for everything that computes: start, watch, stop, adopt after a restart.

A job is a process under `runner.py`, which survives a kill -9 of this server; one folder a job holds its
description, its output and, in the end, how it ended. A thread a job follows that folder: output lines go to
CloudWatch Logs (with the position reached stored in the same transaction, so that a restart neither loses nor
doubles a line), the end goes to the service's callback.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from local_aws.job import Ended, Exit, Job, OnExit, OnLine, Reason, Row
from local_aws.job_watch import JobLogs, Watch, discard, end_runner, runner_process, write_json

__all__ = ["Ended", "Exit", "Job", "OnExit", "OnLine", "Reason", "Row", "Supervisor"]

log = logging.getLogger(__name__)

JOB_NICENESS = 5  # jobs may use every core; the API comes first
SHUTDOWN_GRACE_SECONDS = 5.0
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_SECONDS = 30.0
ENDS_KEPT = 50


class Supervisor:
    """Runs jobs under `runner.py`, which outlives a kill -9 of this server.

    Callbacks (on_exit, on_line) run on supervisor threads, never inside start/attach/stop; on_line sees each
    line as it is stored in the logs (TAB as `#011`), before on_exit. A job's record is removed after its
    on_exit has returned, so a server killed in between hears of the same end again when it attaches.
    """

    def __init__(self, folder: Path, logs: JobLogs, environment: dict[str, str]) -> None:
        """folder: one folder a job is kept here. environment: what every job sees (AWS client variables)."""
        self._folder = folder
        self._logs = logs
        self._environment = environment
        self._watches: dict[str, Watch] = {}
        self._ended: deque[Ended] = deque(maxlen=ENDS_KEPT)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, job: Job, on_exit: OnExit, on_line: OnLine | None = None) -> None:
        """Start a job. Raises ValueError when a job of this id is running."""
        self._start(job, on_exit, on_line)

    def attach(self, job_id: str, on_exit: OnExit, on_line: OnLine | None = None) -> None:
        """Take over a job of an earlier server: on_exit is called when it ends, at once when it has ended
        meanwhile, and with reason "lost" when it is neither alive nor finished nor known."""
        with self._lock:
            if job_id in self._watches:
                raise ValueError(f"job {job_id} is already attached")
            self._watch(job_id, on_exit, on_line)

    def stop(self, job_id: str) -> None:
        """Ask a job to end (SIGTERM, grace, SIGKILL of its whole group); returns at once, on_exit follows.
        No error when it is not running."""
        watch = self._watches.get(job_id)
        if watch is not None:
            watch.signal(signal.SIGTERM)

    def is_running(self, job_id: str) -> bool:
        return job_id in self._watches

    def list(self) -> list[Row]:
        with self._lock:
            watches = list(self._watches.values())
        return [row for watch in watches if (row := watch.row()) is not None]

    def ended(self) -> Sequence[Ended]:
        """The latest ends that this server has seen, the last one first."""
        return tuple(self._ended)[::-1]

    def keep_alive(self, job: Job) -> None:
        """Run a long-lived process and start it again, with back-off, whenever it ends.

        It ends with the server, even when that is killed; one of the same id that an earlier server left
        behind is replaced. It runs at the server's own priority.
        """
        leftover = self._job_folder(job.id)
        if leftover.exists():
            runner = runner_process(leftover)
            if runner is not None:
                end_runner(runner, SHUTDOWN_GRACE_SECONDS)
            discard(leftover)
        self._keep_alive(job, failures=0)

    def shutdown(self) -> None:
        """Orderly stop: every job is stopped and its on_exit has run when this returns."""
        self._closing.set()
        with self._lock:
            watches = list(self._watches.values())
        for watch in watches:
            watch.signal(signal.SIGTERM)
        deadline = time.monotonic() + SHUTDOWN_GRACE_SECONDS
        for watch in watches:
            watch.ended.wait(max(0.0, deadline - time.monotonic()))
            if not watch.ended.is_set():
                watch.signal(signal.SIGINT)
        for watch in watches:
            watch.thread.join(timeout=2 * SHUTDOWN_GRACE_SECONDS)

    def _keep_alive(self, job: Job, failures: int) -> None:
        began = time.monotonic()

        def again(end: Exit) -> None:
            lived = time.monotonic() - began
            count = 0 if lived > STABLE_SECONDS else failures
            pause = BACK_OFF_SECONDS[min(count, len(BACK_OFF_SECONDS) - 1)]
            if not self._closing.is_set():
                log.warning(
                    "%s ended (%s), starting it again in %s s: %s", job.id, end.code, pause, end.last_line
                )
            if not self._closing.wait(pause):
                # The watch that calls this still holds the id; it lets go before the next one is started.
                self._forget(job.id)
                self._keep_alive(job, count + 1)

        self._start(job, again, None, service=True)

    def _start(self, job: Job, on_exit: OnExit, on_line: OnLine | None, service: bool = False) -> None:
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError(f"cannot start {job.id}: local AWS is stopping")
            if job.id in self._watches:
                raise ValueError(f"job {job.id} is already running")
            folder = self._job_folder(job.id)
            if folder.exists():
                discard(folder)
            folder.mkdir(parents=True)
            self._logs.forget_position(folder.name)
            write_json(folder / "job.json", self._description(job, service))
            # The new session keeps the terminal's Ctrl-C away from the job: the server stops it in order.
            process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).with_name("runner.py")), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(folder / "runner.log").open("wb"),
                start_new_session=True,
            )
            created = psutil.Process(process.pid).create_time()
            write_json(folder / "runner.json", {"pid": process.pid, "created": created})
            self._watch(job.id, on_exit, on_line)

    def _description(self, job: Job, service: bool) -> dict[str, Any]:
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        always = {"PYTHONUNBUFFERED": "1", "AWS_EC2_METADATA_DISABLED": "true"}
        return asdict(job) | {
            "cwd": str(job.cwd),
            "env": base | always | self._environment | job.env,
            "nice": 0 if service else JOB_NICENESS,
            "dies_with": os.getpid() if service else None,
        }

    def _watch(self, job_id: str, on_exit: OnExit, on_line: OnLine | None) -> None:
        watch = Watch(job_id, self._job_folder(job_id), self._logs, on_line)
        self._watches[job_id] = watch

        def follow() -> None:
            end = watch.follow()
            where = (watch.job.get("log_group", ""), watch.job.get("log_stream", ""))
            self._ended.append(Ended(job_id, end, datetime.now(UTC), *where))
            try:
                on_exit(end)
            except Exception:
                log.exception("the end of %s (%s) could not be recorded", job_id, end)
            if self._watches.get(job_id) is watch:
                self._forget(job_id)

        watch.thread = threading.Thread(target=follow, name=f"job {job_id}", daemon=True)
        watch.thread.start()

    def _forget(self, job_id: str) -> None:
        with self._lock:
            folder = self._job_folder(job_id)
            discard(folder)
            self._logs.forget_position(folder.name)
            self._watches.pop(job_id, None)

    def _job_folder(self, job_id: str) -> Path:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", job_id)[:80]
        return self._folder / f"{readable}-{sha256(job_id.encode()).hexdigest()[:12]}"
