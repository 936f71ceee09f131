"""Tags of every SageMaker resource that lives in our records."""

from __future__ import annotations

from typing import Any

from . import errors
from .backend import Record, Service

TAG_LIMIT = 50


def add(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    tags = find(service, request["ResourceArn"])["_tags"]
    given = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if len(tags | given) > TAG_LIMIT:
        raise errors.limit(f"A resource holds at most {TAG_LIMIT} tags.")
    tags.update(given)
    return {"Tags": _list(tags)}


def list_tags(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": _list(find(service, request["ResourceArn"])["_tags"])}


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    tags = find(service, request["ResourceArn"])["_tags"]
    for key in request["TagKeys"]:
        tags.pop(key, None)
    return {}


def is_ours(service: Service, arn: str) -> bool:
    """Whether an ARN's kind is one that we keep; moto keeps the others."""
    return arn.rsplit(":", 1)[-1].partition("/")[0] in service.backend.records


def find(service: Service, arn: str) -> Record:
    kind, _, name = arn.rsplit(":", 1)[-1].partition("/")
    record = service.find(kind, name)
    if record is None or record["_arn"] != arn:
        raise errors.validation(f"Could not find the resource {arn}.")
    return record


def _list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
