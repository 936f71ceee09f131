"""PyAthena, unchanged, against local AWS."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyathena import connect
from pyathena.cursor import DictCursor
from pyathena.error import OperationalError


@pytest.fixture(scope="module")
def connection(local_aws: Any) -> Any:
    bucket = f"pyathena-{uuid.uuid4().hex[:10]}"
    local_aws.client("s3").create_bucket(Bucket=bucket)
    return connect(
        s3_staging_dir=f"s3://{bucket}/results/",
        region_name="us-east-1",
        endpoint_url=local_aws.endpoint_url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        poll_interval=0.05,
    )


def test_values_have_their_types(connection: Any) -> None:
    cursor = connection.cursor().execute(
        "SELECT 1 AS i, 2.5e0 AS d, 'a\"b' AS s, CAST(NULL AS varchar) AS n, '' AS empty, "
        "date '2024-02-29' AS day, CAST('1.10' AS decimal(5,2)) AS money, true AS yes"
    )
    assert cursor.fetchall() == [(1, 2.5, 'a"b', None, "", date(2024, 2, 29), Decimal("1.10"), True)]
    assert [column[:2] for column in cursor.description][:3] == [
        ("i", "integer"),
        ("d", "double"),
        ("s", "varchar"),
    ]


def test_parameters_pages_and_tables(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT x FROM UNNEST(sequence(1, 2500)) AS t(x) WHERE x > %(low)d ORDER BY x", {"low": 10}
    )
    assert [row[0] for row in cursor] == list(range(11, 2501))  # three pages of 1,000
    cursor.execute("SELECT ? || ?", ["'a'", "'b'"], paramstyle="qmark")
    assert cursor.fetchone() == ("ab",)
    database = f"py_{uuid.uuid4().hex[:8]}"
    cursor.execute(f"CREATE DATABASE {database}")
    cursor.execute(f"CREATE TABLE {database}.t WITH (format = 'PARQUET') AS SELECT 1 AS a, 'x' AS b")
    cursor.execute(f"CREATE VIEW {database}.v AS SELECT b, a + 1 AS c FROM {database}.t")
    rows = connection.cursor(DictCursor).execute(f"SELECT * FROM {database}.v").fetchall()
    assert rows == [{"b": "x", "c": 2}]
    assert cursor.execute(f"SHOW TABLES IN {database}").fetchall() == [("t",), ("v",)]


def test_a_failed_query_says_why(connection: Any) -> None:
    with pytest.raises(
        OperationalError, match="COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"
    ):
        connection.cursor().execute("SELECT nope FROM (VALUES 1) AS t(x)")
