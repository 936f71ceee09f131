"""What waits in the triggerer while a job runs: a coroutine instead of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.jobs import KINDS, JobWatch


class JobTrigger(BaseTrigger):
    """Waits for a job and shows its log lines in the task's log while it runs.

    The provider's triggers show no lines of SageMaker jobs, and their message for a failed job is that of the
    waiter. Boto3 calls go to a thread: they are short, and the same code serves a worker that waits itself.

    :param kind: key of `mlops.jobs.KINDS`
    :param job_name: the job to wait for
    :param poll_interval: seconds between two looks
    """

    def __init__(
        self,
        *,
        kind: str,
        job_name: str,
        poll_interval: float,
        aws_conn_id: str | None = None,
        region_name: str | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.job_name = job_name
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("kind", "job_name", "poll_interval", "aws_conn_id", "region_name")
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    def _client(self, service: str) -> Any:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

        hook = AwsBaseHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, client_type=service)
        return hook.get_conn()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        kind = KINDS[self.kind]
        client = await asyncio.to_thread(self._client, kind.service)
        watch = JobWatch(kind, self.job_name, client, await asyncio.to_thread(self._client, "logs"))
        while True:
            job, lines = await asyncio.to_thread(watch.look)
            for line in lines:
                self.log.info(line)
            if not kind.is_running(job):
                yield TriggerEvent({"job_name": self.job_name, "tail": list(watch.tail)})
                return
            await asyncio.sleep(self.poll_interval)

    async def on_kill(self) -> None:
        """A person marked the waiting task failed, or cleared it: the job must not go on spending."""
        kind = KINDS[self.kind]
        client = await asyncio.to_thread(self._client, kind.service)
        await asyncio.to_thread(kind.stop, client, self.job_name)
