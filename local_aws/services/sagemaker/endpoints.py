"""Endpoints: created, updated, re-weighted and deleted. The work itself is in deployments."""

from __future__ import annotations

import copy
from typing import Any

from . import deployments, endpoint_configs, errors, models, rollout
from .backend import Record, Service


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointName"]
    arn = service.arn("endpoint", name)
    if service.find("endpoint", name):
        raise errors.validation(f'Cannot create already existing endpoint "{arn}".')
    _check_region(service)
    config = _deployable(service, request["EndpointConfigName"])
    rollout.plan(request.get("DeploymentConfig"), _instances(config))
    now = service.now()
    record: Record = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": config["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "_fleets": [],
        "_capture": None,
        "_config": copy.deepcopy(config),
    }
    service.add("endpoint", name, record, request.get("Tags"))
    deployments.begin_create(service, record)
    return {"EndpointArn": arn}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return get(service, request["EndpointName"])


def update(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = _in_service(service, request["EndpointName"])
    config = copy.deepcopy(_deployable(service, request["EndpointConfigName"]))
    if request.get("RetainAllVariantProperties"):
        excluded = {p["VariantPropertyType"] for p in request.get("ExcludeRetainedVariantProperties", ())}
        _retain(record, config, excluded)
    policy = request.get("DeploymentConfig")
    if request.get("RetainDeploymentConfig"):
        policy = policy or record.get("LastDeploymentConfig")
    deployments.check_alarms(service, rollout.plan(policy, _instances(config)))
    deployments.begin_update(service, record, config, copy.deepcopy(policy))
    return {"EndpointArn": record["EndpointArn"]}


def update_weights(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = _in_service(service, request["EndpointName"])
    known = {variant["VariantName"]: variant for variant in endpoint_configs.all_variants(record)}
    for wanted in request["DesiredWeightsAndCapacities"]:
        errors.refuse(wanted, "ServerlessUpdateConfig")
        if wanted["VariantName"] not in known:
            raise errors.validation(
                f'The variant name(s) "{wanted["VariantName"]}" is/are not present within endpoint '
                f'configuration "{record["EndpointConfigName"]}".'
            )
    for wanted in request["DesiredWeightsAndCapacities"]:
        variant = known[wanted["VariantName"]]
        for member in ("DesiredWeight", "DesiredInstanceCount"):
            if wanted.get(member) is not None:
                variant[member] = wanted[member]
    deployments.begin_weights(service, record)
    return {"EndpointArn": record["EndpointArn"]}


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, request["EndpointName"])
    if record["EndpointStatus"] not in ("InService", "Failed", "OutOfService"):
        raise errors.validation(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
    deployments.begin_delete(service, record)
    return {}


def get(service: Service, name: str) -> Record:
    record = service.find("endpoint", name)
    if record is None:
        raise errors.validation(f'Could not find endpoint "{service.arn("endpoint", name)}".')
    return record


def _in_service(service: Service, name: str) -> Record:
    record = get(service, name)
    if record["EndpointStatus"] == "Failed":
        raise errors.validation(
            f'Cannot update endpoint "{record["EndpointArn"]}" in status Failed: delete it.'
        )
    if record["EndpointStatus"] != "InService":
        raise errors.validation(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
    return record


def _deployable(service: Service, config_name: str) -> Record:
    config = endpoint_configs.get(service, config_name)
    for variant in endpoint_configs.all_variants(config):
        models.check_servable(service, variant["ModelName"], "serving")
    return config


def _check_region(service: Service) -> None:
    """The data plane knows endpoints by name alone, so it serves one region."""
    if service.backend.region_name != service.context.region:
        raise errors.unsupported(
            f"An endpoint in {service.backend.region_name} (this server's region is {service.context.region})"
        )


def _instances(config: Record) -> int:
    return min(variant.get("InitialInstanceCount", 1) for variant in config["ProductionVariants"])


def _retain(record: Record, config: Record, excluded: set[str]) -> None:
    """Keep the weights, counts and capture of the running endpoint instead of the new configuration's."""
    current = {variant["VariantName"]: variant for variant in record["ProductionVariants"]}
    for variant in config["ProductionVariants"]:
        old = current.get(variant["VariantName"])
        if old and "DesiredWeight" not in excluded:
            variant["InitialVariantWeight"] = old["CurrentWeight"]
        if old and "DesiredInstanceCount" not in excluded and "CurrentInstanceCount" in old:
            variant["InitialInstanceCount"] = old["CurrentInstanceCount"]
    if "DataCaptureConfig" not in excluded and record["_config"].get("DataCaptureConfig"):
        config["DataCaptureConfig"] = copy.deepcopy(record["_config"]["DataCaptureConfig"])
