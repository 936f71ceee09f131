"""What the tasks of every DAG have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config import Settings

AT_MOST = timedelta(minutes=10)  # for a task that waits for no job


def task_defaults(settings: Settings, execution_timeout: timedelta = AT_MOST) -> dict[str, Any]:
    """`default_args` of a DAG."""
    return {
        "owner": settings.tasks.owner,
        "retries": settings.tasks.retries,
        "retry_delay": timedelta(seconds=settings.tasks.retry_delay),
        "execution_timeout": execution_timeout,
        "aws_conn_id": None,  # the worker's own role; in a terminal, boto3's environment
        "region_name": settings.region,
        "poll_interval": settings.tasks.poll_interval,
        "deferrable": settings.tasks.deferrable,
    }


def within(seconds: int) -> timedelta:
    """A task's time for a job that may run so long: starting its machines is not the job's time."""
    return timedelta(seconds=seconds, minutes=15)
