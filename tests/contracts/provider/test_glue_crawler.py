"""The Amazon provider's crawler operator and sensor, unchanged, against local AWS."""

from __future__ import annotations

import uuid

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerOperator
from airflow.providers.amazon.aws.sensors.glue_crawler import GlueCrawlerSensor

ROLE = "arn:aws:iam::123456789012:role/glue"


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


def test_it_creates_updates_and_runs_a_crawler(local_aws):
    bucket = database = f"crawled-{uuid.uuid4().hex[:8]}"
    s3, glue = local_aws.client("s3"), local_aws.client("glue")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="in/people/a.csv", Body=b"name,age\nann,30\n")
    s3.put_object(Bucket=bucket, Key="in/clicks/a.json", Body=b'{"page": "x"}\n')
    config = {
        "Name": bucket,
        "Role": ROLE,
        "DatabaseName": database,
        "Targets": {"S3Targets": [{"Path": f"s3://{bucket}/in/people/"}]},
        "Tags": {"team": "ml"},
    }
    given = {"aws_conn_id": None, "region_name": "us-east-1", "poll_interval": 1}
    assert GlueCrawlerOperator(task_id="crawl", config=config, **given).execute({}) == bucket
    assert [table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]] == ["people"]

    config["Targets"] = {"S3Targets": [{"Path": f"s3://{bucket}/in/"}]}
    config["Tags"] = {"team": "data"}
    GlueCrawlerOperator(task_id="again", config=config, **given).execute({})
    found = {table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]}
    assert found == {"people", "clicks"}
    arn = f"arn:aws:glue:us-east-1:123456789012:crawler/{bucket}"
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {"team": "data"}
    sensor = GlueCrawlerSensor(
        task_id="ended", crawler_name=bucket, aws_conn_id=None, region_name="us-east-1"
    )
    assert sensor.poke({}) is True

    deferring = GlueCrawlerOperator(task_id="defer", config=config, deferrable=True, **given)
    with pytest.raises(TaskDeferred) as deferred:
        deferring.execute({})
    assert deferred.value.trigger.serialize()[1]["crawler_name"] == bucket
