"""The model registry: model package groups and their numbered versions."""

from __future__ import annotations

import copy
from typing import Any

from . import containers, errors
from .backend import Record, Service


def create_group(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(request, "ManagedConfiguration")
    name = request["ModelPackageGroupName"]
    arn = service.arn("model-package-group", name)
    if service.find("model-package-group", name):
        raise errors.validation(f"Model Package Group already exists: {arn}")
    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    record.update(
        ModelPackageGroupArn=arn,
        CreationTime=service.now(),
        CreatedBy={},
        ModelPackageGroupStatus="Completed",
        _versions=0,
    )
    service.add("model-package-group", name, record, request.get("Tags"))
    return {"ModelPackageGroupArn": arn}


def describe_group(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return _group(service, request["ModelPackageGroupName"])


def delete_group(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    group = _group(service, request["ModelPackageGroupName"])
    name = group["ModelPackageGroupName"]
    if any(p.get("ModelPackageGroupName") == name for p in service.records("model-package").values()):
        raise errors.conflict(
            f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted because it still "
            "contains Model Packages."
        )
    del service.records("model-package-group")[name]
    return {}


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(
        request,
        "SourceAlgorithmSpecification",
        "ValidationSpecification",
        "CertifyForMarketplace",
        "ManagedStorageType",
    )
    earlier = _same_token(service, request.get("ClientToken"))
    if earlier:
        return {"ModelPackageArn": earlier["ModelPackageArn"]}
    group_name, own_name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if bool(group_name) == bool(own_name):
        raise errors.validation(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
            if group_name
            else "Either ModelPackageName or ModelPackageGroupName must be given."
        )
    for specification in [
        request.get("InferenceSpecification") or {},
        *request.get("AdditionalInferenceSpecifications", ()),
    ]:
        for container in specification.get("Containers", ()):
            containers.check(service, container)
    record = copy.deepcopy(
        {key: value for key, value in request.items() if key not in ("Tags", "ClientToken")}
    )
    key = _number(service, record, group_name) if group_name else _own_name(service, str(own_name))
    now = service.now()
    record.update(
        ModelPackageArn=service.arn("model-package", key),
        CreationTime=now,
        CreatedBy={},
        ModelPackageStatus="Completed",
        ModelPackageStatusDetails={"ValidationStatuses": [], "ImageScanStatuses": []},
        CertifyForMarketplace=False,
        _token=request.get("ClientToken"),
    )
    service.add("model-package", key, record, request.get("Tags"))
    return {"ModelPackageArn": record["ModelPackageArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return get(service, request["ModelPackageName"])


def update(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """Approval, metadata properties (added to what is there) and lineage of one version."""
    record = get(service, request["ModelPackageArn"])
    errors.refuse(
        request,
        "AdditionalInferenceSpecificationsToAdd",
        "InferenceSpecification",
        "ModelPackageRegistrationType",
    )
    for name in ("ModelApprovalStatus", "ApprovalDescription", "SourceUri", "ModelCard", "ModelLifeCycle"):
        if request.get(name) is not None:
            record[name] = copy.deepcopy(request[name])
    properties = {
        **record.get("CustomerMetadataProperties", {}),
        **request.get("CustomerMetadataProperties", {}),
    }
    for name in request.get("CustomerMetadataPropertiesToRemove", ()):
        properties.pop(name, None)
    if properties or "CustomerMetadataProperties" in record:
        record["CustomerMetadataProperties"] = properties
    record["LastModifiedTime"] = service.now()
    record["LastModifiedBy"] = {}
    return {"ModelPackageArn": record["ModelPackageArn"]}


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, request["ModelPackageName"])
    del service.records("model-package")[_key(record["ModelPackageArn"])]
    return {}


def get(service: Service, name: str) -> Record:
    """A model package by ARN, by `group/version` or, when it belongs to no group, by its name."""
    record = service.find("model-package", _key(name))
    if record is None:
        arn = name if name.startswith("arn:") else service.arn("model-package", name)
        raise errors.validation(f"ModelPackage {arn} does not exist.")
    return record


def _key(name: str) -> str:
    return name.rsplit(":model-package/", 1)[-1]


def _group(service: Service, name: str) -> Record:
    record = service.find("model-package-group", name.rsplit("/", 1)[-1])
    if record is None:
        arn = name if name.startswith("arn:") else service.arn("model-package-group", name)
        raise errors.validation(f"ModelPackageGroup {arn} does not exist.")
    return record


def _number(service: Service, record: Record, group_name: str) -> str:
    """Versions count up and are never given twice, also not after a version was deleted."""
    group = _group(service, group_name)
    group["_versions"] += 1
    record["ModelPackageGroupName"] = group["ModelPackageGroupName"]
    record["ModelPackageVersion"] = group["_versions"]
    # A version that nobody decided about waits for a decision.
    record.setdefault("ModelApprovalStatus", "PendingManualApproval")
    return f"{group['ModelPackageGroupName']}/{group['_versions']}"


def _own_name(service: Service, name: str) -> str:
    if service.find("model-package", name):
        raise errors.validation(f"Model Package already exists: {service.arn('model-package', name)}")
    return name


def _same_token(service: Service, token: str | None) -> Record | None:
    """A request that is sent again with its token is answered with what it made."""
    if not token:
        return None
    return next((p for p in service.records("model-package").values() if p.get("_token") == token), None)
