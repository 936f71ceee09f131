"""The stack's processes, under supervisord: its configuration, its control channel, its orderly end.

supervisord restarts what dies, keeps the logs, and outlives the terminal. What it cannot do is find the
children of a program that was killed: `sweep` ends whatever still carries this stack's mark.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from workbench import environments
from workbench.settings import ROOT, Settings, WorkbenchError

MARK = "MLOPS_STACK"
# A Unix socket's path is short (104 bytes on macOS); a deep directory gets its socket elsewhere.
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True)
class Program:
    """One long-running process. `group` is what is stopped and replaced together."""

    name: str
    group: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    grace_seconds: int
    autostart: bool = True


@dataclass
class Supervisord:
    """The stack's supervisord; every method talks to the running one."""

    settings: Settings
    _proxy: ServerProxy | None = field(default=None, repr=False)

    @property
    def config_file(self) -> Path:
        return self.settings.local_dir / "supervisord.conf"

    @property
    def socket(self) -> Path:
        path = self.settings.local_dir / "supervisor.sock"
        if len(str(path)) <= LONGEST_SOCKET_PATH:
            return path
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - a socket of mode 0700
        return runtime / f"mlops-{os.getuid()}-{self.settings.aws_port}.sock"

    @property
    def rpc(self) -> Any:
        if self._proxy is None:
            transport = SupervisorTransport(None, None, f"unix://{self.socket}")
            self._proxy = ServerProxy("http://127.0.0.1", transport=transport)
        return self._proxy.supervisor

    def is_running(self) -> bool:
        try:
            return bool(self.rpc.getState()["statename"] == "RUNNING")
        except (OSError, Fault):
            self._proxy = None
            return False

    def start(self, programs: Iterable[Program]) -> list[str]:
        """Start supervisord, or bring a running one to this configuration; returns the groups replaced."""
        programs = list(programs)
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        temporary = self.config_file.with_suffix(".part")
        temporary.write_text(render(self.settings, self.socket, programs))
        temporary.replace(self.config_file)
        if self.is_running():
            return self._apply_changes()
        self.socket.unlink(missing_ok=True)
        program = environments.python_of("worker").with_name("supervisord")
        done = subprocess.run(
            [str(program), "-c", str(self.config_file)],
            check=False,
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise WorkbenchError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}")
        deadline = time.monotonic() + 10
        while not self.is_running():
            if time.monotonic() > deadline:
                raise WorkbenchError(f"supervisord does not answer; see {self.settings.logs}/supervisord.log")
            time.sleep(0.05)
        return []

    def _apply_changes(self) -> list[str]:
        [[added, changed, removed]] = self.rpc.reloadConfig()
        for group in [*changed, *removed]:
            self.rpc.stopProcessGroup(group)
            self.rpc.removeProcessGroup(group)
        for group in [*added, *changed]:
            self.rpc.addProcessGroup(group)
        return list(changed)

    def start_group(self, group: str) -> None:
        """Start every process of a group that is not running."""
        with contextlib.suppress(Fault):
            self.rpc.startProcessGroup(group, False)

    def processes(self) -> list[dict[str, Any]]:
        """supervisord's description of each process: name, statename, pid, start, now, stdout_logfile ..."""
        return list(self.rpc.getAllProcessInfo())

    def stop(self, groups: Iterable[str]) -> None:
        """Stop the groups in this order, each orderly and then by force, and supervisord itself."""
        for group in groups:
            try:
                self.rpc.stopProcessGroup(group)
            except Fault as fault:
                if fault.faultCode != Faults.BAD_NAME:
                    raise
        pid = self.rpc.getPID()
        self.rpc.shutdown()
        self._proxy = None
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(timeout=30)


def clean_environment() -> dict[str, str]:
    """The terminal's environment without what would steer the stack elsewhere, such as a real AWS profile."""
    prefixes = ("AWS_", "AIRFLOW", "PYTHON", "MLOPS_", "SPARK_", "JAVA_", "VIRTUAL_ENV", "LOCAL_AWS_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    direct = ",".join(filter(None, [kept.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return {**kept, "NO_PROXY": direct, "no_proxy": direct}


def render(settings: Settings, socket: Path, programs: Iterable[Program]) -> str:
    """supervisord.conf as text."""
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "logfile": _escape(f"{settings.logs}/supervisord.log"),
        "logfile_maxbytes": "5MB",
        "pidfile": _escape(f"{settings.local_dir}/supervisord.pid"),
        "directory": _escape(str(ROOT)),
        "childlogdir": _escape(str(settings.logs)),
        # What a program is started with beside its own environment: the mark that `sweep` looks for.
        "environment": f'{MARK}="{_escape(str(settings.local_dir))}"',
    }
    config["unix_http_server"] = {"file": _escape(str(socket)), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    groups: dict[str, list[str]] = {}
    for program in programs:
        groups.setdefault(program.group, []).append(program.name)
        environment = {MARK: str(settings.local_dir), **program.environment}
        config[f"program:{program.name}"] = {
            "command": " ".join(f'"{_escape(part)}"' for part in program.argv),
            "environment": ",".join(f'{key}="{_escape(value)}"' for key, value in environment.items()),
            "stdout_logfile": _escape(f"{settings.logs}/{program.name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
            "redirect_stderr": "true",
            "autostart": str(program.autostart).lower(),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "3",
            "stopsignal": "TERM",
            "stopwaitsecs": str(program.grace_seconds),
            "killasgroup": "true",
        }
    for group, members in groups.items():
        config[f"group:{group}"] = {"programs": ",".join(members)}
    lines = []
    for section in config.sections():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in config[section].items()), ""]
    return "\n".join(lines)


def _escape(text: str) -> str:
    """For supervisord.conf: it expands %, cuts what looks like a comment, and has no escape for a quote."""
    if any(mark in text for mark in ('"', "\n", " #", " ;")):
        raise WorkbenchError(f"supervisord cannot pass on a quote, a line break, ' #' or ' ;': {text!r}")
    return text.replace("%", "%%")


def sweep(settings: Settings, grace_seconds: float = 5.0) -> list[str]:
    """End every process that carries this stack's mark or works in its data; supervisord must not be running.

    Returns what had to be ended, for the user to see: normally nothing.
    """
    described: list[str] = []
    # A process that is being ended may just have started another.
    while left := [process for process in psutil.process_iter() if _belongs(process, settings)]:
        described += [_describe(process) for process in left]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(left, timeout=grace_seconds)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=grace_seconds)
    return described


def _belongs(process: psutil.Process, settings: Settings) -> bool:
    """Whether a process was started by this stack: by its environment, or by the directory it works in."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    if process.pid in own:
        return False
    try:
        marked = process.environ().get(MARK) == str(settings.local_dir)
        return marked or Path(process.cwd()).is_relative_to(settings.aws_data)
    except (psutil.Error, OSError):
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:100]}"
    except psutil.Error:
        return str(process.pid)
