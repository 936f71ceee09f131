"""Nothing that a server started is left behind by an orderly stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil


def family(server: int) -> list[psutil.Process]:
    """Every process below the server, once the data plane runs under its runner."""
    deadline = time.monotonic() + 20
    while len(found := psutil.Process(server).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_stop_leaves_no_process(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    processes = [psutil.Process(aws.process.pid), *family(aws.process.pid)]
    aws.stop()
    assert psutil.wait_procs(processes, timeout=10)[1] == []


def test_a_killed_server_takes_its_data_plane_along(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    processes = family(aws.process.pid)
    aws.kill()
    assert psutil.wait_procs(processes, timeout=10)[1] == []
