"""Statements told apart, and Hive's table definitions read as the Glue catalog stores them."""

import pytest

from local_aws.services.athena.engine import forms, statements
from local_aws.services.athena.engine.errors import QueryError


def test_external_table_of_quoted_text():
    statement = statements.read(
        """
        CREATE EXTERNAL TABLE IF NOT EXISTS `Lake`.`Customers` (
            `Name` string COMMENT 'who', tags array<struct<k:string,v:int>>, price decimal(10,2))
        PARTITIONED BY (day string)
        ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
        WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '"', 'escapeChar' = '\\\\')
        STORED AS TEXTFILE
        LOCATION 's3://lake/customers/'
        TBLPROPERTIES ('skip.header.line.count' = '1')
        """
    )
    assert isinstance(statement, forms.CreateTable)
    assert (statement.name, statement.exists_ok) == (("lake", "customers"), True)
    storage = statement.table["StorageDescriptor"]
    assert storage["Columns"] == [
        {"Name": "name", "Type": "string", "Comment": "who"},
        {"Name": "tags", "Type": "array<struct<k:string,v:int>>"},
        {"Name": "price", "Type": "decimal(10,2)"},
    ]
    assert storage["Location"] == "s3://lake/customers/"
    assert storage["SerdeInfo"] == {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
        "Parameters": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
    }
    assert statement.table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    assert statement.table["Parameters"] == {"EXTERNAL": "TRUE", "skip.header.line.count": "1"}


def test_external_table_of_delimited_text():
    statement = statements.read(
        r"CREATE EXTERNAL TABLE t (a int) ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' LOCATION 's3://b/t/'"
    )
    assert isinstance(statement, forms.CreateTable)
    serde = statement.table["StorageDescriptor"]["SerdeInfo"]
    assert serde["SerializationLibrary"] == "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
    assert serde["Parameters"]["field.delim"] == "\t"


def test_partitions_are_added_with_and_without_locations():
    statement = statements.read(
        "ALTER TABLE lake.t ADD IF NOT EXISTS PARTITION (day = '2024-01-01', hour = 7) LOCATION 's3://b/x/' "
        "PARTITION (day = '2024-01-02', hour = 8)"
    )
    assert statement == forms.Catalog(
        "add_partitions",
        {
            "name": ("lake", "t"),
            "partitions": [
                {"values": {"day": "2024-01-01", "hour": "7"}, "location": "s3://b/x/"},
                {"values": {"day": "2024-01-02", "hour": "8"}, "location": None},
            ],
            "exists_ok": True,
        },
    )


@pytest.mark.parametrize(
    ("sql", "operation", "kind"),
    [
        ("SHOW DATABASES", "show_databases", "UTILITY"),
        ("SHOW TABLES IN `lake` 'a*'", "show_tables", "UTILITY"),
        ("SHOW PARTITIONS lake.t;", "show_partitions", "UTILITY"),
        ("DESCRIBE lake.t", "describe", "UTILITY"),
        ("MSCK REPAIR TABLE t", "repair_table", "DDL"),
        ("CREATE DATABASE IF NOT EXISTS lake", "create_database", "DDL"),
        ("DROP TABLE IF EXISTS `lake`.`t`", "drop_table", "DDL"),
        ("DROP DATABASE lake CASCADE", "drop_database", "DDL"),
    ],
)
def test_catalog_statements(sql, operation, kind):
    statement = statements.read(sql)
    assert isinstance(statement, forms.Catalog)
    assert (statement.operation, statement.kind) == (operation, kind)


def test_table_as_query_keeps_its_properties():
    statement = statements.read(
        "CREATE TABLE lake.t WITH (format = 'PARQUET', external_location = 's3://b/t/', "
        "partitioned_by = ARRAY['day'], write_compression = 'SNAPPY') AS SELECT 1 AS a, 'x' AS day"
    )
    assert isinstance(statement, forms.CreateTableAs)
    assert statement.partitioned_by == ["day"]
    assert statement.options == {
        "format": "PARQUET",
        "external_location": "s3://b/t/",
        "write_compression": "SNAPPY",
    }


def test_unload_finds_the_end_of_its_query():
    statement = statements.read(
        "UNLOAD (SELECT count(*) AS n, ')' AS s FROM t) TO 's3://b/out/' "
        "WITH (format = 'PARQUET', compression='snappy')"
    )
    assert isinstance(statement, forms.Unload)
    assert statement.location == "s3://b/out/"
    assert statement.options == {"format": "PARQUET", "compression": "snappy"}
    assert statement.query.sql("trino") == "SELECT COUNT(*) AS n, ')' AS s FROM t"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("EXPLAIN SELECT 1", "EXPLAIN is not computed by local AWS"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "MERGE is not computed by local AWS"),
        ("DELETE FROM t", "DELETE is not computed by local AWS"),
        ("SHOW TBLPROPERTIES t", "SHOW TBLPROPERTIES is not computed by local AWS"),
        ("ALTER TABLE t RENAME TO u", "only ADD and DROP PARTITION are computed by local AWS"),
        ("CREATE EXTERNAL TABLE t (a int) STORED AS ORC LOCATION 's3://b/'", "STORED AS ORC is not computed"),
        ("MSCK REPAIR t", "line 1:13: mismatched input 't'. Expecting: TABLE"),
    ],
)
def test_other_statements_are_refused_by_name(sql, expected):
    with pytest.raises(QueryError) as caught:
        statements.read(sql)
    assert expected in str(caught.value)
