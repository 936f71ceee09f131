"""Which model the containers serve: told by a pointer in S3, believed when every worker says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlops.aws import split_s3

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment

ALIVE_SECONDS = 30.0  # a worker says what it serves every ten seconds


class SwapFailed(RuntimeError):
    """Not every worker serves the model; the message says who serves what, and why."""


def point(s3: Any, experiment: Experiment, model_id: str, model_uri: str) -> None:
    """Tell the containers which model to serve: one object, replaced as a whole."""
    bucket, key = split_s3(experiment.pointer)
    body = json.dumps({"model_id": model_id, "model_uri": model_uri}).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def pointed(s3: Any, experiment: Experiment) -> dict[str, str] | None:
    """What the containers were told last; None before the first time."""
    bucket, key = split_s3(experiment.pointer)
    try:
        return dict(json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]))
    except s3.exceptions.NoSuchKey:
        return None


def ask(runtime: Any, experiment: Experiment) -> dict[str, Any]:
    """What the instance that answers says of its workers."""
    answer = runtime.invoke_endpoint(
        EndpointName=experiment.endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"request_type": "model_id"}),
    )
    return dict(json.load(answer["Body"]))


def reported(dynamodb: Any, experiment: Experiment, now: float) -> list[dict[str, Any]]:
    """What every living worker of every instance has written down of itself."""
    from boto3.dynamodb.types import TypeDeserializer

    deserializer = TypeDeserializer()
    pages = dynamodb.get_paginator("query").paginate(
        TableName=experiment.settings.bandit_table("workers"),
        KeyConditionExpression="experiment_id = :e",
        ExpressionAttributeValues={":e": {"S": experiment.id}},
        ConsistentRead=True,
    )
    items = [
        {name: deserializer.deserialize(value) for name, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]
    return [item for item in items if float(item.get("seen_at", 0)) >= now - ALIVE_SECONDS]


def finding(workers: list[Mapping[str, Any]], model_id: str) -> str:
    """`served` when every worker serves the model, `waiting` while one does not yet.

    Raises SwapFailed when one has tried it and gone back.
    """
    for worker in workers:
        if worker.get("status") == "rolled_back" and worker.get("target_model_id") == model_id:
            name = worker.get("worker_id") or worker.get("worker")
            raise SwapFailed(
                f"worker {name} went back to {worker.get('model_id')}: {worker.get('reason')}; the endpoint "
                "keeps the model it had"
            )
    served = workers and all(worker.get("model_id") == model_id for worker in workers)
    return "served" if served else "waiting"


def verify(
    runtime: Any,
    dynamodb: Any,
    experiment: Experiment,
    model_id: str,
    *,
    seconds: float,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until every worker serves the model; returns their number.

    Asked are both the endpoint and the workers' own records: the one answers for an instance, the others are
    of all instances, and may be ten seconds old. Raises SwapFailed.
    """
    deadline = clock() + seconds
    while True:
        asked = ask(runtime, experiment)
        written = reported(dynamodb, experiment, clock())
        workers = [*asked.get("workers", []), *written]
        if finding(workers, model_id) == "served" and asked["model_id"] == model_id:
            return len({worker.get("worker_id") or worker.get("worker") for worker in workers})
        if clock() >= deadline:
            served = sorted({str(worker.get("model_id")) for worker in workers})
            raise SwapFailed(
                f"after {seconds:g} s not every worker of {experiment.endpoint} serves {model_id}: "
                f"{len(workers)} reports name {', '.join(served) or 'nothing'}"
            )
        sleep(0.25)
