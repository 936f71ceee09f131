"""Several hosts that train one model, by XGBoost's own collective.

As in SageMaker's image, a host without data drops out; of the others the first is the master, which alone
prints the metrics and saves the model. Channels that are FullyReplicated train on every row once a host.
The hosts are processes of one machine: they find the tracker by a file in the folder that holds their
folders, where AWS has host names and a fixed port.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xgboost import collective
from xgboost.tracker import RabitTracker

LOOK_SECONDS = 0.05
# How long one host waits for another within a step. A host that ended is noticed at once (images/hosts.py).
TIMEOUT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Cluster:
    """The hosts of a job in the order of their ranks, which of them this process is, and where they meet."""

    hosts: tuple[str, ...]
    current: str
    meeting_place: Path

    @property
    def is_master(self) -> bool:
        return self.current == self.hosts[0]

    @property
    def threads(self) -> int:
        """Processors for each host: all hosts share this machine's, and waiting threads would starve them."""
        return max(1, (os.cpu_count() or 1) // len(self.hosts))

    def among(self, has_data: bool) -> Cluster:
        """The cluster of those hosts that have data, perhaps none. Every host must ask."""
        mine = np.array([has_data and host == self.current for host in self.hosts], dtype=np.int8)
        with joined(self, "who-has-data"):
            having = collective.allreduce(mine, collective.Op.MAX)
        hosts = tuple(host for host, has in zip(self.hosts, having, strict=True) if has)
        return Cluster(hosts, self.current, self.meeting_place)


def of(base: Path) -> Cluster | None:
    """The cluster that `<base>/input/config/resourceconfig.json` describes; None when the host is alone."""
    path = base / "input" / "config" / "resourceconfig.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    hosts = tuple(config.get("hosts", ()))
    return Cluster(hosts, config["current_host"], base.parent) if len(hosts) > 1 else None


@contextmanager
def joined(cluster: Cluster, purpose: str) -> Iterator[None]:
    """Inside, the hosts are one collective, ranked in their order.

    An error leaves the collective as it is: to take leave of hosts that still compute would wait for them.
    The process must then end without a tear-down (`os._exit`), in which XGBoost would crash.
    """
    place = cluster.meeting_place / f"{purpose}.json"
    tracker = _tracker(len(cluster.hosts), place) if cluster.is_master else None
    while not place.exists():
        time.sleep(LOOK_SECONDS)
    rank = cluster.hosts.index(cluster.current)
    # Python would see a SIGTERM only after the wait for the other hosts, and one of them may have failed.
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    arguments = json.loads(place.read_text())
    collective.init(**arguments, dmlc_task_id=f"{rank:03d}", dmlc_timeout=TIMEOUT_SECONDS)
    signal.signal(signal.SIGTERM, handler)
    yield
    collective.finalize()
    if tracker is not None:
        tracker.wait_for()


def any_of_them(flag: bool) -> bool:
    """Whether any host of the collective says so; its own answer outside of one."""
    return bool(collective.allreduce(np.array([flag], dtype=np.int8), collective.Op.MAX)[0])


def _tracker(count: int, place: Path) -> RabitTracker:
    tracker = RabitTracker(n_workers=count, host_ip="127.0.0.1", sortby="task")
    tracker.start()
    half = place.with_suffix(".half")
    half.write_text(json.dumps(tracker.worker_args()))
    half.replace(place)
    return tracker
