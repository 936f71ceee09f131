"""Ports: whether one is free, and who has it."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Mapping

import psutil

from workbench.settings import WorkbenchError

TESTED = range(20_000, 32_000)


def require_free(ports: Mapping[str, int]) -> None:
    """Raise WorkbenchError that names every taken port, its setting, and who holds it."""
    taken = [(name, port) for name, port in ports.items() if not is_free(port)]
    if taken:
        lines = [f"{name}: port {port} is taken{_by_whom(port)}" for name, port in taken]
        example = " ".join(f"{name}={port + (10000 if port < 50000 else -10000)}" for name, port in taken)
        advice = f"Stop the other program, or choose another port: make up {example}"
        raise WorkbenchError(f"{'; '.join(lines)}. {advice}")


def is_free(port: int) -> bool:
    """Whether a server could bind the port on the loopback interface now."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """That many different free ports, below those that the system gives to outgoing connections: such a one
    could be taken again before a server binds it."""
    return list(itertools.islice(filter(is_free, random.sample(TESTED, len(TESTED))), count))


def _by_whom(port: int) -> str:
    """' by python3 (process 123)', or nothing: other users' sockets cannot always be looked into."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.pid and connection.laddr and connection.laddr.port == port:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
