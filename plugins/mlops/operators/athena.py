"""The provider's Athena operator, made restartable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator

from mlops.aws import client, delete_prefix
from mlops.jobs import MAXIMUM_ATTEMPTS
from mlops.naming import request_digest

if TYPE_CHECKING:
    from airflow.sdk import Context


class QueryOperator(AthenaOperator):
    """Runs a query once per DAG run and text. Returns the execution's id.

    A retry asks with the token of the first try, for which Athena answers with the query that is running or
    has succeeded. Only after one that failed is another started, when what it may have written is deleted.

    :param destination: prefix that an INSERT of this run writes to, and nothing else does (templated)
    :param poll_interval: seconds between two looks
    """

    template_fields: Sequence[str] = (*AthenaOperator.template_fields, "destination")

    def __init__(self, *, destination: str | None = None, poll_interval: int = 30, **kwargs: Any) -> None:
        super().__init__(sleep_time=poll_interval, **kwargs)
        self.destination = destination

    def execute(self, context: Context) -> str | None:
        self.client_request_token = self._token(context)
        return super().execute(context)

    def _token(self, context: Context) -> str:
        """The token of the query to adopt, else of a new one. Raises RuntimeError after too many failures."""
        run = context["dag_run"]
        mark = {"run": run.run_id, "dag": run.dag_id, "task": self.task_id, "query": self.query}
        database = {"Database": self.database} if self.database else {}
        for attempt in range(1, MAXIMUM_ATTEMPTS + 1):
            token = f"{run.dag_id}-{self.task_id}-{request_digest(mark)}-{attempt}".ljust(32, "-")[-128:]
            query = self.hook.run_query(
                self.query,
                {**database, "Catalog": self.catalog},
                {"OutputLocation": self.output_location} if self.output_location else {},
                token,
                self.workgroup,
            )
            status = self.hook.get_query_info(query, use_cache=False)["QueryExecution"]["Status"]
            ended_before = status["SubmissionDateTime"] < context["ti"].start_date
            if status["State"] not in AthenaHook.FAILURE_STATES or not ended_before:
                if ended_before:
                    self.log.info("Adopting query %s of this run: it is %s", query, status["State"])
                return token
            if self.destination:
                deleted = delete_prefix(client("s3"), self.destination)
                self.log.info("Query %s had failed; deleted %d objects that it left", query, deleted)
        raise RuntimeError(f"{MAXIMUM_ATTEMPTS} queries of this run have failed: start a new DAG run")


def rows(athena: Any, query: str) -> list[list[str | None]]:
    """The rows of a query's result, all as text; None for NULL. `athena` is boto3's client."""
    found = [
        [value.get("VarCharValue") for value in row["Data"]]
        for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=query)
        for row in page["ResultSet"]["Rows"]
    ]
    return found[1:]  # the first row is the header
