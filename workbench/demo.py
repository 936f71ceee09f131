"""`make demo`: customers into the bucket, churn_training through Airflow, a served prediction out."""

from __future__ import annotations

import re
import time
from pathlib import Path

from config import load
from workbench import provision, stack
from workbench.airflow_api import AirflowApi
from workbench.progress import say, step
from workbench.results import print_results, run_client
from workbench.settings import Settings, WorkbenchError
from workbench.watch import explain_failure, watch

DAG = "churn_training"
ROWS = 5000
SEED = 7
SUFFIXES = (".csv", ".csv.gz", ".txt")


def run(settings: Settings, *, data: Path | None, split: str) -> int:
    """The whole demo; returns the exit code: 1 when the run failed."""
    started = time.monotonic()
    if data is not None:
        check_data(data)
    stack.up(settings)
    data = data or generate(settings)
    source = put_raw(settings, data)
    airflow = AirflowApi(settings)
    existed = _has_endpoint(settings)
    version = provision.upload_code(settings)
    run_id = airflow.trigger(DAG, {"data": source, "split": split, "code_version": version})
    say(f"\n{DAG}: {settings.airflow_url}/dags/{DAG}/runs/{run_id}")
    try:
        state = watch(airflow, DAG, run_id)
    except KeyboardInterrupt:
        say("\nno longer watching: the run goes on. `make status` shows it, `make down` stops everything.")
        return 130
    if state != "success":
        explain_failure(airflow, DAG, run_id)
        say(f"\n[red]{DAG} failed[/red]")
        say(stack.describe_login(settings))
        return 1
    print_results(settings, airflow, DAG, run_id, data=data, existed=existed)
    say(stack.describe_login(settings))
    say(f"[dim]make demo: {time.monotonic() - started:.1f} s[/dim]")
    return 0


def check_data(path: Path) -> None:
    """Refuse what cannot be a customer file before anything starts; what is in it, validate judges."""
    if not path.exists():
        raise WorkbenchError(f"DATA={path}: there is no such file")
    if not path.is_file():
        raise WorkbenchError(f"DATA={path} is not a file")
    if not path.name.endswith(SUFFIXES):
        raise WorkbenchError(f"DATA={path}: the name must end in {', '.join(SUFFIXES)}")
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise WorkbenchError(f"DATA={path} is empty")
    if not path.name.endswith(".gz") and b"\0" in head:
        raise WorkbenchError(f"DATA={path} is not a text file (it has a NUL byte in its first 4 KB)")


def generate(settings: Settings) -> Path:
    """The demo's customers: the same file every time."""
    path = settings.local_dir / "demo" / "customers.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with step(f"generated {ROWS:,} customers"):
        run_client(settings, "clients.churn_customers", rows=ROWS, seed=SEED, output=path)
    return path


def put_raw(settings: Settings, path: Path) -> str:
    """Upload a file to where users drop theirs; returns its S3 URI."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name)
    key = f"raw/churn/{name}"
    with step(f"put {name} into s3://{settings.bucket}/raw/churn/"):
        provision.client(settings, "s3").upload_file(str(path), settings.bucket, key)
    return f"s3://{settings.bucket}/{key}"


def _has_endpoint(settings: Settings) -> bool:
    endpoint = load("local").churn_endpoint
    listed = provision.client(settings, "sagemaker").list_endpoints(NameContains=endpoint)["Endpoints"]
    return endpoint in [item["EndpointName"] for item in listed]
