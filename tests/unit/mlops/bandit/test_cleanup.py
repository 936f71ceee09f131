"""A clean-up takes what the experiment created, and leaves the neighbour whose id begins alike."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from config import load
from mlops.bandit import catalog, cleanup, metrics, requests, warm
from mlops.bandit.experiment import Experiment
from mlops.bandit.store import Store
from mlops.bandit.workflows import TRAINING

SETTINGS = load("local")


@pytest.fixture(scope="module")
def aws(tables: Any) -> Any:
    tables.client("s3").create_bucket(Bucket=SETTINGS.bucket)
    tables.client("glue").create_database(DatabaseInput={"Name": SETTINGS.glue_database})
    return tables


def create(aws: Any, experiment: Experiment) -> None:
    """What the DAGs create, but for the endpoint itself, which needs a policy to serve."""
    store = Store(SETTINGS, aws.client("dynamodb"))
    store.create(experiment.id)
    store.request(TRAINING, experiment.id, experiment.model_id("run-1"), "dag/run-1")
    catalog.create_tables(aws.client("glue"), experiment)
    warm.create_streams(aws.client("firehose"), experiment)
    warm.create_streams(aws.client("firehose"), experiment)  # as a retry does
    metrics.put_dashboard(aws.client("cloudwatch"), experiment)
    aws.client("s3").put_object(Bucket=SETTINGS.bucket, Key=f"{experiment.root}hosting.json", Body=b"{}")
    aws.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{experiment.endpoint}")
    aws.client("s3").put_object(Bucket=SETTINGS.bucket, Key="models/m.tar.gz", Body=b"model")
    model = requests.model(
        experiment, experiment.model_id("run-1"), f"s3://{SETTINGS.bucket}/models/m.tar.gz", "c1"
    )
    aws.client("sagemaker").create_model(**model)
    aws.client("sagemaker").create_endpoint_config(
        **requests.endpoint_config(experiment, experiment.model_id("run-1"))
    )
    aws.client("dynamodb").put_item(
        TableName=SETTINGS.bandit_table("workers"),
        Item={"experiment_id": {"S": experiment.id}, "worker_id": {"S": "h:1"}},
    )


def things(aws: Any, experiment: Experiment) -> dict[str, Any]:
    """What is there of the experiment."""
    name = experiment.endpoint
    listed = aws.client("s3").list_objects_v2(Bucket=SETTINGS.bucket, Prefix=experiment.root)
    tables = aws.client("glue").get_tables(DatabaseName=SETTINGS.glue_database)["TableList"]
    streams = aws.client("firehose").list_delivery_streams(Limit=100)["DeliveryStreamNames"]
    models = aws.client("sagemaker").list_models()["Models"]
    configs = aws.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/sagemaker/Endpoints/{name}")
    dashboards = aws.client("cloudwatch").list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
    release = experiment.release(experiment.model_id("run-1"))
    return {
        "objects": listed["KeyCount"],
        "tables": sorted(t["Name"] for t in tables if t["Parameters"].get("experiment") == experiment.id),
        "streams": sorted(set(experiment.streams.values()) & set(streams)),
        "models": [m["ModelName"] for m in models if m["ModelName"] == release],
        "configs": [c["EndpointConfigName"] for c in configs if c["EndpointConfigName"] == release],
        "groups": [g["logGroupName"] for g in groups["logGroups"] if g["logGroupName"].endswith(f"/{name}")],
        "dashboards": [d["DashboardName"] for d in dashboards if d["DashboardName"] == name],
    }


def test_everything_goes_and_nothing_else(aws: Any) -> None:
    word = f"c{uuid.uuid4().hex[:6]}"
    experiment, neighbour = Experiment(SETTINGS, word), Experiment(SETTINGS, f"{word}-b")
    for one in (experiment, neighbour):
        create(aws, one)
    before = things(aws, neighbour)
    assert all(before.values()), before
    deleted = cleanup.clean(experiment, aws.client)
    assert not any(things(aws, experiment).values())
    assert things(aws, neighbour) == before
    assert Store(SETTINGS, aws.client("dynamodb")).experiment(neighbour.id)
    assert [line.split()[0] for line in deleted] == [
        "endpoint", "model", "stream", "stream", "table", "table", "table", "table",
        "dashboard", "log", "1", "1", "2",
    ]  # fmt: skip
    assert cleanup.clean(experiment, aws.client) == []
    # A new experiment of that id begins from nothing.
    create(aws, experiment)
    assert things(aws, experiment) == {**things(aws, experiment), "objects": 1}
    for one in (experiment, neighbour):
        cleanup.clean(one, aws.client)
