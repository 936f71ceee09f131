"""CTAS, INSERT INTO and UNLOAD in the forms of text: what is written is read back by Athena itself."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.contracts.boto3.athena_support import Athena

ROWS = """
SELECT * FROM (VALUES
    (1, 'plain', 0.5e0, true, timestamp '2024-01-31 10:20:30.400', date '2024-01-31', decimal '1.50'),
    (2, '', 1e10, false, NULL, NULL, NULL),
    (3, NULL, NULL, NULL, timestamp '2024-01-31 00:00:00', date '2024-02-29', decimal '-0.05')
) AS t (n, word, ratio, yes, moment, day, price)
"""
READ = [
    ["n", "word", "ratio", "yes", "moment", "day", "price"],
    ["1", "plain", "0.5", "true", "2024-01-31 10:20:30.400", "2024-01-31", "1.50"],
    ["2", "", "1.0E10", "false", None, None, None],
    ["3", None, None, None, "2024-01-31 00:00:00.000", "2024-02-29", "-0.05"],
]


@pytest.fixture(scope="module")
def athena(local_aws: Any) -> Athena:
    return Athena(local_aws)


def objects(athena: Athena, prefix: str) -> dict[str, bytes]:
    listed = athena.s3.list_objects_v2(Bucket=athena.bucket, Prefix=prefix).get("Contents", [])
    return {
        each["Key"]: athena.s3.get_object(Bucket=athena.bucket, Key=each["Key"])["Body"].read()
        for each in listed
    }


@pytest.mark.parametrize("form", ["TEXTFILE", "JSON"])
def test_a_table_as_query_is_read_back_as_it_was(athena: Athena, form: str) -> None:
    name = f"as_{form.lower()}"
    athena.run(f"CREATE TABLE {name} WITH (format = '{form}') AS {ROWS}")
    assert athena.rows(f"SELECT * FROM {name} ORDER BY n") == READ
    athena.run(f"INSERT INTO {name} (word, n) VALUES ('later', 4)")
    assert athena.rows(f"SELECT n, word, price FROM {name} WHERE n = 4")[1:] == [["4", "later", None]]
    serde = athena.glue.get_table(DatabaseName=athena.database, Name=name)["Table"]["StorageDescriptor"][
        "SerdeInfo"
    ]["SerializationLibrary"]
    assert (
        serde
        == {
            "TEXTFILE": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "JSON": "org.apache.hive.hcatalog.data.JsonSerDe",
        }[form]
    )


def test_text_has_no_header_no_quotes_and_null_as_hive_writes_it(athena: Athena) -> None:
    athena.run(
        f"UNLOAD ({ROWS}) TO 's3://{athena.bucket}/text/' WITH (format = 'TEXTFILE', field_delimiter = ',')"
    )
    ((key, body),) = objects(athena, "text/").items()
    assert key.endswith(".gz")
    assert gzip.decompress(body).decode().splitlines() == [
        "1,plain,0.5,true,2024-01-31 10:20:30.400,2024-01-31,1.50",
        r"2,,1.0E10,false,\N,\N,\N",
        r"3,\N,\N,\N,2024-01-31 00:00:00.000,2024-02-29,-0.05",
    ]
    athena.run(
        "CREATE EXTERNAL TABLE given (n int, word string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' "
        f"LOCATION 's3://{athena.bucket}/text/'"
    )
    assert athena.rows("SELECT n, word FROM given ORDER BY n")[1:] == [["1", "plain"], ["2", ""], ["3", None]]


def test_json_is_an_object_a_line_with_nested_values(athena: Athena) -> None:
    athena.run(
        "UNLOAD (SELECT 1 AS n, ARRAY[1, 2] AS list, CAST(ROW('x', NULL) AS ROW(a varchar, b integer)) AS "
        f"pair, CAST(NULL AS varchar) AS nothing) TO 's3://{athena.bucket}/json/' "
        "WITH (format = 'JSON', compression = 'NONE')"
    )
    ((key, body),) = objects(athena, "json/").items()
    assert not key.endswith(".gz")
    assert json.loads(body) == {"n": 1, "list": [1, 2], "pair": {"a": "x", "b": None}, "nothing": None}


@pytest.mark.parametrize("form", ["TEXTFILE", "JSON", "PARQUET"])
def test_partitions_keep_values_that_are_no_file_names(athena: Athena, form: str) -> None:
    name = f"by_city_{form.lower()}"
    athena.run(
        f"CREATE TABLE {name} WITH (format = '{form}', partitioned_by = ARRAY['city']) AS "
        "SELECT * FROM (VALUES (1, 'a/b c'), (2, 'd'), (3, 'a/b c')) AS t (n, city)"
    )
    assert athena.rows(f"SELECT n, city FROM {name} ORDER BY n")[1:] == [
        ["1", "a/b c"],
        ["2", "d"],
        ["3", "a/b c"],
    ]
    assert athena.rows(f"SELECT n FROM {name} WHERE city = 'd'")[1:] == [["2"]]


def test_an_unload_may_add_partitions_to_what_is_there(athena: Athena) -> None:
    for number in (1, 2):
        athena.run(
            f"UNLOAD (SELECT {number} AS n, 'x' AS city) TO 's3://{athena.bucket}/parts/' "
            "WITH (format = 'TEXTFILE', compression = 'NONE', partitioned_by = ARRAY['city'])"
        )
    written = objects(athena, "parts/")
    assert sorted(written.values()) == [b"1\n", b"2\n"]
    assert {key.rpartition("/")[0] for key in written} == {"parts/city=x"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("format = 'ORC'", "NOT_SUPPORTED: format ORC is not written by local AWS"),
        ("format = 'AVRO'", "NOT_SUPPORTED: format AVRO is not written by local AWS"),
        ("format = 'TEXTFILE', compression = 'BZIP2'", "NOT_SUPPORTED: compression BZIP2 of TEXTFILE"),
        ("format = 'TEXTFILE', field_delimiter = '||'", "INVALID_TABLE_PROPERTY: field_delimiter is one"),
        ("format = 'JSON', field_delimiter = ','", "INVALID_TABLE_PROPERTY: field_delimiter is one"),
    ],
)
def test_what_is_not_written_is_refused_by_name(athena: Athena, options: str, reason: str) -> None:
    failed: dict[str, Any] = athena.status(
        f"UNLOAD (SELECT 1 AS n) TO 's3://{athena.bucket}/refused/' WITH ({options})"
    )
    assert failed["StateChangeReason"].startswith(reason)
    assert objects(athena, "refused/") == {}


def test_arrays_in_text_are_refused(athena: Athena) -> None:
    failed = athena.status("CREATE TABLE lists WITH (format = 'TEXTFILE') AS SELECT ARRAY[1] AS l")
    assert failed["StateChangeReason"] == (
        "NOT_SUPPORTED: column 'l': local AWS does not write array(integer) to TEXTFILE"
    )
