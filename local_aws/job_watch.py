"""Following one job: its output to the logs, its end to whoever waits for it; also after a restart."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psutil

from local_aws.job import Exit, OnLine, Row

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


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


class Watch:
    """Follows one job's folder until the job has ended."""

    thread: threading.Thread

    def __init__(self, job_id: str, folder: Path, logs: JobLogs, on_line: OnLine | None) -> None:
        self.job_id = job_id
        self.folder = folder
        self.logs = logs
        self.on_line = on_line
        self.ended = threading.Event()
        self.runner = runner_process(folder)
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
                    verbatim = self.job.get("verbatim", False)
                    events = [_event(record, verbatim) for record in complete.decode().split("\n") if record]
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


def _event(record: str, verbatim: bool) -> tuple[int, str]:
    milliseconds, _, text = record.split("\t", 2)
    if verbatim:
        return int(milliseconds), text.replace("\r", "\n")
    # CloudWatch Logs shows a TAB as #011, and the metric regexes of SageMaker's containers rely on it.
    return int(milliseconds), text.replace("\t", "#011")


def runner_process(folder: Path) -> psutil.Process | None:
    """The living runner of a job folder; None when it is gone (or its process id now belongs to another)."""
    known = _read_json(folder / "runner.json")
    if known is None:
        return None
    try:
        process = psutil.Process(known["pid"])
        return process if abs(process.create_time() - known["created"]) < 1 else None
    except psutil.Error:
        return None


def end_runner(runner: psutil.Process, seconds: float) -> None:
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


def write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content


def discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
