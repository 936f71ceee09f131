"""Links from a task to what it produced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from mlops.aws import split_s3

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class PageLink(BaseOperatorLink):
    """The HTML page that a processing job wrote, in the S3 console or wherever the environment shows objects.

    Airflow asks for it after the task has ended, and keeps the answer for the UI.
    """

    @property
    def name(self) -> str:
        return "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 the interface
        from config import load

        output = operator.config["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        return load().object_url(*split_s3(f"{output.rstrip('/')}/{operator.page}"))
