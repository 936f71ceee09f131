"""Crawlers through boto3: what they put into the catalog, and what Athena then reads."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.athena_support import Athena

ROLE = "arn:aws:iam::123456789012:role/crawler"


@pytest.fixture
def athena(local_aws: Any) -> Athena:
    return Athena(local_aws)


def put(athena: Athena, **objects: str) -> None:
    for key, text in objects.items():
        athena.s3.put_object(Bucket=athena.bucket, Key=key.replace("__", "/"), Body=text.encode())


def create(athena: Athena, name: str, path: str, **other: Any) -> str:
    name = f"{name}-{athena.database}"
    target = {"Path": f"s3://{athena.bucket}/{path}", "Exclusions": other.pop("exclusions", [])}
    athena.glue.create_crawler(
        Name=name, Role=ROLE, DatabaseName=athena.database, Targets={"S3Targets": [target]}, **other
    )
    return name


def crawl(athena: Athena, name: str) -> dict[str, Any]:
    """Run a crawler; returns its LastCrawl."""
    athena.glue.start_crawler(Name=name)
    deadline = time.monotonic() + 60
    while (crawler := athena.glue.get_crawler(Name=name)["Crawler"])["State"] != "READY":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    last: dict[str, Any] = crawler["LastCrawl"]
    return last


def tables(athena: Athena) -> dict[str, Any]:
    found = athena.glue.get_tables(DatabaseName=athena.database)["TableList"]
    return {table["Name"]: table for table in found}


def counts(athena: Athena, name: str) -> list[int]:
    metrics = athena.glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]
    return [metrics[f"Tables{verb}"] for verb in ("Created", "Updated", "Deleted")]


def test_a_crawler_makes_tables_that_athena_reads(athena: Athena) -> None:
    people = "name,age\nann,30\nbob,40\n"
    put(
        athena,
        **{
            "raw__people__year=2023__a.csv": people,
            "raw__people__year=2024__b.csv": people.replace("30", "50"),
            "raw__clicks__c.json": '{"page": "x", "at": {"s": 1}}\n{"page": "y"}\n',
            "raw__clicks___SUCCESS": "done",
            "raw__readme.md": "words",
        },
    )
    name = create(athena, "lake", "raw/", TablePrefix="t_")
    assert crawl(athena, name)["Status"] == "SUCCEEDED"
    found = tables(athena)
    assert sorted(found) == ["t_clicks", "t_people"]
    storage = found["t_people"]["StorageDescriptor"]
    assert storage["Columns"] == [{"Name": "name", "Type": "string"}, {"Name": "age", "Type": "bigint"}]
    assert storage["Location"] == f"s3://{athena.bucket}/raw/people/"
    assert found["t_people"]["PartitionKeys"] == [{"Name": "year", "Type": "string"}]
    parameters = found["t_people"]["Parameters"]
    assert parameters["classification"] == "csv"
    assert (parameters["recordCount"], parameters["objectCount"]) == ("4", "2")
    assert parameters["UPDATED_BY_CRAWLER"] == name
    assert athena.rows("SELECT year, sum(age) FROM t_people GROUP BY 1 ORDER BY 1")[1:] == [
        ["2023", "70"],
        ["2024", "90"],
    ]
    assert athena.rows("SELECT page, at.s FROM t_clicks ORDER BY 1")[1:] == [["x", "1"], ["y", None]]
    assert counts(athena, name) == [2, 0, 0]
    assert [item["State"] for item in athena.glue.list_crawls(CrawlerName=name)["Crawls"]] == ["COMPLETED"]
    logs = athena.aws.client("logs")
    events = logs.get_log_events(logGroupName="/aws-glue/crawlers", logStreamName=name)["events"]
    assert any("readme.md is neither CSV, JSON lines nor Parquet" in event["message"] for event in events)


def test_a_crawler_again_adds_what_is_new(athena: Athena) -> None:
    put(athena, **{"d__k=1__a.csv": "x,y\n1,a\n"})
    name = create(athena, "again", "d")
    crawl(athena, name)
    put(athena, **{"d__k=2__a.csv": "x,y\n1.5,a\n"})
    crawl(athena, name)
    assert counts(athena, name) == [0, 1, 0]
    columns = tables(athena)["d"]["StorageDescriptor"]["Columns"]
    assert columns == [{"Name": "x", "Type": "double"}, {"Name": "y", "Type": "string"}]
    partitions = athena.glue.get_partitions(DatabaseName=athena.database, TableName="d")["Partitions"]
    assert [partition["Values"] for partition in partitions] == [["1"], ["2"]]
    crawl(athena, name)
    assert counts(athena, name) == [0, 0, 0]


@pytest.mark.parametrize("behaviour", ["DELETE_FROM_DATABASE", "DEPRECATE_IN_DATABASE", "LOG"])
def test_data_that_is_gone(athena: Athena, behaviour: str) -> None:
    put(athena, g__a__f="x,y\n1,a\n", g__b__f='{"j": 1}\n', g__c__f="p,q\n1,a\n")
    policy = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": behaviour}
    name = create(athena, "gone", "g", SchemaChangePolicy=policy)
    crawl(athena, name)
    athena.s3.delete_object(Bucket=athena.bucket, Key="g/b/f")
    crawl(athena, name)
    found = tables(athena)
    assert ("b" in found) == (behaviour != "DELETE_FROM_DATABASE")
    assert counts(athena, name)[2] == (behaviour == "DELETE_FROM_DATABASE")
    if behaviour == "DEPRECATE_IN_DATABASE":
        assert found["b"]["Parameters"]["DEPRECATED_BY_CRAWLER"] == "true"


def test_exclusions_and_table_levels(athena: Athena) -> None:
    put(athena, e__a__k1__f="x,y\n1,a\n", e__b__k1__f="x,y\n1,a\n", e__tmp__f="x,y\n1,a\n")
    configuration = '{"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}}'
    name = create(athena, "levels", "e/", exclusions=["tmp/**"], Configuration=configuration)
    crawl(athena, name)
    assert sorted(tables(athena)) == ["a", "b"]


def test_errors(athena: Athena) -> None:
    name = create(athena, "errors", "x")
    glue = athena.glue
    for call, code in (
        (lambda: create(athena, "errors", "x"), "AlreadyExistsException"),
        (lambda: glue.start_crawler(Name="none"), "EntityNotFoundException"),
        (lambda: glue.stop_crawler(Name=name), "CrawlerNotRunningException"),
        (lambda: create(athena, "e2", "x", Schedule="cron(0 * * * ? *)"), "InvalidInputException"),
        (lambda: create(athena, "e3", "x", Configuration="{"), "InvalidInputException"),
        (lambda: create(athena, "e4", "x", exclusions=["{a"]), "InvalidInputException"),
        (lambda: glue.update_crawler(Name=name, Targets={"S3Targets": []}), "InvalidInputException"),
        (
            lambda: glue.update_crawler(Name=name, Targets={"JdbcTargets": [{"ConnectionName": "c"}]}),
            "InvalidInputException",
        ),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
    glue.update_crawler(Name=name, Targets={"S3Targets": [{"Path": "s3://no-such-bucket-here/x"}]})
    last = crawl(athena, name)
    assert (last["Status"], last["ErrorMessage"]) == (
        "FAILED",
        "The bucket of s3://no-such-bucket-here/x does not exist",
    )
    assert glue.get_crawler(Name=name)["Crawler"]["Version"] == 2
    glue.delete_crawler(Name=name)
    with pytest.raises(ClientError):
        glue.get_crawler(Name=name)
