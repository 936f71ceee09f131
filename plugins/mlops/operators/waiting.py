"""What every operator that runs a job does after it has started or adopted one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from mlops.jobs import JobKind, JobWatch, is_hopeless
from mlops.triggers import JobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class JobOperator(AwsBaseOperator[Any]):
    """Waits for a job, shows its lines, returns its result or fails with its reason, stops it when killed.

    Mixed in before the provider's operator of the same job, which knows how to start it.

    :param poll_interval: seconds between two looks at the job
    :param deferrable: wait in the triggerer instead of in the worker
    """

    kind: JobKind

    def __init__(self, *, poll_interval: float = 30, deferrable: bool = True, **kwargs: Any) -> None:
        # The provider's class only starts the job: the waiting is done here.
        super().__init__(wait_for_completion=False, deferrable=False, **kwargs)
        self.poll_interval = poll_interval
        self.waits_in_triggerer = deferrable
        self._running: str | None = None

    def result(self, job: Mapping[str, Any]) -> Any:
        """What later tasks need to know of a job that succeeded."""
        raise NotImplementedError

    def wait(self, name: str, job: Mapping[str, Any] | None = None) -> Any:
        """The result of the job; `job` is its description, if it was adopted."""
        self._running = name
        if self.waits_in_triggerer and (job is None or self.kind.is_running(job)):
            self.defer(
                trigger=JobTrigger(
                    kind=self.kind.noun,
                    job_name=name,
                    poll_interval=self.poll_interval,
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                ),
                method_name="execute_complete",
                timeout=self.execution_timeout,
            )
        logs = AwsLogsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        watch = JobWatch(self.kind, name, self.hook.get_conn(), logs.get_conn())
        while True:
            job, lines = watch.look()
            for line in lines:
                self.log.info(line)
            if not self.kind.is_running(job):
                return self._finish(name, job, list(watch.tail))
            time.sleep(self.poll_interval)

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 the interface
        event: dict[str, Any] | None = None,
    ) -> Any:
        """After the trigger: the job has ended, one way or the other."""
        if not event:
            raise AirflowException("the trigger ended without an event")
        name = event["job_name"]
        return self._finish(name, self.kind.describe(self.hook.get_conn(), name), event["tail"])

    def on_kill(self) -> None:
        """The task was killed in Airflow: stop the job, so that it does not go on spending."""
        if self._running:
            self.kind.stop(self.hook.get_conn(), self._running)

    def _finish(self, name: str, job: Mapping[str, Any], tail: list[str]) -> Any:
        if job[self.kind.status_field] != self.kind.succeeded:
            error = AirflowFailException if is_hopeless(job) else AirflowException
            raise error(self.kind.failure(name, job, tail))
        self.log.info("%s job %s is %s", self.kind.noun, name, self.kind.succeeded)
        return self.result(job)
