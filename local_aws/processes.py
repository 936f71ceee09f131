"""The one supervisor for everything that computes: start, watch, stop, adopt after a restart.

A job is a process under `runner.py`, which survives a kill -9 of this server; one folder a job holds its
description, its output and, in the end, how it ended. A thread a job follows that folder: output lines go to
CloudWatch Logs (with the position reached stored in the same transaction, so that a restart neither loses nor
doubles a line), the end goes to the service's callback.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol

import psutil

Reason = Literal["exited", "timed_out", "stopped", "lost"]
OnLine = Callable[[str], None]

log = logging.getLogger(__name__)

JOB_NICENESS = 5  # jobs may use every core; the API comes first
POLL_SECONDS = 0.2
SHUTDOWN_GRACE_SECONDS = 5.0
BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STABLE_SECONDS = 30.0


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


class JobLogs(Protocol):
    """Where output goes: a log store that remembers, with the lines, how far a source was read."""

    def append(
        self,
        group: str,
        stream: str,
        lines: Iterable[tuple[int, str]],
        position: tuple[str, int] | None = None,
        /,
    ) -> object: ...

    def position(self, source: str) -> int: ...

    def forget_position(self, source: str) -> None: ...


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
        self._watches: dict[str, _Watch] = {}
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

    def keep_alive(self, job: Job) -> None:
        """Run a long-lived process and start it again, with back-off, whenever it ends.

        It ends with the server, even when that is killed; one of the same id that an earlier server left
        behind is replaced. It runs at the server's own priority.
        """
        leftover = self._job_folder(job.id)
        if leftover.exists():
            runner = _runner_process(leftover)
            if runner is not None:
                _end_runner(runner, SHUTDOWN_GRACE_SECONDS)
            _discard(leftover)
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
                _discard(folder)
            folder.mkdir(parents=True)
            self._logs.forget_position(folder.name)
            _write_json(folder / "job.json", self._description(job, service))
            # The new session keeps the terminal's Ctrl-C away from the job: the server stops it in order.
            process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).with_name("runner.py")), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(folder / "runner.log").open("wb"),
                start_new_session=True,
            )
            created = psutil.Process(process.pid).create_time()
            _write_json(folder / "runner.json", {"pid": process.pid, "created": created})
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
        watch = _Watch(job_id, self._job_folder(job_id), self._logs, on_line)
        self._watches[job_id] = watch

        def follow() -> None:
            end = watch.follow()
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
            _discard(folder)
            self._logs.forget_position(folder.name)
            self._watches.pop(job_id, None)

    def _job_folder(self, job_id: str) -> Path:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", job_id)[:80]
        return self._folder / f"{readable}-{sha256(job_id.encode()).hexdigest()[:12]}"


class _Watch:
    """Follows one job's folder until the job has ended."""

    thread: threading.Thread

    def __init__(self, job_id: str, folder: Path, logs: JobLogs, on_line: OnLine | None) -> None:
        self.job_id = job_id
        self.folder = folder
        self.logs = logs
        self.on_line = on_line
        self.ended = threading.Event()
        self.runner = _runner_process(folder)
        self.job: dict[str, Any] = _read_json(folder / "job.json") or {}

    def follow(self) -> Exit:
        try:
            while self.runner is not None:
                try:
                    # Returns as soon as the runner has ended; also reaps it when it is our own child.
                    self.runner.wait(timeout=POLL_SECONDS)
                    break
                except psutil.TimeoutExpired:
                    self._pump()
                except psutil.NoSuchProcess:
                    break
            self._pump()
            return self._end()
        finally:
            self.ended.set()

    def signal(self, number: int) -> None:
        # The file tells a runner that was killed by the signal, before it could handle it, from a lost one.
        with contextlib.suppress(OSError):
            (self.folder / "stop").touch()
        if self.runner is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.runner.send_signal(number)

    def row(self) -> Row | None:
        if self.runner is None:
            return None
        try:
            tree = [self.runner, *self.runner.children(recursive=True)]
            started = self.runner.create_time()
        except psutil.NoSuchProcess:
            return None
        seconds = rss = 0.0
        for process in tree:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                rss += process.memory_info().rss
        age = max(time.time() - started, 0.001)
        return Row(
            id=self.job_id,
            pid=self.runner.pid,
            cpu=round(100 * seconds / age, 1),
            rss=int(rss),
            started=datetime.fromtimestamp(started, UTC),
            log_group=self.job.get("log_group", ""),
            log_stream=self.job.get("log_stream", ""),
        )

    def _end(self) -> Exit:
        end = _read_json(self.folder / "exit.json")
        if end is not None:
            return Exit(end["code"], end["reason"], end["last_line"])
        _end_orphans(self.folder)
        return Exit(None, "stopped" if (self.folder / "stop").exists() else "lost", self._last_line())

    def _last_line(self) -> str:
        """From the output itself, for a runner that could not say."""
        with contextlib.suppress(OSError), (self.folder / "output").open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - (1 << 16)))
            texts = [
                record.split("\t", 2)[-1] for record in output.read().decode(errors="replace").split("\n")
            ]
            return next((text for text in reversed(texts) if text.strip()), "")
        return ""

    def _pump(self) -> None:
        """Store the complete lines written since the last time."""
        try:
            self._pump_lines()
        except Exception:
            # Nothing was stored, so nothing is lost: the next round reads the same lines again.
            log.exception("output of %s could not be stored", self.job_id)

    def _pump_lines(self) -> None:
        source = self.folder.name
        try:
            with (self.folder / "output").open("rb") as output:
                while True:
                    start = self.logs.position(source)
                    output.seek(start)
                    chunk = output.read(1 << 20)
                    complete = chunk[: chunk.rfind(b"\n") + 1]
                    if not complete:
                        return
                    events = [_event(record) for record in complete.decode().split("\n") if record]
                    self.logs.append(
                        self.job["log_group"], self.job["log_stream"], events, (source, start + len(complete))
                    )
                    for _, line in events if self.on_line else ():
                        self._tell(line)
        except FileNotFoundError:
            return

    def _tell(self, line: str) -> None:
        assert self.on_line is not None
        try:
            self.on_line(line)
        except Exception:
            log.exception("on_line of %s failed on %r", self.job_id, line)


def _event(record: str) -> tuple[int, str]:
    milliseconds, _, text = record.split("\t", 2)
    # CloudWatch Logs shows a TAB as #011, and the metric regexes of SageMaker's containers rely on it.
    return int(milliseconds), text.replace("\t", "#011")


def _runner_process(folder: Path) -> psutil.Process | None:
    """The living runner of a job folder; None when it is gone (or its process id now belongs to another)."""
    known = _read_json(folder / "runner.json")
    if known is None:
        return None
    try:
        process = psutil.Process(known["pid"])
        return process if abs(process.create_time() - known["created"]) < 1 else None
    except psutil.Error:
        return None


def _end_runner(runner: psutil.Process, seconds: float) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(psutil.Error):
            runner.send_signal(number)
            runner.wait(timeout=seconds)


def _end_orphans(folder: Path) -> None:
    """Kill what a killed runner has left of its job: the process group of its child."""
    known = _read_json(folder / "child.json")
    if known is None:
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == known["group"] and process.create_time() >= known["created"] - 1:
                process.kill()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
