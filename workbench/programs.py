"""What the local stack runs: local AWS and Airflow's components, and the settings each gets.

Airflow's settings are those of a small machine. Where one differs from its default, the reason is beside it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from config import load
from workbench import environments
from workbench.settings import ROOT, Settings
from workbench.supervision import Program

AIRFLOW_GROUP = "airflow"
AWS_GROUP = "local-aws"
ADMIN = "admin"
CODE_FOLDERS = ("glue_scripts", "sagemaker_scripts")


def all_programs(settings: Settings) -> list[Program]:
    """Every process of the stack. Airflow's wait for the migrated database: the caller starts its group."""
    airflow = str(environments.python_of("worker").with_name("airflow"))
    airflow_environment = {
        **airflow_settings(settings),
        **settings.aws_environment(),
        "AWS_ACCESS_KEY_ID": f"{load('local').stem}-airflow",  # the role whose permissions tasks have on AWS
    }
    components = {
        "api-server": ("api-server", "--host", "127.0.0.1", "--port", str(settings.airflow_port)),
        # Logs are read from the disk; the log servers would listen on every interface.
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    }
    # Who calls what, for `workbench.permissions`.
    aws_environment = {"PYTHONUNBUFFERED": "1", "LOCAL_AWS_RECORD_CALLS": str(settings.calls)}
    return [
        Program(AWS_GROUP, AWS_GROUP, local_aws_command(settings), aws_environment, grace_seconds=60),
        *(
            Program(name, AIRFLOW_GROUP, (airflow, *arguments), airflow_environment, 10, autostart=False)
            for name, arguments in components.items()
        ),
    ]


def local_aws_command(settings: Settings) -> tuple[str, ...]:
    arguments = {
        "--port": str(settings.aws_port),
        "--runtime-port": str(settings.runtime_port),
        "--data-dir": str(settings.aws_data),
        "--jobs-python": str(environments.python_of("jobs")),
        "--airflow-url": settings.airflow_url,
        "--airflow-user": ADMIN,
        "--airflow-password-file": str(passwords_file(settings)),
        "--monitoring-hour": str(settings.monitoring_hour),
    }
    flat = [part for pair in arguments.items() for part in pair]
    return (str(environments.python_of("local-aws")), "-m", "local_aws", "serve", *flat)


def airflow_settings(settings: Settings) -> dict[str, str]:
    """The environment of every Airflow process."""
    sections: Mapping[str, Mapping[str, str]] = {
        "CORE": {
            "DAGS_FOLDER": str(ROOT / "dags"),
            "PLUGINS_FOLDER": str(ROOT / "plugins"),
            "LOAD_EXAMPLES": "False",
            "EXECUTOR": "LocalExecutor",
            # A process for each of the profile's queries and the training, and for tasks whose end is not yet
            # noticed (see WORKERS below). The work is done in jobs.
            "PARALLELISM": "12",
            "SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(settings)),
            "EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        },
        "API": {"BASE_URL": settings.airflow_url, "WORKERS": "1"},
        "DATABASE": {"SQL_ALCHEMY_CONN": f"sqlite:///{settings.airflow_home}/airflow.db"},
        "SCHEDULER": {
            "MP_START_METHOD": "forkserver",
            "MP_FORKSERVER_PRELOAD": "workbench.preloaded",
            # The latency of every task: 0.4 s instead of 1.4 s.
            "SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            # A task whose process was killed is retried after half a minute instead of five.
            "TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "ORPHANED_TASKS_CHECK_INTERVAL": "15",
        },
        # How late the end of a task's process may be noticed; until then it keeps its worker.
        "WORKERS": {"MIN_HEARTBEAT_INTERVAL": "1"},
        "DAG_PROCESSOR": {
            "PARSING_PROCESSES": "1",
            # A changed or new DAG file shows within seconds; unchanged ones do not keep the cores busy.
            "REFRESH_INTERVAL": "5",
            "MIN_FILE_PROCESS_INTERVAL": "120",
        },
        "USAGE_DATA_COLLECTION": {"ENABLED": "False"},
    }
    variables = {
        f"AIRFLOW__{section}__{key}": value
        for section, values in sections.items()
        for key, value in values.items()
    }
    return {
        **variables,
        "AIRFLOW_HOME": str(settings.airflow_home),
        # The default connection of provider operators: the environment has credentials and endpoint.
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "PYTHONUNBUFFERED": "1",
        # Process titles are written over the environment's memory, where `supervision.sweep` looks.
        "SPT_NOENV": "1",
        "MLOPS_ENVIRONMENT": "local",
        "MLOPS_CODE_VERSION": code_version(),
    }


def code_version(root: Path = ROOT) -> str:
    """A hash of what jobs run, so that a run names exactly the code it used: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in code_files(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def code_files(root: Path = ROOT) -> list[Path]:
    """The files that jobs are given, sorted."""
    found = [path for folder in CODE_FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts and not path.name.startswith("."))


def passwords_file(settings: Settings) -> Path:
    return settings.airflow_home / "passwords.json"


def admin_password(settings: Settings) -> str:
    """The UI's password: made once, kept readable to the owner alone."""
    path = passwords_file(settings)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps({ADMIN: secrets.token_urlsafe(12)}))
    return str(json.loads(path.read_text())[ADMIN])
