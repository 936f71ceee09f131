"""An analysis as a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowSkipException

from mlops.monitoring import outcomes
from mlops.operators import ProcessingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class AnalysisOperator(ProcessingOperator):
    """Runs one analysis of a window; the outcome NO_DATA skips the task instead of failing it.

    Returns `job_name`, `outputs` and `message` (what the analysis says of itself).

    :param config: the job's request, or `{"no_data": reason}` where there is nothing to start it for
    """

    def execute(self, context: Context) -> Any:
        if reason := self.config.get("no_data"):
            self._skip(reason)
        return super().execute(context)

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        message = str(job.get("ExitMessage") or "")
        self.log.info(message)
        return {**super().result(job), "message": message}

    def _finish(self, name: str, job: Mapping[str, Any], tail: list[str]) -> Any:
        outcome = outcomes.of_job(self.task_id, job)
        if outcome.status == "NO_DATA":
            self._skip(outcome.reason)
        return super()._finish(name, job, tail)

    def _skip(self, reason: str) -> NoReturn:
        self.log.info("NO_DATA: %s", reason)  # Airflow does not show why a task was skipped
        raise AirflowSkipException(f"NO_DATA: {reason}")
