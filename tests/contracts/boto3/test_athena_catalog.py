"""Athena's views, prepared statements and projected partitions, through boto3."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.athena_support import Athena


@pytest.fixture(scope="module")
def athena(local_aws: Any) -> Athena:
    made = Athena(local_aws)
    made.table("people", {"name": "string", "age": "int"}, "ann,30\nbob,40\ncy,50\n")
    return made


def lines(athena: Athena, sql: str) -> list[str | None]:
    return [row[0] for row in athena.rows(sql)]


def test_a_view_is_read_as_its_query(athena: Athena) -> None:
    athena.run(
        "CREATE VIEW old AS SELECT upper(name) AS shouted, age, age / 7 AS weeks FROM people WHERE age > 30"
    )
    assert athena.rows("SELECT * FROM old o WHERE o.age < 50") == [
        ["shouted", "age", "weeks"],
        ["BOB", "40", "5"],
    ]
    assert athena.rows("SELECT a.shouted FROM old a JOIN old b ON a.age = b.age + 10") == [
        ["shouted"],
        ["CY"],
    ]

    stored = athena.glue.get_table(DatabaseName=athena.database, Name="old")["Table"]
    assert stored["TableType"] == "VIRTUAL_VIEW"
    assert [(c["Name"], c["Type"]) for c in stored["StorageDescriptor"]["Columns"]] == [
        ("shouted", "string"),
        ("age", "int"),
        ("weeks", "int"),
    ]
    text = stored["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    assert json.loads(base64.b64decode(text))["schema"] == athena.database
    assert lines(athena, "SHOW VIEWS") == ["old"]
    assert lines(athena, "SHOW CREATE VIEW old")[0] == f"CREATE VIEW {athena.database}.old AS"
    answer = athena.api.get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName=athena.database, TableName="old"
    )
    assert answer["TableMetadata"]["TableType"] == "VIRTUAL_VIEW"


def test_a_view_over_a_view_belongs_to_its_own_database(athena: Athena) -> None:
    athena.run("CREATE VIEW base AS WITH p AS (SELECT * FROM people) SELECT name FROM p WHERE age = 30")
    athena.run("CREATE VIEW upon AS SELECT name || '!' AS loud FROM base")
    elsewhere = {"QueryExecutionContext": {"Database": "default"}}
    assert athena.rows(f"SELECT loud FROM {athena.database}.upon", **elsewhere) == [["loud"], ["ann!"]]
    athena.run("CREATE OR REPLACE VIEW base AS SELECT name FROM people WHERE age = 40")
    assert athena.rows("SELECT loud FROM upon")[1:] == [["bob!"]]


def test_views_that_cannot_be(athena: Athena) -> None:
    athena.run("CREATE VIEW twice AS SELECT 1 AS one")
    assert "View already exists" in athena.status("CREATE VIEW twice AS SELECT 2 AS two")["StateChangeReason"]
    reason = athena.status("CREATE OR REPLACE VIEW people AS SELECT 1 AS one")["StateChangeReason"]
    assert "Table already exists" in reason
    reason = athena.status("CREATE VIEW unnamed AS SELECT 1 AS a, 2")["StateChangeReason"]
    assert reason == "MISSING_COLUMN_NAME: Column name not specified at position 2"
    reason = athena.status("CREATE VIEW none AS SELECT x FROM people")["StateChangeReason"]
    assert "Column 'x' cannot be resolved" in reason
    assert "is not a table but a view" in athena.status("DROP TABLE twice")["StateChangeReason"]
    assert "is not a view but a table" in athena.status("DROP VIEW people")["StateChangeReason"]
    athena.run("CREATE VIEW circle AS SELECT * FROM twice")
    athena.run("CREATE OR REPLACE VIEW twice AS SELECT * FROM circle")
    assert athena.status("SELECT * FROM circle")["StateChangeReason"].startswith("VIEW_IS_RECURSIVE")
    athena.run("DROP VIEW IF EXISTS circle")


def test_show_create_table(athena: Athena) -> None:
    athena.run(
        f"CREATE EXTERNAL TABLE made (a int COMMENT 'first', b string) PARTITIONED BY (dt string) "
        f"ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{athena.bucket}/made/' "
        "TBLPROPERTIES ('skip.header.line.count'='1')"
    )
    found = lines(athena, "SHOW CREATE TABLE made")
    assert found[:5] == [
        f"CREATE EXTERNAL TABLE `{athena.database}.made`(",
        "  `a` int COMMENT 'first', ",
        "  `b` string)",
        "PARTITIONED BY ( ",
        "  `dt` string)",
    ]
    assert found[-2:] == ["TBLPROPERTIES (", "  'skip.header.line.count'='1')"]
    statement = "\n".join(line or "" for line in found).replace(".made`", ".again`").replace("`", "", 2)
    athena.run(statement)  # what it says can be said again
    assert lines(athena, "SHOW CREATE TABLE again")[1:] == found[1:]


def test_prepared_statements(athena: Athena) -> None:
    athena.run("PREPARE older FROM SELECT name FROM people WHERE age > ? AND name <> ?")
    assert athena.rows("EXECUTE older USING 30, 'cy'") == [
        ["name"],
        ["bob"],
    ]
    assert athena.rows("EXECUTE older", ExecutionParameters=["40", "'bob'"]) == [["name"], ["cy"]]
    execution = athena.run("EXECUTE older USING 30, 'cy'")
    assert execution["StatementType"] == "DML"
    assert execution["ResultConfiguration"]["OutputLocation"].endswith(".csv")
    reason = athena.status("EXECUTE older USING 30")["StateChangeReason"]
    assert reason == "INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected 2 but found 1"
    with pytest.raises(ClientError, match="PreparedStatement younger was not found in workGroup primary"):
        athena.start("EXECUTE younger")
    athena.run("DEALLOCATE PREPARE older")
    with pytest.raises(ClientError, match="PreparedStatement older was not found"):
        athena.start("EXECUTE older USING 30, 'cy'")


def test_prepared_statements_belong_to_a_workgroup(athena: Athena) -> None:
    api = athena.api
    api.create_work_group(Name="statements")
    api.create_prepared_statement(
        WorkGroup="statements",
        StatementName="count",
        QueryStatement="SELECT count(*) FROM people WHERE age < ?",
    )
    assert athena.rows("EXECUTE count USING 45", WorkGroup="statements")[1:] == [["2"]]
    with pytest.raises(ClientError, match="was not found in workGroup primary"):
        athena.start("EXECUTE count USING 45")
    with pytest.raises(ClientError, match="already exists"):
        api.create_prepared_statement(
            WorkGroup="statements", StatementName="count", QueryStatement="SELECT 1"
        )
    api.update_prepared_statement(
        WorkGroup="statements", StatementName="count", QueryStatement="SELECT 1", Description="one"
    )
    found = api.get_prepared_statement(WorkGroup="statements", StatementName="count")["PreparedStatement"]
    assert (found["QueryStatement"], found["Description"]) == ("SELECT 1", "one")
    answer = api.batch_get_prepared_statement(WorkGroup="statements", PreparedStatementNames=["count", "no"])
    assert [item["StatementName"] for item in answer["PreparedStatements"]] == ["count"]
    assert answer["UnprocessedPreparedStatementNames"][0]["StatementName"] == "no"
    listed = api.list_prepared_statements(WorkGroup="statements")["PreparedStatements"]
    assert [item["StatementName"] for item in listed] == ["count"]
    api.delete_prepared_statement(WorkGroup="statements", StatementName="count")
    with pytest.raises(ClientError) as caught:
        api.get_prepared_statement(WorkGroup="statements", StatementName="count")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def projected(athena: Athena, name: str, keys: dict[str, str], properties: dict[str, str]) -> None:
    storage = {
        "Columns": [{"Name": "v", "Type": "int"}],
        "Location": f"s3://{athena.bucket}/{name}/",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde"},
    }
    table = {
        "Name": name,
        "StorageDescriptor": storage,
        "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in keys.items()],
        "Parameters": {"projection.enabled": "true", **properties},
    }
    athena.glue.create_table(DatabaseName=athena.database, TableInput=table)


def test_partitions_are_projected(athena: Athena) -> None:
    projected(
        athena,
        "events",
        {"dt": "string", "hour": "int", "kind": "string"},
        {
            "projection.dt.type": "date",
            "projection.dt.format": "yyyy/MM/dd",
            "projection.dt.range": "2015/02/27,NOW",
            "projection.hour.type": "integer",
            "projection.hour.range": "0,23",
            "projection.hour.digits": "2",
            "projection.kind.type": "enum",
            "projection.kind.values": "a,b",
            "storage.location.template": f"s3://{athena.bucket}/events/${{kind}}/${{dt}}/${{hour}}/",
        },
    )
    for key, value in {
        "a/2024/02/28/05": 1,
        "a/2024/02/29/05": 2,
        "b/2024/02/29/05": 3,
        "b/2024/03/01/23": 4,
    }.items():
        athena.s3.put_object(Bucket=athena.bucket, Key=f"events/{key}/part.csv", Body=f"{value}\n".encode())
    query = "SELECT dt, hour, kind, v FROM events WHERE dt BETWEEN '2024/02/28' AND '2024/03/01'"
    assert athena.rows(f"{query} AND kind = 'a' ORDER BY v")[1:] == [
        ["2024/02/28", "5", "a", "1"],
        ["2024/02/29", "5", "a", "2"],
    ]
    execution = athena.run(f"{query} AND hour = 23")
    assert execution["Statistics"]["DataScannedInBytes"] == 2  # one object of the four
    reason = athena.status("SELECT count(*) FROM events")["StateChangeReason"]
    assert "narrow its WHERE on dt, hour, kind" in reason


def test_injected_partitions_come_from_the_query(athena: Athena) -> None:
    projected(athena, "devices", {"device": "string"}, {"projection.device.type": "injected"})
    for name in ("x1", "x2"):
        athena.s3.put_object(Bucket=athena.bucket, Key=f"devices/device={name}/part", Body=b"7\n")
    assert athena.rows("SELECT device, v FROM devices WHERE device = 'x2'")[1:] == [["x2", "7"]]
    assert athena.rows("SELECT count(*) FROM devices WHERE device IN ('x1', 'x2', 'x3')")[1:] == [["2"]]
    reason = athena.status("SELECT count(*) FROM devices")["StateChangeReason"]
    assert reason.startswith("CONSTRAINT_VIOLATION: For the injected projected partition column device")


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "projection.k.type = '': it is required"),
        ({"projection.k.type": "list"}, "it is one of enum, integer, date, injected"),
        ({"projection.k.type": "integer", "projection.k.range": "1-9"}, "it is two whole numbers, like 0,23"),
        (
            {"projection.k.type": "date", "projection.k.format": "yyyy-MM-dd", "projection.k.range": "x,NOW"},
            "'x' does not have the format yyyy-MM-dd",
        ),
        (
            {"projection.k.type": "date", "projection.k.format": "yyyy-QQ", "projection.k.range": "x,NOW"},
            "local AWS does not know 'QQ' in it",
        ),
    ],
)
def test_a_projection_that_is_wrong_is_named(
    athena: Athena, properties: dict[str, str], reason: str, request: pytest.FixtureRequest
) -> None:
    name = f"wrong_{request.node.callspec.id.encode().hex()[:30]}"
    projected(athena, name, {"k": "string"}, properties)
    assert reason in athena.status(f"SELECT * FROM {name}")["StateChangeReason"]
