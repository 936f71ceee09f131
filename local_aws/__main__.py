"""Command line of local AWS: `python -m local_aws serve | status | support | env`."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from local_aws.airflow import Airflow
from local_aws.pace import Pace

app = typer.Typer(
    help="The AWS API on this machine: no account, no Docker, and the calls that compute really compute.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Port = Annotated[int, typer.Option(help="Port of the API (loopback only).", envvar="LOCAL_AWS_PORT")]
RuntimePort = Annotated[
    int, typer.Option(help="Port of the endpoints' data plane.", envvar="LOCAL_AWS_RUNTIME_PORT")
]
Region = Annotated[str, typer.Option(help="AWS region that clients name.", envvar="LOCAL_AWS_REGION")]
DataDir = Annotated[
    Path, typer.Option(help="Folder that holds all state; made when missing.", envvar="LOCAL_AWS_DATA_DIR")
]
JobsPython = Annotated[
    Path,
    typer.Option(help="Interpreter of the environment that jobs run in.", envvar="LOCAL_AWS_JOBS_PYTHON"),
]
Images = Annotated[
    Path | None,
    typer.Option(help="TOML table of your own images: name -> commands.", envvar="LOCAL_AWS_IMAGES"),
]
AirflowUrl = Annotated[
    str | None, typer.Option(help="Airflow behind MWAA's environments.", envvar="LOCAL_AWS_AIRFLOW_URL")
]
AirflowUser = Annotated[
    str, typer.Option(help="Who MWAA's calls log in as.", envvar="LOCAL_AWS_AIRFLOW_USER")
]
AirflowPasswordFile = Annotated[
    Path | None,
    typer.Option(help="JSON file {user: password}.", envvar="LOCAL_AWS_AIRFLOW_PASSWORD_FILE"),
]
AirflowDags = Annotated[
    Path | None,
    typer.Option(
        help="Folder that this Airflow reads: DAGs of MWAA's environments are published there.",
        envvar="LOCAL_AWS_AIRFLOW_DAGS",
    ),
]
MonitoringHour = Annotated[
    int,
    typer.Option(
        min=1,
        max=3600,
        help="Seconds that an hour of a monitoring schedule lasts.",
        envvar="LOCAL_AWS_MONITORING_HOUR_SECONDS",
    ),
]
CaptureSeconds = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=3600,
        help="Age at which a file of captured requests goes to S3.",
        envvar="LOCAL_AWS_CAPTURE_SECONDS",
    ),
]

DEFAULT_PORT = 14566
DEFAULT_RUNTIME_PORT = 14567
DEFAULT_REGION = "us-east-1"
DEFAULT_PACE = Pace()

M_MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE_BYTES = 256 << 10


@app.command()
def serve(
    port: Port = DEFAULT_PORT,
    runtime_port: RuntimePort = DEFAULT_RUNTIME_PORT,
    data_dir: DataDir = Path(".local/aws"),
    region: Region = DEFAULT_REGION,
    jobs_python: JobsPython = Path(".venv/jobs/bin/python"),
    images: Images = None,
    airflow_url: AirflowUrl = None,
    airflow_user: AirflowUser = "admin",
    airflow_password_file: AirflowPasswordFile = None,
    airflow_dags: AirflowDags = None,
    monitoring_hour: MonitoringHour = DEFAULT_PACE.monitoring_hour,
    capture_seconds: CaptureSeconds = DEFAULT_PACE.capture_seconds,
) -> None:
    """Run local AWS until Ctrl-C or SIGTERM. State stays in the data directory."""
    began = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _give_large_blocks_back()
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock_or_exit(data_dir)

    from local_aws import application  # moto takes a second to import: after the cheap refusals

    airflow = Airflow(airflow_url, airflow_user, airflow_password_file, airflow_dags) if airflow_url else None
    try:
        python = _interpreter(jobs_python)
        pace = Pace(monitoring_hour, capture_seconds)
        local = application.build(data_dir, region, port, runtime_port, python, images, airflow, pace)
    except application.CannotStart as error:
        _exit(str(error))
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    local.start()
    typer.echo(
        f"local AWS on http://127.0.0.1:{port} after {time.monotonic() - began:.1f} s, state in {data_dir}"
    )
    while not stop.wait(3600):
        pass
    typer.echo("local AWS is stopping its jobs")
    local.stop()
    lock.close()


@app.command()
def status(port: Port = DEFAULT_PORT) -> None:
    """Show what runs: jobs with processor, memory and where their logs are; endpoints."""
    from local_aws.status_page import age

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/health", timeout=5) as response:
            health: dict[str, Any] = json.load(response)
    except (OSError, ValueError) as error:
        _exit(f"local AWS does not answer on port {port}: {error}")
    console = Console()
    console.print(f"local AWS {health['version']} on http://127.0.0.1:{port}, state in {health['data_dir']}")
    console.print("services in use: " + (", ".join(health["services"]) or "none yet"))
    now = health["now"]
    jobs = Table("job", "pid", "running for", "cpu %", "memory MB", "log group", "log stream")
    for job in health["jobs"]:
        used = (f"{job['cpu']:.0f}", f"{job['rss'] / 1e6:.0f}")
        jobs.add_row(
            job["id"], str(job["pid"]), age(job["started"], now), *used, job["log_group"], job["log_stream"]
        )
    console.print(jobs if health["jobs"] else "no job is running")
    if health["endpoints"]:
        endpoints = Table("endpoint", "status", "config", "log group")
        for endpoint in health["endpoints"]:
            endpoints.add_row(*(endpoint[name] for name in ("name", "status", "config", "log_group")))
        console.print(endpoints)
    console.print(f"as a page, with what has ended: http://127.0.0.1:{port}/-/status")


@app.command()
def support(
    port: Port = DEFAULT_PORT,
    names: Annotated[bool, typer.Option("--names", help="By name, not by number.")] = False,
) -> None:
    """Print which operations are computed, stored and refused, as Markdown."""
    from local_aws.services import operations

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/support", timeout=60) as response:
            table = json.load(response)
    except (OSError, ValueError) as error:
        _exit(f"local AWS does not answer on port {port}: {error}")
    typer.echo((operations.markdown_by_name if names else operations.markdown)(table), nl=False)


@app.command()
def env(
    port: Port = DEFAULT_PORT,
    runtime_port: RuntimePort = DEFAULT_RUNTIME_PORT,
    region: Region = DEFAULT_REGION,
) -> None:
    """Print the exports that point any AWS client here: eval "$(python -m local_aws env)"."""
    from local_aws.environment import client_environment

    for name, value in client_environment(port, runtime_port, region).items():
        typer.echo(f"export {name}={value}")


def _give_large_blocks_back() -> None:
    """Left alone, glibc comes to keep blocks of up to 32 MB for every thread that has once transferred an
    object. Another libc has no such function."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def _lock_or_exit(data_dir: Path) -> Any:
    """One server a data directory. The lock goes with the process, however it ends."""
    file = (data_dir / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        _exit(f"{data_dir} is in use by local AWS, process {owner}; stop it, or name another --data-dir")

    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _interpreter(path: Path) -> Path:
    # Not resolved: the link itself is what makes Python find its environment.
    return path if path.is_absolute() else Path.cwd() / path


def _exit(message: str) -> Any:
    typer.echo(message, err=True)
    sys.exit(1)


if __name__ == "__main__":
    app()
