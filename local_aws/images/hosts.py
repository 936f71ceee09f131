"""`python -m local_aws.images.hosts BASE`: a training job of several instances, each a process of its own.

BASE/hosts.json is `[{"host": "algo-1", "argv": [...], "env": {...}, "base": "BASE/hosts/algo-1"}, ...]`,
written by the control plane; each base plays /opt/ml for its host. The hosts share this machine: what a
script on AWS reaches by the name `algo-2` is 127.0.0.1 here, and the name does not resolve. When one host
fails the others are stopped. What the hosts wrote becomes one model and one output, as on AWS; of files of
one name that of the first host counts. All hosts write to the log stream of the first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.1
GRACE_SECONDS = 30.0
SHARED = ("model", "output/data")


def main(base: Path) -> int:
    hosts: list[dict[str, Any]] = json.loads((base / "hosts.json").read_text())
    # The whole process group is asked to end; this process stays to gather what the hosts have written.
    signal.signal(signal.SIGTERM, lambda *_: None)
    running = {
        host["host"]: subprocess.Popen(host["argv"], env={**os.environ, **host["env"]}, cwd=host["base"])
        for host in hosts
    }
    failed = None
    while failed is None and any(process.poll() is None for process in running.values()):
        time.sleep(LOOK_SECONDS)
        failed = next((name for name, process in running.items() if process.poll()), None)
    _stop(list(running.values()))
    failed = failed or next((name for name, process in running.items() if process.returncode), None)
    for host in reversed(hosts):
        for part in SHARED:
            shutil.copytree(Path(host["base"]) / part, base / part, dirs_exist_ok=True, symlinks=True)
    if failed is None:
        return 0
    reason = Path(next(host["base"] for host in hosts if host["host"] == failed)) / "output" / "failure"
    if reason.is_file():
        (base / "output" / "failure").write_text(f"{failed}: {reason.read_text(errors='replace')}")
    print(f"{failed} ended with code {running[failed].returncode}", file=sys.stderr, flush=True)
    return running[failed].returncode if running[failed].returncode > 0 else 1


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End what still runs, because another host has failed."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
