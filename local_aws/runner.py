"""Run one job, outlive the server that asked for it, leave nothing behind.

Started as `python -I runner.py JOB_DIR`, in a session of its own, by `processes.Supervisor`. Standard library
only, so that it starts in a few milliseconds. It reads JOB_DIR/job.json and writes beside it:

    child.json {"group", "created"}: the job's process group, for the case that this runner is killed
    output     one record a line: milliseconds since the epoch, TAB, "o" or "e" (stdout, stderr), TAB, text
    exit.json  {"code", "reason", "last_line"}, written last and atomically

SIGTERM = stop: SIGTERM to the job's group, its grace period, SIGKILL. SIGINT = SIGKILL at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LONGEST_LINE = 250_000  # bytes; a CloudWatch Logs event holds 256 KiB
POLL_SECONDS = 0.25
DRAIN_SECONDS = 2.0


class Runner:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job: dict[str, Any] = json.loads((folder / "job.json").read_text())
        self.reason = "exited"
        self.kill_at: float | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.last = {"o": "", "e": ""}

    def run(self) -> None:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)  # daemonised grandchildren come back to us instead of to init
        signal.signal(signal.SIGTERM, lambda *_: self.stop("stopped"))
        signal.signal(signal.SIGINT, lambda *_: self.kill("stopped"))
        _be_nice(self.job.get("nice", 0))
        with (self.folder / "output").open("ab", buffering=0) as self.output:
            try:
                Path(self.job["cwd"]).mkdir(parents=True, exist_ok=True)
                self.child = subprocess.Popen(
                    self.job["argv"],
                    env=self.job["env"],
                    cwd=self.job["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    process_group=0,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has a single thread
                )
            except OSError as error:
                self.write("e", f"cannot start {self.job['argv'][0]}: {error.strerror or error}".encode())
                self.publish(127)
                return
            group = {"group": self.child.pid, "created": time.time()}
            (self.folder / "child.json").write_text(json.dumps(group))
            if self.kill_at is not None:  # stopped while it was being started, when there was no group yet
                self.kill_group(signal.SIGTERM)
            self.pump()
            code = self.child.wait()
            self.publish(code)

    def pump(self) -> None:
        """Copy both pipes to the output file until the job has ended and nothing of it is left."""
        assert self.child is not None
        assert self.child.stdout is not None
        assert self.child.stderr is not None
        selector = selectors.DefaultSelector()
        pending: dict[BinaryIO, bytes] = {}
        for pipe, name in ((self.child.stdout, "o"), (self.child.stderr, "e")):
            selector.register(pipe, selectors.EVENT_READ, name)
            pending[pipe] = b""  # type: ignore[index]
        timeout = self.job["timeout_seconds"]
        deadline = None if timeout is None else time.monotonic() + timeout
        server = self.job.get("dies_with")
        drain_until: float | None = None
        while selector.get_map():
            for key, _ in selector.select(POLL_SECONDS if drain_until is None else 0.02):
                chunk = os.read(key.fd, 1 << 16)
                text = pending[key.fileobj] + chunk  # type: ignore[index]
                *lines, rest = text.split(b"\n")
                if not chunk or len(rest) > LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    if line or chunk:
                        self.write(key.data, line)
                pending[key.fileobj] = rest  # type: ignore[index]
                if not chunk:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if deadline is not None and now > deadline and self.reason == "exited":
                self.stop("timed_out")
            if server is not None and os.getppid() != server and self.reason == "exited":
                self.stop("stopped")
            if self.kill_at is not None and now > self.kill_at:
                self.kill_group(signal.SIGKILL)
            if self.child.poll() is not None:
                _kill_descendants()  # what still runs would hold the pipes open, and must not outlive its job
                drain_until = drain_until or now + DRAIN_SECONDS
                if now > drain_until:
                    break
        self.child.wait()
        _kill_descendants()

    def write(self, name: str, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        if text.strip():
            self.last[name] = text
        record = f"{time.time_ns() // 1_000_000}\t{name}\t{text}\n".encode()
        # A full disk must not end the job; the lines that do not fit are lost.
        with contextlib.suppress(OSError):
            self.output.write(record)

    def stop(self, reason: str) -> None:
        self.reason = reason
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.job["grace_seconds"]
            self.kill_group(signal.SIGTERM)

    def kill(self, reason: str) -> None:
        if self.reason == "exited":
            self.reason = reason
        self.kill_at = time.monotonic()
        self.kill_group(signal.SIGKILL)

    def kill_group(self, number: int) -> None:
        if self.child is not None and self.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, number)

    def publish(self, code: int) -> None:
        last_line = (self.last["e"] or self.last["o"]).strip()
        temporary = self.folder / "exit.json.part"
        temporary.write_text(json.dumps({"code": code, "reason": self.reason, "last_line": last_line}))
        temporary.replace(self.folder / "exit.json")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _be_nice(increment: int) -> None:
    """Also as a session: where Linux groups processes by session, niceness counts within a group only, and
    every group gets an equal share."""
    os.nice(increment)
    if not increment:
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(increment))


def _die_with_parent() -> None:
    """If this runner is killed, the job goes too (Linux; elsewhere the supervisor kills the group)."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill_descendants() -> None:
    """SIGKILL every descendant, also those in groups and sessions of their own, until none is left."""
    while True:
        children = _children(os.getpid())
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children(parent: int) -> list[int]:
    """Direct children; those of a killed child come back here, because this process is the sub-reaper."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    Runner(Path(sys.argv[1])).run()
