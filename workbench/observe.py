"""What runs and what it says: `status` and `logs`."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import psutil
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from workbench import provision, redrive, stack
from workbench.airflow_api import AirflowApi
from workbench.progress import console, say
from workbench.settings import Settings, WorkbenchError
from workbench.supervision import Supervisord

POLL_SECONDS = 0.3
TAIL_LINES = 10


def status(settings: Settings) -> int:
    """Print the processes, the endpoints and the last runs; returns 0 when everything runs, 3 when not."""
    supervisord = Supervisord(settings)
    if not supervisord.is_running():
        say("the stack is not running: start it with `make up`")
        return 3
    processes = supervisord.processes()
    ports = {
        "local-aws": f"{settings.aws_port}, {settings.runtime_port}",
        "api-server": str(settings.airflow_port),
    }
    table = Table(title="Processes", title_justify="left", box=None)
    for heading in ("", "state"):
        table.add_column(heading)
    for heading in ("pid", "up", "port", "cpu %", "memory"):
        table.add_column(heading, justify="right")
    for process in processes:
        running = process["statename"] == "RUNNING"
        colour = "green" if running else "red"
        cpu, memory = _usage(process["pid"]) if running else ("", "")
        uptime = str(timedelta(seconds=process["now"] - process["start"])) if running else ""
        table.add_row(
            process["name"],
            f"[{colour}]{process['statename'].lower()}[/{colour}]",
            str(process["pid"] or ""),
            uptime,
            ports.get(process["name"], ""),
            cpu,
            memory,
        )
    console.print(table)
    _print_endpoints(settings)
    _print_runs(settings)
    _print_dead_letters(settings)
    say(stack.describe_login(settings))
    say(f"Logs        {settings.logs}  [dim](make logs NAME=scheduler)[/dim]")
    return 0 if all(process["statename"] == "RUNNING" for process in processes) else 3


def logs(settings: Settings, name: str | None) -> None:
    """Follow the log of one process, or of all with the name before each line, until interrupted."""
    files = {path.stem: path for path in sorted(settings.logs.glob("*.log"))}
    if name is not None and name not in files:
        raise WorkbenchError(
            f"there is no log {name!r}; there are {', '.join(files) or 'none yet: `make up`'}"
        )
    followed = {stem: path for stem, path in files.items() if name in (None, stem)}
    if not followed:
        raise WorkbenchError("there are no logs yet: start the stack with `make up`")
    _follow(followed, prefix=name is None)


def _follow(files: dict[str, Path], *, prefix: bool) -> None:
    width = max(map(len, files))
    handles: dict[str, TextIO] = {}
    try:
        for name, path in files.items():
            handles[name] = path.open(errors="replace")
            for line in handles[name].readlines()[-TAIL_LINES:]:
                print(f"{name:<{width}} | {line}" if prefix else line, end="")
        while True:
            for name, handle in list(handles.items()):
                for line in handle:
                    print(f"{name:<{width}} | {line}" if prefix else line, end="", flush=True)
                # supervisord renames a full log and starts a new one under the same name.
                if files[name].exists() and files[name].stat().st_size < handle.tell():
                    handle.close()
                    handles[name] = files[name].open(errors="replace")
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return
    finally:
        for handle in handles.values():
            handle.close()


def _print_dead_letters(settings: Settings) -> None:
    try:
        count = redrive.waiting(settings)
    except (BotoCoreError, ClientError):
        return  # not provisioned yet
    if count:
        say(f"[red]{count} event(s) could not become runs[/red]: make redrive LIST=1 shows why")


def _usage(pid: int) -> tuple[str, str]:
    """CPU (per cent of one core, over a tenth of a second) and memory of a process with its children."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return "", ""
    before = sum(_cpu_seconds(process) for process in family)
    time.sleep(0.1)
    cpu = (sum(_cpu_seconds(process) for process in family) - before) / 0.1 * 100
    return f"{max(cpu, 0):.0f}", f"{sum(map(_memory_bytes, family)) / 1e6:,.0f} MB"


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _print_endpoints(settings: Settings) -> None:
    try:
        endpoints = provision.client(settings, "sagemaker").list_endpoints()["Endpoints"]
    except (BotoCoreError, ClientError) as error:
        say(f"[red]local AWS does not list its endpoints: {error}[/red]")
        return
    for endpoint in endpoints:
        changed = f"{endpoint['LastModifiedTime']:%Y-%m-%d %H:%M:%S}"
        say(f"Endpoint    {endpoint['EndpointName']}  {endpoint['EndpointStatus']}  changed {changed}")


def _print_runs(settings: Settings) -> None:
    try:
        runs = AirflowApi(settings).runs()
    except WorkbenchError as error:
        say(f"[red]{error}[/red]")
        return
    for run in runs:
        duration = f"{run['duration']:.0f} s" if run.get("duration") else ""
        say(f"Run         {run['dag_id']}  {run['dag_run_id']}  {run['state']}  {duration}")
