"""awswrangler, unchanged, against local AWS: Athena in its three modes, the catalog, data sets on S3."""

from __future__ import annotations

import datetime
import uuid

import pandas as pd
import pytest

awswrangler = pytest.importorskip("awswrangler")


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(local_aws):
    """A bucket and a database with table `sales`, written by awswrangler."""
    name = f"wrangler_{uuid.uuid4().hex[:8]}"
    bucket = name.replace("_", "-")
    local_aws.client("s3").create_bucket(Bucket=bucket)
    awswrangler.catalog.create_database(name)
    frame = pd.DataFrame(
        {
            "item": ["pen", "ink", None, ""],
            "pieces": pd.array([3, 5, None, 0], dtype="Int64"),
            "price": [0.5, 12.25, float("nan"), 1e10],
            "sold": [datetime.date(2024, 1, day) for day in (1, 2, 3, 4)],
            "seen": pd.to_datetime(["2024-01-01 10:00", "2024-01-02 00:00", None, "2024-01-04 12:30"]),
            "open": [True, False, None, True],
            "region": ["n", "s", "n", "s"],
        }
    )
    awswrangler.s3.to_parquet(
        frame, f"s3://{bucket}/sales/", dataset=True, database=name, table="sales", partition_cols=["region"]
    )
    return name, bucket


@pytest.mark.parametrize(
    "mode",
    [
        {"ctas_approach": True},
        {"ctas_approach": False},
        {"ctas_approach": False, "unload_approach": True},
    ],
    ids=["ctas", "plain", "unload"],
)
def test_read_sql_query_gives_typed_values(place, mode):
    database, bucket = place
    frame = awswrangler.athena.read_sql_query(
        "SELECT item, pieces, price, sold, seen, open, region, pieces / 2 AS half FROM sales ORDER BY sold",
        database=database,
        s3_output=f"s3://{bucket}/results/",
        **mode,
    )
    frame = frame.sort_values("sold").reset_index(drop=True)
    texts = frame["item"].tolist()
    assert texts[:2] == ["pen", "ink"]
    assert pd.isna(texts[2])
    assert frame["pieces"].tolist()[:2] == [3, 5]
    assert pd.isna(frame["pieces"][2])
    assert frame["half"].tolist()[:2] == [1, 2]
    assert frame["price"].tolist()[::3] == [0.5, 1e10]
    assert frame["sold"][0] == datetime.date(2024, 1, 1)
    assert frame["seen"][0] == pd.Timestamp("2024-01-01 10:00")
    assert frame["open"].tolist()[:2] == [True, False]
    assert frame["region"].tolist() == ["n", "s", "n", "s"]


def test_an_unload_is_json_in_a_folder_for_each_partition(place):
    database, bucket = place
    awswrangler.athena.unload(
        "SELECT item, pieces, region FROM sales", f"s3://{bucket}/out/", database, file_format="JSON",
        partitioned_by=["region"],
    )  # fmt: skip
    # awswrangler has the manifest written to the same place.
    frame = awswrangler.s3.read_json(f"s3://{bucket}/out/", dataset=True, path_suffix=".gz", lines=True)
    rows = sorted(zip(frame["region"], frame["item"].fillna("none"), strict=True))
    assert rows == [("n", "none"), ("n", "pen"), ("s", ""), ("s", "ink")]


def test_a_table_of_delimited_text_is_created_as_a_query(place):
    database, bucket = place
    awswrangler.athena.create_ctas_table(
        "SELECT item, price FROM sales WHERE price IS NOT NULL", database, "listed",
        s3_output=f"s3://{bucket}/results/", storage_format="TEXTFILE", field_delimiter=";",
        write_compression="gzip", wait=True,
    )  # fmt: skip
    (path,) = awswrangler.s3.list_objects(awswrangler.catalog.get_table_location(database, "listed"))
    frame = awswrangler.s3.read_csv(path, sep=";", header=None, na_values=["\\N"], keep_default_na=False)
    assert sorted(zip(frame[0], frame[1], strict=True)) == [("", 1e10), ("ink", 12.25), ("pen", 0.5)]


@pytest.mark.parametrize("ctas", [True, False])
def test_results_come_in_chunks(place, ctas):
    database, bucket = place
    chunks = awswrangler.athena.read_sql_query(
        "SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n)",
        database=database,
        s3_output=f"s3://{bucket}/results/",
        ctas_approach=ctas,
        chunksize=1000,
    )
    sizes = [len(chunk) for chunk in chunks]
    assert (sum(sizes), max(sizes)) == (2500, 1000)


def test_a_finished_query_is_read_by_its_id(place):
    database, bucket = place
    query_id = awswrangler.athena.start_query_execution(
        "SELECT region, count(*) AS rows_ FROM sales GROUP BY region ORDER BY region",
        database=database,
        s3_output=f"s3://{bucket}/results/",
        wait=True,
    )["QueryExecutionId"]
    frame = awswrangler.athena.get_query_results(query_id)
    assert frame.to_dict("list") == {"region": ["n", "s"], "rows_": [2, 2]}


def test_parameters_are_passed_as_literals(place):
    database, bucket = place
    frame = awswrangler.athena.read_sql_query(
        "SELECT item FROM sales WHERE item = ? AND pieces > ?",
        database=database,
        s3_output=f"s3://{bucket}/results/",
        params=["'ink'", "1"],
        paramstyle="qmark",
        ctas_approach=False,
    )
    assert frame["item"].tolist() == ["ink"]


def test_the_catalog_is_read_back(place):
    database, bucket = place
    assert awswrangler.catalog.table(database=database, table="sales")["Type"].tolist() == [
        "string",
        "bigint",
        "double",
        "date",
        "timestamp",
        "boolean",
        "string",
    ]
    assert awswrangler.catalog.get_parquet_partitions(database=database, table="sales") == {
        f"s3://{bucket}/sales/region=n/": ["n"],
        f"s3://{bucket}/sales/region=s/": ["s"],
    }


def test_a_failed_query_raises_athenas_reason(place):
    database, bucket = place
    with pytest.raises(awswrangler.exceptions.QueryFailed, match="COLUMN_NOT_FOUND"):
        awswrangler.athena.read_sql_query(
            "SELECT nope FROM sales", database=database, s3_output=f"s3://{bucket}/r/", ctas_approach=False
        )


def test_repair_and_temporary_tables_leave_nothing(place):
    database, bucket = place
    state = awswrangler.athena.repair_table("sales", database=database, s3_output=f"s3://{bucket}/results/")
    assert state == "SUCCEEDED"
    awswrangler.athena.read_sql_query("SELECT 1 AS n", database=database, s3_output=f"s3://{bucket}/tmp/")
    assert [table["Name"] for table in awswrangler.catalog.get_tables(database=database)] == ["sales"]
