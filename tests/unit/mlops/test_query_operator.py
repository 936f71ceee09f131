"""QueryOperator: one query for a run and its text, whatever the number of tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException

from mlops.aws import delete_prefix
from mlops.operators import athena
from mlops.operators.athena import QueryOperator, rows

START = datetime(2026, 11, 21, 9, tzinfo=UTC)


class FakeAthena:
    """The hook and its queries: a token asked for again is answered with the same query."""

    conn_region_name, conn_partition = "us-east-1", "aws"

    def __init__(self) -> None:
        self.queries: list[dict[str, Any]] = []
        self.now = START
        self.next_state = "SUCCEEDED"

    def run_query(self, text: str, context: Any, result: Any, token: str, workgroup: str) -> str:
        for query in self.queries:
            if query["token"] == token:
                assert query["asked"] == (text, context, result, workgroup)
                return str(query["id"])
        self.queries.append(
            {
                "id": f"q{len(self.queries)}",
                "token": token,
                "state": self.next_state,
                "at": self.now,
                "asked": (text, context, result, workgroup),
            }
        )
        return str(self.queries[-1]["id"])

    def get_query_info(self, query: str, use_cache: bool) -> dict[str, Any]:
        assert use_cache is False
        found = self.queries[int(query[1:])]
        return {"QueryExecution": {"Status": {"State": found["state"], "SubmissionDateTime": found["at"]}}}

    def poll_query_status(self, query: str, **_: Any) -> str:
        return str(self.queries[int(query[1:])]["state"])

    def get_state_change_reason(self, query: str) -> str:
        return "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAthena:
    made = FakeAthena()
    monkeypatch.setattr(QueryOperator, "hook", made)
    monkeypatch.setattr(athena, "client", lambda service: service)
    monkeypatch.setattr(
        "airflow.providers.amazon.aws.operators.athena.AthenaQueryResultsLink.persist", lambda **_: None
    )
    return made


def attempt(fake: FakeAthena, query: str = "SELECT 1", run_id: str = "manual__1", **given: Any) -> str | None:
    """A try of the task, an hour after the last one."""
    fake.now += timedelta(hours=1)
    operator = QueryOperator(
        task_id="q",
        query=query,
        database="d",
        output_location="s3://b/q/",
        workgroup="w",
        poll_interval=1,
        **given,
    )
    run = SimpleNamespace(dag_id="bandit_learning", run_id=run_id)
    return operator.execute({"dag_run": run, "ti": SimpleNamespace(start_date=fake.now)})


def test_a_retry_adopts_the_query_of_the_first_try(fake: FakeAthena) -> None:
    assert attempt(fake) == attempt(fake) == "q0"
    assert len(fake.queries) == 1
    assert 32 <= len(fake.queries[0]["token"]) <= 128  # Athena's limits


def test_another_run_and_another_text_are_other_queries(fake: FakeAthena) -> None:
    assert [attempt(fake), attempt(fake, run_id="manual__2"), attempt(fake, query="SELECT 2")] == [
        "q0",
        "q1",
        "q2",
    ]


def test_after_a_failure_what_it_left_is_deleted_and_the_query_runs_again(
    fake: FakeAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []

    def delete(s3: Any, uri: str) -> int:
        deleted.append(uri)
        return 3

    monkeypatch.setattr(athena, "delete_prefix", delete)
    fake.next_state = "FAILED"
    with pytest.raises(AirflowException, match="COLUMN_NOT_FOUND"):
        attempt(fake, destination="s3://b/joined/")
    assert deleted == []  # of this try: its own failure is for the next one to see
    fake.next_state = "SUCCEEDED"
    assert attempt(fake, destination="s3://b/joined/") == "q1"
    assert deleted == ["s3://b/joined/"]
    assert attempt(fake, destination="s3://b/joined/") == "q1"


def test_a_query_that_still_runs_is_awaited(fake: FakeAthena) -> None:
    fake.next_state = "RUNNING"
    with pytest.raises(AirflowException, match="Max tries of poll status exceeded"):
        attempt(fake)
    fake.queries[0]["state"] = "SUCCEEDED"
    assert attempt(fake) == "q0"


def test_rows_are_without_the_header_and_know_null() -> None:
    def page(*values: list[str | None]) -> dict[str, Any]:
        data = [{"Data": [{"VarCharValue": v} if v is not None else {} for v in row]} for row in values]
        return {"ResultSet": {"Rows": data}}

    pages = [page(["a", "b"], ["1", None]), page(["2", "x"])]
    client = SimpleNamespace(
        get_paginator=lambda name: SimpleNamespace(paginate=lambda QueryExecutionId: pages)
    )
    assert rows(client, "q0") == [["1", None], ["2", "x"]]


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3://bucket/joined", "s3://bucket//"])
def test_a_prefix_that_reaches_further_than_it_says_is_not_deleted(uri: str) -> None:
    with pytest.raises(ValueError, match="refusing to delete"):
        delete_prefix(None, uri)
