"""Where the local stack lives and which ports it takes: from the environment, once, at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import settings as environment_settings

ROOT = Path(__file__).resolve().parent.parent


class WorkbenchError(Exception):
    """Something a person can put right; the message says what and how."""


@dataclass(frozen=True)
class Settings:
    """One local stack. Two with different directories and ports run side by side."""

    local_dir: Path
    aws_port: int = 14566
    runtime_port: int = 14567
    airflow_port: int = 18080
    monitoring_hour: int = 3600
    """Seconds that an hour of a monitoring schedule lasts: Model Monitor without the waiting."""

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def runtime_url(self) -> str:
        return f"http://127.0.0.1:{self.runtime_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def airflow_home(self) -> Path:
        return self.local_dir / "airflow"

    @property
    def aws_data(self) -> Path:
        return self.local_dir / "aws"

    @property
    def calls(self) -> Path:
        """Where local AWS notes which role has made which call."""
        return self.local_dir / "calls.jsonl"

    @property
    def logs(self) -> Path:
        return self.local_dir / "logs"

    @property
    def bucket(self) -> str:
        """Where the local environment keeps everything: config/local.toml decides, as for the DAGs."""
        return environment_settings.load("local").bucket

    @property
    def ports(self) -> dict[str, int]:
        """Port by the name of its setting."""
        return {
            "AWS_PORT": self.aws_port,
            "RUNTIME_PORT": self.runtime_port,
            "AIRFLOW_PORT": self.airflow_port,
        }

    def aws_environment(self) -> dict[str, str]:
        """What points a stock AWS client at local AWS."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.runtime_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": environment_settings.load("local").region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from AWS_PORT, RUNTIME_PORT, AIRFLOW_PORT, MONITORING_HOUR and MLOPS_LOCAL_DIR.

    Raises WorkbenchError for a port that is no port, two settings with the same one, and no hour.
    """
    environment = os.environ if environment is None else environment
    local_dir = Path(environment.get("MLOPS_LOCAL_DIR") or ROOT / ".local").resolve()
    ports: dict[str, int] = {}
    for name, default in Settings(local_dir).ports.items():
        text = environment.get(name) or str(default)
        if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
            raise WorkbenchError(f"{name}={text} is not a port: give a number from 1024 to 65535")
        for other, port in ports.items():
            if port == int(text):
                raise WorkbenchError(f"{name} and {other} are both {text}: give each a port of its own")
        ports[name] = int(text)
    hour = environment.get("MONITORING_HOUR") or "3600"
    if not hour.isascii() or not hour.isdigit() or not 1 <= int(hour) <= 3600:
        raise WorkbenchError(f"MONITORING_HOUR={hour} is no number of seconds from 1 to 3600")
    return Settings(
        local_dir, **{name.lower(): port for name, port in ports.items()}, monitoring_hour=int(hour)
    )
