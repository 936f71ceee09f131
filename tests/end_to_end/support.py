"""The running stack as a test sees it: through Airflow's API, stock boto3 clients, and kill -9."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from config import load
from mlops.naming import run_key
from workbench import provision
from workbench.airflow_api import AirflowApi
from workbench.programs import code_version
from workbench.settings import Settings
from workbench.supervision import Supervisord

DAG = "churn_training"
RUN_SECONDS = 600.0
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """What `look` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.2)
    return found


@dataclass(frozen=True)
class Run:
    """One ended DAG run."""

    pipeline: Pipeline
    run_id: str
    state: str
    dag_id: str = DAG

    @property
    def key(self) -> str:
        return run_key(self.run_id)

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.pipeline.airflow.tasks(self.dag_id, self.run_id)}

    def states(self, *task_ids: str) -> list[str]:
        tasks = self.tasks
        return [tasks[task_id]["state"] for task_id in task_ids]

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        return self.pipeline.airflow.xcom(self.dag_id, self.run_id, task_id, key)

    def __str__(self) -> str:
        """For a failed assertion: the tasks that did not succeed, each with the end of its last log."""
        lines = [f"{self.run_id} {self.state}"]
        for name, task in self.tasks.items():
            if task["state"] not in ("success", "skipped", "upstream_failed"):
                lines += [f"{name} {task['state']} (try {task['try_number']})", self.log(name)[-1500:]]
        return "\n".join(lines)

    def log(self, task_id: str, try_number: int | None = None) -> str:
        number = try_number or self.tasks[task_id]["try_number"]
        return "\n".join(self.pipeline.airflow.log_lines(self.dag_id, self.run_id, task_id, number))

    def read(self, name: str) -> bytes:
        """An artefact under the run's own prefix."""
        key = f"runs/{self.dag_id}/{self.key}/{name}"
        body = self.pipeline.aws("s3").get_object(Bucket=self.pipeline.settings.bucket, Key=key)["Body"]
        return bytes(body.read())

    @property
    def evaluation(self) -> dict[str, Any]:
        return dict(json.loads(self.read("evaluation/evaluation.json")))

    def jobs(self, kind: str) -> list[tuple[str, str]]:
        """(name, status) of this run's `training` or `processing` jobs, oldest first."""
        return self.pipeline.jobs(kind, self.key)


@dataclass(frozen=True)
class Pipeline:
    """The stack as a user sees it: Airflow's API and stock boto3 clients."""

    settings: Settings
    airflow: AirflowApi

    def aws(self, service: str) -> Any:
        return provision.client(self.settings, service)

    @property
    def endpoint(self) -> str:
        return load("local").churn_endpoint

    def put(self, path: Path) -> str:
        """Drop a file where users drop theirs; returns its URI."""
        key = f"raw/churn/{path.name}"
        self.aws("s3").upload_file(str(path), self.settings.bucket, key)
        return f"s3://{self.settings.bucket}/{key}"

    def start(self, data: str, **params: Any) -> str:
        return self.airflow.trigger(DAG, {"data": data, "code_version": code_version(), **params})

    def wait(self, run_id: str, dag_id: str = DAG) -> Run:
        def ended() -> str:
            state = self.airflow.run(dag_id, run_id)["state"]
            return str(state) if state in ("success", "failed") else ""

        return Run(self, run_id, eventually(ended, f"the end of {run_id}", RUN_SECONDS), dag_id)

    def train(self, data: str, **params: Any) -> Run:
        return self.wait(self.start(data, **params))

    def task_state(self, run_id: str, task_id: str) -> str | None:
        states = {task["task_id"]: task["state"] for task in self.airflow.tasks(DAG, run_id)}
        return states.get(task_id)

    def jobs(self, kind: str, key: str) -> list[tuple[str, str]]:
        sagemaker = self.aws("sagemaker")
        operation, field = f"list_{kind}_jobs", f"{kind.capitalize()}Job"
        pages = sagemaker.get_paginator(operation).paginate(NameContains=key)
        found = [job for page in pages for job in page[f"{field}Summaries"]]
        found.sort(key=lambda job: job["CreationTime"])
        return [(job[f"{field}Name"], job[f"{field}Status"]) for job in found]

    def endpoints(self) -> list[dict[str, Any]]:
        return list(self.aws("sagemaker").list_endpoints()["Endpoints"])

    def endpoint_config(self) -> str:
        return str(self.aws("sagemaker").describe_endpoint(EndpointName=self.endpoint)["EndpointConfigName"])

    def ask(self, features: str) -> list[float]:
        """The endpoint's probabilities for encoded rows."""
        answer = self.aws("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint, ContentType="text/csv", Body=features
        )
        return [float(value) for value in answer["Body"].read().decode().replace(",", "\n").split()]

    def try_to_ask(self, features: str) -> list[float]:
        """As `ask`, but nothing while the endpoint does not answer."""
        try:
            return self.ask(features)
        except (BotoCoreError, ClientError):
            return []

    def model_packages(self) -> list[dict[str, Any]]:
        group = load("local").churn_model_group
        listed = self.aws("sagemaker").list_model_packages(ModelPackageGroupName=group)
        return list(listed["ModelPackageSummaryList"])

    def glue_runs(self, key: str) -> list[dict[str, Any]]:
        """Runs of the ETL job that wrote for a DAG run."""
        glue = self.aws("glue")
        runs = glue.get_job_runs(JobName=f"{load('local').stem}-churn-etl")["JobRuns"]
        return [run for run in runs if key in run["Arguments"]["--destination"]]

    def kill_local_aws(self) -> None:
        """kill -9 the server alone, as the kernel does when memory runs out; supervisord starts it again."""
        os.kill(self._pid("local-aws"), signal.SIGKILL)

    def kill_airflow_workers(self) -> None:
        """kill -9 scheduler and triggerer with every process under them: workers and running tasks."""
        family = [psutil.Process(self._pid(name)) for name in ("scheduler", "triggerer")]
        for process in [child for parent in family for child in parent.children(recursive=True)] + family:
            process.kill()

    def stop_airflow(self) -> None:
        """The first half of `make down`."""
        Supervisord(self.settings).rpc.stopProcessGroup("airflow")

    def _pid(self, name: str) -> int:
        return next(p["pid"] for p in Supervisord(self.settings).processes() if p["name"] == name)

    def computing(self, text: str = "") -> list[psutil.Process]:
        """Processes of this stack's jobs whose command line has the text; the data plane is none."""
        return [process for process in psutil.process_iter() if self._computes(process, text)]

    def _computes(self, process: psutil.Process, text: str) -> bool:
        try:
            command, folder = " ".join(process.cmdline()), Path(process.cwd())
        except psutil.Error:
            return False
        is_job = folder.is_relative_to(self.settings.aws_data) and "local_aws.serving" not in command
        return is_job and text in command
