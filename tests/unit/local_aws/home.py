"""A supervisor with a store for its logs, for tests; as a program: one that is killed once its job prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from local_aws.processes import Exit, Job, Supervisor
from local_aws.state import Database
from local_aws.state.log_events import SCHEMA, LogEvents

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0
GROUP = "/aws/sagemaker/TrainingJobs"


class Ending:
    """An on_exit that a test can wait for."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._end: Exit | None = None

    def __call__(self, end: Exit) -> None:
        self._end = end
        self._event.set()

    def wait(self) -> Exit:
        assert self._event.wait(PATIENCE), "the job did not end"
        assert self._end is not None
        return self._end


class Home:
    """A supervisor and its logs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LogEvents(Database(folder / "logs.sqlite", SCHEMA))
        self.supervisor = Supervisor(folder / "jobs", self.store, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})

    def job(self, code: str, job_id: str = "training/one", **options: Any) -> Job:
        defaults: dict[str, Any] = {
            "id": job_id,
            "argv": [sys.executable, "-c", code],
            "env": {},
            "cwd": self.folder / "work",
            "log_group": GROUP,
            "log_stream": job_id + "/algo-1",
        }
        return Job(**(defaults | options))

    def lines(self, job_id: str = "training/one") -> list[str]:
        stream = self.store.stream(GROUP, job_id + "/algo-1")
        return [event.message for event in self.store.read([stream])] if stream else []


def left_by_a_killed_server(
    home: Home, code: str, job_id: str = "training/one", method: str = "start"
) -> int:
    """Start a job from another process, which is killed as soon as the job has printed; the first line."""
    command = [sys.executable, "-m", "tests.unit.local_aws.home", str(home.folder), code, job_id, method]
    subprocess.run(command, cwd=ROOT, timeout=PATIENCE, check=False)
    return int(home.lines(job_id)[0])


def main() -> None:
    folder, code, job_id, method = sys.argv[1:]
    home = Home(Path(folder))
    if method == "start":
        home.supervisor.start(home.job(code, job_id), print)
    else:
        home.supervisor.keep_alive(home.job(code, job_id))
    while not home.lines(job_id):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
