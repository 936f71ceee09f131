"""Wall time of a warm churn_training run against the sum of its jobs run by hand on the same input.

    .venv/worker/bin/python -m benchmarks.pipeline [--rounds 3] [--rows 5000]

The run: Airflow's own duration, from the first to the last task, on a stack of its own; a first run warms it
and makes the champion. By hand: validate, ETL, train and evaluate, one after the other (`benchmarks.bare`);
what only a run has (profile queries, gate, registration, canary, smoke test) counts against it, but for the
monitoring's baselines, which are switched off. Medians.
Target: run / by hand <= 1.3.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import bare
from mlops.naming import run_key
from workbench import ports, provision, stack
from workbench.airflow_api import AirflowApi
from workbench.demo import DAG, put_raw
from workbench.results import run_client
from workbench.settings import Settings
from workbench.watch import explain_failure, watch

TARGET = 1.3


def main() -> int:
    """Print the table; returns 1 when the target is missed."""
    parser = argparse.ArgumentParser(description="Wall time of the run against its bare jobs.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings(Path(folder) / "stack", *ports.free_ports(3))
        try:
            stack.up(settings)
            return measure(settings, Path(folder), options.rounds, options.rows)
        finally:
            stack.down(settings)


def measure(settings: Settings, folder: Path, rounds: int, rows: int) -> int:
    customers = folder / "customers.csv"
    run_client(settings, "clients.churn_customers", rows=rows, seed=7, output=customers)
    airflow = AirflowApi(settings)
    cold, _ = train(settings, airflow, customers)
    warm, hand = [], []
    for number in range(rounds):
        seconds, run_id = train(settings, airflow, customers)
        warm.append(seconds)
        hand.append(by_hand(settings, run_key(run_id), customers, folder / f"round-{number}"))
    jobs = {name: statistics.median(one[name] for one in hand) for name in hand[0]}
    run, bare_sum = statistics.median(warm), sum(jobs.values())
    print(f"\nfirst run after the start  {cold:6.1f} s")
    print(f"warm run                   {run:6.1f} s   ({', '.join(f'{seconds:.1f}' for seconds in warm)})")
    for name, seconds in jobs.items():
        print(f"  by hand: {name:<15}  {seconds:6.1f} s")
    print(f"jobs by hand               {bare_sum:6.1f} s")
    print(f"run / by hand              {run / bare_sum:6.2f}     target <= {TARGET}")
    return 0 if run / bare_sum <= TARGET else 1


def train(settings: Settings, airflow: AirflowApi, customers: Path) -> tuple[float, str]:
    """One DAG run: seconds from its first task's start to its last one's end, and its id."""
    version = provision.upload_code(settings)
    # Without the monitoring's baselines: nothing done by hand stands against them.
    conf = {"data": put_raw(settings, customers), "code_version": version, "monitoring": "off"}
    run_id = airflow.trigger(DAG, conf)
    if watch(airflow, DAG, run_id) != "success":
        explain_failure(airflow, DAG, run_id)
        raise SystemExit("the run failed")
    times = [task for task in airflow.tasks(DAG, run_id) if task["start_date"]]
    start = min(datetime.fromisoformat(task["start_date"]) for task in times)
    end = max(datetime.fromisoformat(task["end_date"]) for task in times)
    return (end - start).total_seconds(), run_id


def by_hand(settings: Settings, key: str, customers: Path, folder: Path) -> dict[str, float]:
    """Seconds of each job of a run, repeated by hand."""
    s3, sagemaker, glue = (provision.client(settings, name) for name in ("s3", "sagemaker", "glue"))
    aws = settings.aws_environment()

    def processing(step: str) -> float:
        job = sagemaker.describe_processing_job(ProcessingJobName=_newest(sagemaker, "Processing", key, step))
        return bare.processing(job, s3, folder / step, aws)

    training = sagemaker.describe_training_job(TrainingJobName=_newest(sagemaker, "Training", key, "train"))
    etl_runs = glue.get_job_runs(JobName="mlops-local-churn-etl")["JobRuns"]
    etl_arguments = next(run["Arguments"] for run in etl_runs if key in run["Arguments"]["--destination"])
    (folder / "etl").mkdir(parents=True)
    return {
        "validate": processing("validate"),
        "etl": bare.etl(etl_arguments, customers, folder / "etl", aws),
        "train": bare.training(training, s3, folder / "train"),
        "evaluate": processing("evaluate"),
    }


def _newest(sagemaker: Any, kind: str, key: str, step: str) -> str:
    listed = getattr(sagemaker, f"list_{kind.lower()}_jobs")(
        NameContains=f"{key}-{step}", SortOrder="Descending"
    )
    return str(listed[f"{kind}JobSummaries"][0][f"{kind}JobName"])


if __name__ == "__main__":
    sys.exit(main())
