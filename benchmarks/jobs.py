"""ETL and training of 1,000,000 generated rows through local AWS against the same scripts run bare.

    .venv/worker/bin/python -m benchmarks.jobs [--rows 1000000] [--rounds 3]

Through local AWS: from StartJobRun or CreateTrainingJob until the job says that it has ended, objects read
from and written to S3 included. Bare: the script's own process on local files (`benchmarks.bare`). In turns;
medians. Target: at most 1.1 times the bare script.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import bare
from config import load
from mlops.churn import requests
from workbench import ports, provision
from workbench.programs import local_aws_command
from workbench.results import run_client
from workbench.settings import ROOT, Settings
from workbench.supervision import clean_environment, sweep

TARGET = 1.1
POLL_SECONDS = 0.1
ETL = "benchmark-etl"


def main() -> int:
    """Print the table; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="Jobs through local AWS against the bare scripts.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with provisioned() as (settings, folder):
        return measure(settings, folder, options.rows, options.rounds)


@contextmanager
def provisioned() -> Iterator[tuple[Settings, Path]]:
    """A local AWS with the platform's stacks, and a folder, for one benchmark."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings(Path(folder) / "stack", *ports.free_ports(3))
        settings.aws_data.mkdir(parents=True)
        server = subprocess.Popen(local_aws_command(settings), cwd=ROOT, env=clean_environment())
        try:
            provision.provision(settings)
            yield settings, Path(folder)
        finally:
            server.terminate()
            server.wait()
            sweep(settings)


def put_customers(settings: Settings, folder: Path, rows: int) -> Path:
    """Generated customers where the ETL reads them; also as a file."""
    customers = folder / "customers.csv"
    run_client(settings, "clients.churn_customers", rows=rows, seed=7, output=customers)
    s3 = provision.client(settings, "s3")
    s3.upload_file(str(customers), settings.bucket, "raw/churn/customers.csv")
    return customers


def measure(settings: Settings, folder: Path, rows: int, rounds: int) -> int:
    customers = put_customers(settings, folder, rows)
    s3 = provision.client(settings, "s3")
    jobs = Jobs(settings)
    aws = settings.aws_environment()
    seconds: dict[str, list[float]] = {"etl": [], "etl bare": [], "training": [], "training bare": []}
    for number in range(rounds):
        base = folder / f"round-{number}"
        (base / "etl").mkdir(parents=True)
        seconds["etl"].append(jobs.etl(number))
        seconds["etl bare"].append(bare.etl(jobs.etl_arguments(number), customers, base / "etl", aws))
        seconds["training"].append(jobs.training(number))
        seconds["training bare"].append(bare.training(jobs.trained(number), s3, base / "training"))
    worst = 0.0
    for job in ("etl", "training"):
        ours, theirs = (statistics.median(seconds[name]) for name in (job, f"{job} bare"))
        worst = max(worst, ours / theirs)
        ratio = f"{ours / theirs:5.2f}   target <= {TARGET}"
        print(f"{job:<10} {rows:>9,} rows: {ours:6.1f} s, bare {theirs:6.1f} s, ratio {ratio}")
    return 0 if worst <= TARGET else 1


class Jobs:
    """The pipeline's own requests, made by stock boto3."""

    def __init__(self, settings: Settings) -> None:
        self.glue = provision.client(settings, "glue")
        self.sagemaker = provision.client(settings, "sagemaker")
        self.local = load("local")
        self.params = {**self.local.xgboost.model_dump(), "split": "hash", "split_seed": 1729}
        script = f"code/{provision.upload_code(settings)}/glue_scripts/churn_etl.py"
        self.glue.create_job(
            Name=ETL,
            Role=self.local.role_arn("glue"),
            Command={"Name": "glueetl", "ScriptLocation": self.local.s3(script), "PythonVersion": "3"},
            **requests.etl_job(self.local),
        )

    def prefix(self, number: int) -> str:
        return self.local.s3(f"runs/benchmark/{number}/")

    def etl_arguments(self, number: int) -> dict[str, str]:
        raw = self.local.s3("raw/churn/customers.csv")
        return requests.etl_arguments(
            self.local, self.params, self.prefix(number), raw, f"benchmark_{number}"
        )

    def etl(self, number: int) -> float:
        started = time.monotonic()
        run = self.glue.start_job_run(JobName=ETL, Arguments=self.etl_arguments(number))["JobRunId"]
        wait(lambda: self.glue.get_job_run(JobName=ETL, RunId=run)["JobRun"], "JobRunState", "SUCCEEDED")
        return time.monotonic() - started

    def training(self, number: int) -> float:
        started = time.monotonic()
        self.start_training(number)
        wait(lambda: self.trained(number), "TrainingJobStatus", "Completed")
        return time.monotonic() - started

    def start_training(self, number: int) -> None:
        request = requests.training(self.local, self.params, self.prefix(number))
        self.sagemaker.create_training_job(TrainingJobName=f"benchmark-{number}", **request)

    def trained(self, number: int) -> dict[str, Any]:
        return dict(self.sagemaker.describe_training_job(TrainingJobName=f"benchmark-{number}"))


def wait(describe: Callable[[], dict[str, Any]], field: str, wanted: str) -> None:
    """Wait for a job; raises SystemExit with its description when it ends otherwise."""
    while (job := describe())[field] != wanted:
        if job[field] in ("FAILED", "TIMEOUT", "STOPPED", "ERROR", "Failed", "Stopped"):
            raise SystemExit(
                f"the job ended {job[field]}: {job.get('ErrorMessage') or job.get('FailureReason')}"
            )
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
