"""The provider's Glue operator, adopting also a run that has already succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.glue import GlueJobOperator
from airflow.sdk.exceptions import AirflowException

from mlops.naming import request_digest

if TYPE_CHECKING:
    from airflow.sdk import Context


class GlueETLOperator(GlueJobOperator):
    """Runs a Glue job once per DAG run and set of arguments.

    `resume_glue_job_on_retry` of the provider finds a run by an argument that carries the task's identity,
    and adopts it while it is alive. Here the identity includes what the run was asked to do, a run that
    succeeded is adopted too, and a failed one ends the task with the script's own last words.
    """

    script_args: dict[str, Any]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(stop_job_run_on_kill=True, verbose=True, **kwargs)

    def execute(self, context: Context) -> str:
        script_args = dict(self.script_args)
        identity = f"{self._get_task_uuid(context)}:{request_digest(script_args)}"
        self.script_args = {**script_args, self.TASK_UUID_ARG: identity}
        found = self._find(identity)
        if found and found[1] == "SUCCEEDED":
            self.log.info("Adopting Glue job run %s of this run: it has succeeded", found[0])
            return found[0]
        self.resume_glue_job_on_retry = found is not None  # else the provider warns of a run it does not find
        try:
            return self._checked(super().execute(context))
        except AirflowException as error:
            raise self._explained(self._job_run_id, error) from error

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        try:
            return self._checked(super().execute_complete(context, event))
        except AirflowException as error:
            raise self._explained((event or {}).get("run_id"), error) from error

    def _find(self, identity: str) -> tuple[str, str] | None:
        try:
            return self._find_job_run_id_by_task_uuid(identity)
        except self.hook.conn.exceptions.EntityNotFoundException:
            return None  # the job has never been created

    def _checked(self, run_id: str) -> str:
        """The provider counts a stopped run as a success; it wrote only part of its output."""
        state = self._describe(run_id)["JobRunState"]
        if state != "SUCCEEDED":
            raise AirflowException(f"it ended {state}")
        return run_id

    def _explained(self, run_id: str | None, error: AirflowException) -> AirflowException:
        if run_id is None:
            return error
        run = self._describe(run_id)
        reason = run.get("ErrorMessage") or "no error message"
        return AirflowException(f"Glue job {self.job_name} run {run_id} ended {run['JobRunState']}: {reason}")

    def _describe(self, run_id: str) -> dict[str, Any]:
        return dict(self.hook.conn.get_job_run(JobName=self.job_name, RunId=run_id)["JobRun"])
