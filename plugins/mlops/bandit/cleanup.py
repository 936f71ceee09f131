"""Everything that an experiment created, deleted; and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlops.aws import delete_prefix, is_missing
from mlops.bandit import catalog
from mlops.bandit.store import Store, UnknownRecord

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment


def clean(experiment: Experiment, client: Callable[[str], Any], *, records: bool = True) -> list[str]:
    """Delete the experiment's endpoint, models, streams, tables, objects, dashboard, logs and records.

    What is deleted goes by the names of the store's records, by the experiment's own names and by its own
    prefix, so that another experiment whose id begins alike is safe. Jobs stay in SageMaker's history: AWS
    cannot delete them. A second call finds nothing and does nothing.

    :param client: service name -> boto3 client
    :param records: also the records of the store; without them the experiment could be resumed
    :returns: what was deleted, one line each
    """
    store = Store(experiment.settings, client("dynamodb"))
    try:
        models = list(store.models(experiment.id)) if store.experiment(experiment.id) else []
        known = True
    except UnknownRecord:
        models, known = [], False
    deleted = [*_sagemaker(client("sagemaker"), experiment, models)]
    firehose = client("firehose")
    for name in experiment.streams.values():
        if _done(firehose.delete_delivery_stream, DeliveryStreamName=name, AllowForceDelete=True):
            deleted.append(f"stream {name}")
    deleted += [f"table {name}" for name in catalog.delete_tables(client("glue"), experiment)]
    if _done(client("cloudwatch").delete_dashboards, DashboardNames=[experiment.endpoint]):
        deleted.append(f"dashboard {experiment.endpoint}")
    if _done(client("logs").delete_log_group, logGroupName=f"/aws/sagemaker/Endpoints/{experiment.endpoint}"):
        deleted.append(f"log group of {experiment.endpoint}")
    if objects := delete_prefix(client("s3"), experiment.s3()):
        deleted.append(f"{objects} objects under {experiment.s3()}")
    if workers := _workers(client("dynamodb"), experiment):
        deleted.append(f"{workers} records of workers")
    if records and known:
        deleted.append(f"{store.delete(experiment.id)} records of the store")
    return deleted


def _sagemaker(sagemaker: Any, experiment: Experiment, models: list[dict[str, Any]]) -> list[str]:
    deleted = []
    if _done(sagemaker.delete_endpoint, EndpointName=experiment.endpoint):
        sagemaker.get_waiter("endpoint_deleted").wait(
            EndpointName=experiment.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 600}
        )
        deleted.append(f"endpoint {experiment.endpoint}")
    for record in models:
        name = experiment.release(record["model_id"])
        if _done(sagemaker.delete_endpoint_config, EndpointConfigName=name):
            deleted.append(f"endpoint configuration {name}")
        if _done(sagemaker.delete_model, ModelName=name):
            deleted.append(f"model {name}")
    return deleted


def _workers(dynamodb: Any, experiment: Experiment) -> int:
    table = experiment.settings.bandit_table("workers")
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="experiment_id = :e",
        ExpressionAttributeValues={":e": {"S": experiment.id}},
        ProjectionExpression="experiment_id, worker_id",
    )
    keys = [item for page in pages for item in page["Items"]]
    for key in keys:
        dynamodb.delete_item(TableName=table, Key=key)
    return len(keys)


def _done(call: Callable[..., Any], **arguments: Any) -> bool:
    """Make a call that deletes; False when there was nothing to delete."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if is_missing(error) or code in {
            "ResourceNotFoundException",
            "DashboardNotFoundError",
            "ResourceNotFound",
        }:
            return False
        raise
    return True
