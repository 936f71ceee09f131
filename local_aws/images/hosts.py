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
    failed = failed and _first_to_fail(hosts, running)
    _stop(list(running.values()))
    failed = failed or next((name for name, process in running.items() if process.returncode), None)
    for host in reversed(hosts):
        for part in SHARED:
            shutil.copytree(Path(host["base"]) / part, base / part, dirs_exist_ok=True, symlinks=True)
    if failed is None:
        return 0
    code = running[failed].returncode
    reason = _failure_file(next(host for host in hosts if host["host"] == failed))
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    if code > 0 and reason.is_file():
        (base / "output" / "failure").write_text(f"{failed}: {reason.read_text(errors='replace')}")
    elif code < 0:
        (base / "output" / "failure").write_text(f"{failed} {how}")
    print(f"{failed} {how}", file=sys.stderr, flush=True)
    return code if code > 0 else 1


def _first_to_fail(hosts: list[dict[str, Any]], running: dict[str, subprocess.Popen[bytes]]) -> str:
    """The host whose failure explains the others', which may have ended meanwhile for want of it."""
    codes = {name: process.poll() for name, process in running.items()}
    killed = [name for name, code in codes.items() if code is not None and code < 0]
    wrote = {host["host"]: _failure_file(host) for host in hosts if _failure_file(host).is_file()}
    told = sorted(wrote, key=lambda name: wrote[name].stat().st_mtime_ns)
    return [*killed, *told, *(name for name, code in codes.items() if code)][0]


def _failure_file(host: dict[str, Any]) -> Path:
    return Path(host["base"]) / "output" / "failure"


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
