"""Athena through boto3: queries over catalog tables, their states, results, errors and settings."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.athena_support import Athena

ENDLESS = (
    "SELECT count(*) FROM UNNEST(sequence(1, 60000)) AS a(x) CROSS JOIN UNNEST(sequence(1, 60000)) AS b(y) "
    "WHERE x * y = 7"
)


@pytest.fixture
def athena(local_aws: Any) -> Athena:
    return Athena(local_aws)


@pytest.fixture
def people(athena: Athena) -> Athena:
    athena.table("people", {"name": "string", "age": "int"}, '"ann",30\n"bob",41\n"",7\n')
    return athena


def test_a_query_writes_its_result_and_tells_its_types(people: Athena) -> None:
    execution = people.run("SELECT name, age / 2 AS half, NULLIF(name, '') AS n FROM people ORDER BY age")
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{people.bucket}/results/{execution['QueryExecutionId']}.csv"
    key = location.removeprefix(f"s3://{people.bucket}/")
    body = people.s3.get_object(Bucket=people.bucket, Key=key)["Body"].read()
    assert body == b'"name","half","n"\n"","3",\n"ann","15","ann"\n"bob","20","bob"\n'
    assert people.s3.head_object(Bucket=people.bucket, Key=f"{key}.metadata")["ContentLength"] > 0
    answer = people.api.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]
    assert [(column["Name"], column["Type"]) for column in answer["ResultSetMetadata"]["ColumnInfo"]] == [
        ("name", "varchar"),
        ("half", "integer"),
        ("n", "varchar"),
    ]
    assert answer["Rows"][1]["Data"] == [{"VarCharValue": ""}, {"VarCharValue": "3"}, {}]
    assert execution["StatementType"] == "DML"
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    assert execution["Statistics"]["DataScannedInBytes"] == len('"ann",30\n"bob",41\n"",7\n')
    assert execution["Statistics"]["TotalExecutionTimeInMillis"] >= 0


def test_results_are_paged_and_the_header_counts_once(athena: Athena) -> None:
    query_id = athena.run("SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n) ORDER BY n")["QueryExecutionId"]
    pages = list(athena.api.get_paginator("get_query_results").paginate(QueryExecutionId=query_id))
    values = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [1000, 1000, 501]
    assert values == ["n", *map(str, range(1, 2501))]


@pytest.mark.parametrize(
    ("sql", "reason", "kind"),
    [
        ("SELECT nope FROM people", "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved", 1006),
        ("SELECT 1/0", "DIVISION_BY_ZERO: Division by zero", 1100),
        ("SELEC 1", "SYNTAX_ERROR: line 1:7: ", 1006),
        ("SELECT * FROM gone", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.", 1110),
        ("SELECT url_decode('x')", "FUNCTION_NOT_FOUND: ", 1303),
        ("MERGE INTO people USING x ON true WHEN MATCHED THEN DELETE", "NOT_SUPPORTED: MERGE", 1200),
        ("DROP TABLE gone", "TABLE_NOT_FOUND: Table 'awsdatacatalog.", 1110),
    ],
)
def test_a_failure_has_athenas_reason_and_type(people: Athena, sql: str, reason: str, kind: int) -> None:
    status = people.status(sql)
    assert status["State"] == "FAILED"
    assert status["StateChangeReason"].startswith(reason)
    error = status["AthenaError"]
    assert (error["ErrorCategory"], error["ErrorType"], error["Retryable"]) == (2, kind, False)
    assert error["ErrorMessage"] == status["StateChangeReason"]


def test_parameters(people: Athena) -> None:
    rows = people.rows(
        "SELECT name FROM people WHERE name = ? AND age > ?", ExecutionParameters=["'ann'", "29"]
    )
    assert rows == [["name"], ["ann"]]


def test_tables_by_statements(athena: Athena) -> None:
    bucket = athena.bucket
    athena.run(
        f"CREATE EXTERNAL TABLE IF NOT EXISTS events (n int) PARTITIONED BY (day string) "
        f"ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{bucket}/events/'"
    )
    for day in ("a", "b", "c"):
        athena.s3.put_object(Bucket=bucket, Key=f"events/day={day}/x.csv", Body=f"{ord(day)}\n".encode())
    athena.run("ALTER TABLE events ADD PARTITION (day = 'a')")
    assert athena.rows("SELECT n, day FROM events") == [["n", "day"], ["97", "a"]]
    athena.run("MSCK REPAIR TABLE events")
    assert athena.rows("SHOW PARTITIONS events") == [["day=a"], ["day=b"], ["day=c"]]
    scanned = athena.run("SELECT n FROM events WHERE day = 'b'")["Statistics"]["DataScannedInBytes"]
    assert scanned == len(b"98\n")
    athena.run("ALTER TABLE events DROP PARTITION (day = 'b')")
    assert athena.rows("SELECT sum(n) AS n FROM events") == [["n"], [str(97 + 99)]]
    assert athena.rows("SHOW TABLES") == [["events"]]
    assert [str(cell).split() for cell in athena.rows("DESCRIBE events")[0]] == [["n", "int"]]
    athena.run("DROP TABLE events")
    assert athena.rows("SHOW TABLES") == []
    assert athena.s3.list_objects_v2(Bucket=bucket, Prefix="events/")["KeyCount"] == 3


def test_table_as_query_insert_and_unload(people: Athena) -> None:
    made = people.run(
        "CREATE TABLE adults WITH (format = 'PARQUET', "
        f"external_location = 's3://{people.bucket}/adults/') AS "
        "SELECT name, age, CAST(age AS double) / 2 AS half FROM people WHERE age > 18"
    )
    assert made["StatementType"] == "DDL"
    bucket, _, key = made["Statistics"]["DataManifestLocation"].removeprefix("s3://").partition("/")
    (written,) = people.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()
    assert written.startswith(f"s3://{people.bucket}/adults/")
    columns = people.glue.get_table(DatabaseName=people.database, Name="adults")["Table"][
        "StorageDescriptor"
    ]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("name", "string"),
        ("age", "int"),
        ("half", "double"),
    ]
    people.run("INSERT INTO adults (name, age) VALUES ('cy', 50)")
    assert people.rows("SELECT * FROM adults ORDER BY age")[1:] == [
        ["ann", "30", "15.0"],
        ["bob", "41", "20.5"],
        ["cy", "50", None],
    ]
    unloaded = people.run(
        f"UNLOAD (SELECT * FROM adults) TO 's3://{people.bucket}/out/' WITH (format = 'PARQUET')"
    )
    assert unloaded["Statistics"]["DataManifestLocation"]
    again = people.status(f"UNLOAD (SELECT 1 AS n) TO 's3://{people.bucket}/out/' WITH (format = 'PARQUET')")
    assert again["StateChangeReason"].startswith("HIVE_PATH_ALREADY_EXISTS: ")
    twice = people.status("CREATE TABLE adults WITH (format = 'PARQUET') AS SELECT 1 AS n")
    assert twice["StateChangeReason"].startswith("TABLE_ALREADY_EXISTS: ")


def test_partitioned_table_as_query(people: Athena) -> None:
    people.run(
        "CREATE TABLE by_name WITH (format = 'PARQUET', partitioned_by = ARRAY['name']) "
        "AS SELECT age, name FROM people"
    )
    assert people.rows("SHOW PARTITIONS by_name")[-2:] == [["name=ann"], ["name=bob"]]
    assert people.rows("SELECT age FROM by_name WHERE name = 'bob'")[1:] == [["41"]]


def test_a_query_can_be_cancelled_and_the_next_one_runs(athena: Athena) -> None:
    query_id = athena.start(ENDLESS)
    while (
        athena.api.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"]
        == "QUEUED"
    ):
        time.sleep(0.02)
    athena.api.stop_query_execution(QueryExecutionId=query_id)
    status = athena.wait(query_id)["Status"]
    assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Query cancelled by user")
    assert athena.rows("SELECT 1 AS n") == [["n"], ["1"]]
    with pytest.raises(ClientError, match="Query has not succeeded: CANCELLED"):
        athena.api.get_query_results(QueryExecutionId=query_id)


def test_the_same_token_is_the_same_query(athena: Athena) -> None:
    token = uuid.uuid4().hex
    first = athena.start("SELECT 1", ClientRequestToken=token)
    assert athena.start("SELECT 1", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        athena.start("SELECT 2", ClientRequestToken=token)


def test_a_workgroup_may_enforce_its_output_location(athena: Athena) -> None:
    name = f"group-{uuid.uuid4().hex[:8]}"
    location = f"s3://{athena.bucket}/enforced/"
    athena.api.create_work_group(
        Name=name, Configuration={"ResultConfiguration": {"OutputLocation": location}}
    )
    execution = athena.run("SELECT 1 AS n", WorkGroup=name)
    assert execution["ResultConfiguration"]["OutputLocation"].startswith(location)
    assert execution["WorkGroup"] == name
    athena.api.update_work_group(
        WorkGroup=name,
        Description="free",
        ConfigurationUpdates={
            "EnforceWorkGroupConfiguration": False,
            "ResultConfigurationUpdates": {"RemoveOutputLocation": True},
        },
    )
    group = athena.api.get_work_group(WorkGroup=name)["WorkGroup"]
    assert (group["Description"], group["Configuration"]["ResultConfiguration"]) == ("free", {})
    athena.run("SELECT 1 AS n", WorkGroup=name)
    with pytest.raises(ClientError, match="No output location provided"):
        athena.api.start_query_execution(QueryString="SELECT 1", WorkGroup=name)
    assert len(athena.api.list_query_executions(WorkGroup=name)["QueryExecutionIds"]) == 2
    athena.api.update_work_group(WorkGroup=name, State="DISABLED")
    with pytest.raises(ClientError, match="disabled"):
        athena.start("SELECT 1", WorkGroup=name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WorkGroup": "none"}, "WorkGroup none is not found"),
        ({"ResultConfiguration": {"OutputLocation": "s3://no-such-bucket-here/x/"}}, "no-such-bucket-here"),
        ({"ResultConfiguration": {"OutputLocation": "file:///tmp/"}}, "not a valid S3 path"),
    ],
)
def test_a_bad_request_is_refused_at_once(athena: Athena, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        athena.start("SELECT 1", **given)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert message in caught.value.response["Error"]["Message"]


def test_the_catalog_is_glues(people: Athena) -> None:
    place = {"CatalogName": "AwsDataCatalog", "DatabaseName": people.database}
    table = people.api.get_table_metadata(**place, TableName="people")["TableMetadata"]
    assert [column["Name"] for column in table["Columns"]] == ["name", "age"]
    assert table["Parameters"]["location"] == f"s3://{people.bucket}/tables/people/"
    listed = people.api.get_paginator("list_table_metadata").paginate(**place)
    assert [item["Name"] for page in listed for item in page["TableMetadataList"]] == ["people"]
    databases = people.api.get_paginator("list_databases").paginate(CatalogName="AwsDataCatalog")
    assert people.database in [item["Name"] for page in databases for item in page["DatabaseList"]]
    assert people.api.get_database(**place)["Database"]["Name"] == people.database
    with pytest.raises(people.api.exceptions.MetadataException):
        people.api.get_table_metadata(**place, TableName="gone")


def test_results_survive_a_restart(new_local_aws: Any) -> None:
    athena = Athena(new_local_aws())
    query_id = athena.run("SELECT 'kept' AS v")["QueryExecutionId"]
    athena.aws.restart(kill=True)
    rows = athena.api.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "kept"}]


def test_the_api_answers_while_a_query_computes(athena: Athena) -> None:
    busy = [athena.start(ENDLESS) for _ in range(3)]
    started = time.monotonic()
    states = [
        athena.api.get_query_execution(QueryExecutionId=item)["QueryExecution"]["Status"]["State"]
        for item in busy
    ]
    assert time.monotonic() - started < 5
    assert set(states) <= {"QUEUED", "RUNNING"}
    for query_id in busy:
        athena.api.stop_query_execution(QueryExecutionId=query_id)
        athena.wait(query_id)
