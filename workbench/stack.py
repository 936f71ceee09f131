"""The local stack as a whole: up, down, clean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from workbench import environments, ports, provision
from workbench.airflow_api import AirflowApi
from workbench.programs import (
    ADMIN,
    AIRFLOW_GROUP,
    AWS_GROUP,
    admin_password,
    airflow_settings,
    all_programs,
    passwords_file,
)
from workbench.progress import say, step, wait_for
from workbench.settings import ROOT, Settings, WorkbenchError
from workbench.supervision import Supervisord, clean_environment, sweep

START_SECONDS = 240.0
AIRFLOW_PARTS = {
    "Airflow API": "metadatabase",
    "scheduler": "scheduler",
    "DAG processor": "dag_processor",
    "triggerer": "triggerer",
}


def up(settings: Settings) -> None:
    """Start what does not run, bring what runs to the present code, and wait until all of it is healthy.

    Raises WorkbenchError when a port is taken or a process does not stay up; what this call started is then
    stopped again.
    """
    started = time.monotonic()
    supervisord = Supervisord(settings)
    was_running = supervisord.is_running()
    if not was_running:
        if leftovers := sweep(settings):
            say(f"[yellow]ended what an earlier stack had left behind: {'; '.join(leftovers)}[/yellow]")
        ports.require_free(settings.ports)
        say("starting local AWS and Airflow")
    _make_directories(settings)
    try:
        _start(settings, supervisord)
    except BaseException:
        if not was_running and supervisord.is_running():
            say("stopping what was started")
            _stop(settings, supervisord)
        raise
    say(f"[green]local AWS and Airflow are up[/green] [dim]after {time.monotonic() - started:.1f} s[/dim]")


def down(settings: Settings) -> None:
    """Stop everything in order, and see to it that nothing is left. State stays in the local directory."""
    supervisord = Supervisord(settings)
    if supervisord.is_running():
        with step("stopped Airflow and local AWS"):
            _stop(settings, supervisord)
    else:
        say("the stack is not running")
        sweep(settings)


def clean(settings: Settings, *, force: bool) -> None:
    """Delete the local directory: objects, models, endpoints, run history. Asks first unless forced."""
    if not settings.local_dir.exists():
        say(f"there is nothing at {settings.local_dir}")
        return
    if not force:
        if not sys.stdin.isatty():
            raise WorkbenchError(f"nobody can be asked whether to delete {settings.local_dir}: FORCE=1")
        answer = input(f"Delete {settings.local_dir} with all objects, models and run history? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            say("kept")
            return
    if Supervisord(settings).is_running():
        down(settings)
    shutil.rmtree(settings.local_dir)
    say(f"deleted {settings.local_dir}")


def require_running(settings: Settings) -> Supervisord:
    supervisord = Supervisord(settings)
    if not supervisord.is_running():
        raise WorkbenchError("the stack is not running: start it with `make up`")
    return supervisord


def describe_login(settings: Settings) -> str:
    return (
        f"Airflow UI  {settings.airflow_url}  user {ADMIN}  password {admin_password(settings)}"
        f"  [dim](kept in {_short(passwords_file(settings))})[/dim]"
    )


def _start(settings: Settings, supervisord: Supervisord) -> None:
    replaced = supervisord.start(all_programs(settings))
    if AIRFLOW_GROUP in replaced:
        say("the jobs' code or a setting has changed: Airflow is restarted with it")
    provisioned = _Background(lambda: provision.provision(settings))
    _migrate_database(settings)
    supervisord.start_group(AIRFLOW_GROUP)
    airflow = AirflowApi(settings)
    watchdog = _Watchdog(supervisord)

    def check() -> None:
        watchdog.check()
        provisioned.raise_error()

    conditions: dict[str, Callable[[], bool]] = {
        "local AWS": lambda: provision.answers(settings),
        "infrastructure stacks and code": provisioned.is_done,
        **{label: partial(airflow.is_healthy, part) for label, part in AIRFLOW_PARTS.items()},
        "DAGs": lambda: _dags_are_read(airflow),
    }
    missing = wait_for(conditions, timeout_seconds=START_SECONDS, check=check)
    if missing:
        raise WorkbenchError(
            f"not ready after {START_SECONDS:.0f} s: {', '.join(missing)}; the logs are in {settings.logs}"
        )


def _stop(settings: Settings, supervisord: Supervisord) -> None:
    # Airflow first: its tasks then do not see local AWS vanish, and record no failure for it.
    supervisord.stop([AIRFLOW_GROUP, AWS_GROUP])
    sweep(settings)


def _make_directories(settings: Settings) -> None:
    # 0700: the password, Airflow's keys and customers' data are inside.
    settings.local_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in (settings.airflow_home, settings.aws_data, settings.logs):
        directory.mkdir(exist_ok=True)
    admin_password(settings)


def _migrate_database(settings: Settings) -> None:
    """Create or upgrade Airflow's database and airflow.cfg (with its keys), once for each version."""
    stamp = settings.airflow_home / "migrated"
    wanted = version("apache-airflow-core")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with step("created Airflow's database"):
        environment = {**clean_environment(), **airflow_settings(settings)}
        airflow = str(environments.python_of("worker").with_name("airflow"))
        done = subprocess.run(
            [airflow, "db", "migrate"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise WorkbenchError(
            f"Airflow's database could not be created:\n{(done.stderr or done.stdout)[-2000:]}"
        )
    stamp.write_text(wanted)


def _dags_are_read(airflow: AirflowApi) -> bool:
    """Every DAG file is known to the API; raises WorkbenchError for one that cannot be imported."""
    if not airflow.is_healthy("dag_processor"):
        return False
    for error in airflow.import_errors():
        raise WorkbenchError(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
    return all(airflow.has_dag(path.stem) for path in (ROOT / "dags").glob("*.py"))


class _Watchdog:
    """Notices a process that does not stay up: given up by supervisord, or started again and again."""

    RESTARTS = 2

    def __init__(self, supervisord: Supervisord) -> None:
        self._supervisord = supervisord
        self._pids: dict[str, set[int]] = {}

    def check(self) -> None:
        """Raise WorkbenchError with the end of its log."""
        for process in self._supervisord.processes():
            pids = self._pids.setdefault(process["name"], set())
            pids |= {process["pid"]} - {0}
            if process["statename"] == "FATAL" or len(pids) > self.RESTARTS + 1:
                log = Path(process["stdout_logfile"])
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
                raise WorkbenchError(f"{process['name']} does not stay up; the end of {_short(log)}:\n{tail}")


class _Background:
    """A call in a thread, so that local AWS is provisioned while Airflow imports itself."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - raised again where the caller waits
            self._error = error

    def is_done(self) -> bool:
        return not self._thread.is_alive() and self._error is None

    def raise_error(self) -> None:
        if self._error:
            raise self._error


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
