"""The provider's Glue operator, made restartable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator

from mlops.jobs import KINDS
from mlops.naming import request_digest
from mlops.operators.waiting import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class GlueETLOperator(JobOperator, GlueJobOperator):
    """Runs a Glue job once per DAG run and set of arguments. Returns the run's id.

    The provider's `resume_glue_job_on_retry` marks a run with the task's identity and adopts it while it is
    alive. The same mark is used here, with what the run was asked to do, and a run that succeeded is adopted
    too. Its waiting is not used: it takes a stopped run for a success, and repeats log lines.
    """

    kind = KINDS["Glue"]
    script_args: dict[str, Any]

    def execute(self, context: Context) -> str:
        script_args = dict(self.script_args)
        mark = f"{self._get_task_uuid(context)}:{request_digest(script_args)}"
        self.script_args = {**script_args, self.TASK_UUID_ARG: mark}
        run = self._find(mark)
        if run is None:
            run_id = super().execute(context)
        else:
            run_id = run["Id"]
            self.log.info("Adopting Glue job run %s of this run: it is %s", run_id, run["JobRunState"])
        return str(self.wait(f"{self.job_name}/{run_id}", run))

    def result(self, job: Mapping[str, Any]) -> str:
        return str(job["Id"])

    def _find(self, mark: str) -> dict[str, Any] | None:
        """The run that bears the mark and is alive or has succeeded."""
        client = self.hook.get_conn()
        usable = {"STARTING", "RUNNING", "WAITING", self.kind.succeeded}
        try:
            for page in client.get_paginator("get_job_runs").paginate(JobName=self.job_name):
                for run in page["JobRuns"]:
                    marked = run.get("Arguments", {}).get(self.TASK_UUID_ARG) == mark
                    if marked and run["JobRunState"] in usable:
                        return dict(run)
        except client.exceptions.EntityNotFoundException:
            pass  # the job has never been created
        return None
