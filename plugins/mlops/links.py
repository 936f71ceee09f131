"""Links from a task to what it produced."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

from mlops.aws import client, split_s3

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PRESIGNED_FOR = timedelta(days=7)  # the longest that S3 allows; a role's credentials may end it earlier


class PageLink(BaseOperatorLink):
    """The HTML page that a processing job wrote: where, is the environment's `report_links` to say.

    Airflow asks for it in the worker when the task has ended, and keeps the answer for the UI.
    """

    @property
    def name(self) -> str:
        return "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 the interface
        if "ProcessingOutputConfig" not in operator.config:
            return ""  # the task was skipped: there was no job to ask for
        output = operator.config["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        return page_url(f"{output.rstrip('/')}/{operator.page}")


class ReturnedLink(BaseOperatorLink):
    """The address that a task has put into its XCom `page`."""

    @property
    def name(self) -> str:
        return "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 the interface
        from airflow.sdk.execution_time.xcom import XCom

        return str(XCom.get_value(ti_key=ti_key, key="page") or "")


def page_url(uri: str) -> str:
    """Where a person sees an HTML page in S3: in the console, or at a signed address."""
    from config import load

    bucket, key = split_s3(uri)
    if load().report_links == "console":
        return load().console_url(bucket, key)
    # The content type is named because an upload by a job need not have one.
    url = client("s3").generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket, "Key": key, "ResponseContentType": "text/html"},
        ExpiresIn=int(PRESIGNED_FOR.total_seconds()),
    )
    return str(url)
