"""Athena as its tests use it."""

from __future__ import annotations

import time
import uuid
from typing import Any

CSV = {
    "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
    "Parameters": {"separatorChar": ","},
}
FINISHED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Athena:
    """A bucket and a database of its own."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        self.api, self.s3, self.glue = aws.client("athena"), aws.client("s3"), aws.client("glue")
        self.bucket = f"athena-{uuid.uuid4().hex[:12]}"
        self.database = f"db_{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.glue.create_database(DatabaseInput={"Name": self.database})

    def table(self, name: str, columns: dict[str, str], text: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"tables/{name}/part.csv", Body=text.encode())
        storage = {
            "Columns": [{"Name": key, "Type": kind} for key, kind in columns.items()],
            "Location": f"s3://{self.bucket}/tables/{name}/",
            "SerdeInfo": CSV,
        }
        self.glue.create_table(
            DatabaseName=self.database, TableInput={"Name": name, "StorageDescriptor": storage}
        )

    def start(self, sql: str, **other: Any) -> str:
        given = {
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": f"s3://{self.bucket}/results/"},
            **other,
        }
        return str(self.api.start_query_execution(QueryString=sql, **given)["QueryExecutionId"])

    def wait(self, query_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            execution: dict[str, Any] = self.api.get_query_execution(QueryExecutionId=query_id)[
                "QueryExecution"
            ]
            if execution["Status"]["State"] in FINISHED:
                return execution
            time.sleep(0.02)
        raise AssertionError(f"still {execution['Status']}")

    def run(self, sql: str, **other: Any) -> dict[str, Any]:
        execution = self.wait(self.start(sql, **other))
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        return execution

    def rows(self, sql: str, **other: Any) -> list[list[str | None]]:
        """The rows of a result, the header first."""
        answer = self.api.get_query_results(QueryExecutionId=self.run(sql, **other)["QueryExecutionId"])
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in answer["ResultSet"]["Rows"]]

    def status(self, sql: str, **other: Any) -> dict[str, Any]:
        status: dict[str, Any] = self.wait(self.start(sql, **other))["Status"]
        return status
