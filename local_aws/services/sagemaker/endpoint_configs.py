"""Endpoint configurations: variants and data capture, stored; an endpoint reads them when it is deployed."""

from __future__ import annotations

import copy
from typing import Any

from . import errors, inputs, models
from .backend import Record, Service


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(request, "ExplainerConfig")
    name = request["EndpointConfigName"]
    arn = service.arn("endpoint-config", name)
    if service.find("endpoint-config", name):
        raise errors.validation(f'Cannot create already existing endpoint configuration "{arn}".')
    shadows = request.get("ShadowProductionVariants", [])
    if shadows and (len(shadows), len(request["ProductionVariants"])) != (1, 1):
        raise errors.validation(
            "A shadow variant stands beside exactly one production variant: "
            f"{len(request['ProductionVariants'])} production and {len(shadows)} shadow variants were given."
        )
    variants = [*request["ProductionVariants"], *shadows]
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) != len(names):
        raise errors.validation(
            f"Variant names must be unique within an endpoint configuration: {', '.join(names)}"
        )
    for variant in variants:
        _check_variant(service, variant)
    _check_async(service, request)
    _check_capture(service, request.get("DataCaptureConfig"))
    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    for variant in all_variants(record):
        variant.setdefault("InitialVariantWeight", 1.0)
    record.update(EndpointConfigArn=arn, CreationTime=service.now())
    service.add("endpoint-config", name, record, request.get("Tags"))
    return {"EndpointConfigArn": arn}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return get(service, request["EndpointConfigName"])


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    get(service, request["EndpointConfigName"])
    del service.records("endpoint-config")[request["EndpointConfigName"]]
    return {}


def get(service: Service, name: str) -> Record:
    record = service.find("endpoint-config", name)
    if record is None:
        arn = service.arn("endpoint-config", name)
        raise errors.validation(f'Could not find endpoint configuration "{arn}".')
    return record


def all_variants(config: Record) -> list[dict[str, Any]]:
    """The production variants, then the shadow variants."""
    return [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]


def asynchronous(config: Record) -> dict[str, Any] | None:
    """What the data plane is told about asynchronous inference; None when there is none."""
    given = config.get("AsyncInferenceConfig")
    if not given:
        return None
    output, topics = given["OutputConfig"], given["OutputConfig"].get("NotificationConfig") or {}
    instances = config["ProductionVariants"][0].get("InitialInstanceCount", 1)
    # AWS chooses what it finds best when the request does not say.
    each = (given.get("ClientConfig") or {}).get("MaxConcurrentInvocationsPerInstance", 1)
    return {
        "output": output["S3OutputPath"],
        "failure": output.get("S3FailurePath"),
        "concurrency": each * instances,
        "success_topic": topics.get("SuccessTopic"),
        "error_topic": topics.get("ErrorTopic"),
        "include": topics.get("IncludeInferenceResponseIn") or [],
    }


def capture(config: Record) -> dict[str, Any] | None:
    """What the data plane is told about capture; None when there is none."""
    given = config.get("DataCaptureConfig")
    if not given or not given.get("EnableCapture", True):
        return None
    modes = {option["CaptureMode"] for option in given["CaptureOptions"]}
    types = given.get("CaptureContentTypeHeader") or {}
    return {
        "percentage": given["InitialSamplingPercentage"],
        "destination": given["DestinationS3Uri"],
        "modes": [mode for mode in ("Input", "Output") if mode in modes or "InputAndOutput" in modes],
        "csv_content_types": types.get("CsvContentTypes") or [],
        "json_content_types": types.get("JsonContentTypes") or [],
    }


def capture_summary(config: Record) -> dict[str, Any] | None:
    """DescribeEndpoint.DataCaptureConfig: every member is required by AWS's model, the key's id included."""
    given = config.get("DataCaptureConfig")
    if not given:
        return None
    enabled = bool(given.get("EnableCapture", True))
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": given["InitialSamplingPercentage"],
        "DestinationS3Uri": given["DestinationS3Uri"],
        "KmsKeyId": given.get("KmsKeyId", ""),
    }


def _check_variant(service: Service, variant: dict[str, Any]) -> None:
    errors.refuse(
        variant,
        "AcceleratorType",
        "ManagedInstanceScaling",
        "InstancePools",
        "CapacityReservationConfig",
        "CoreDumpConfig",
    )
    if not variant.get("ModelName"):
        raise errors.unsupported(
            f"Variant {variant['VariantName']} without a ModelName (inference components)"
        )
    models.get(service, variant["ModelName"])


def _check_async(service: Service, request: dict[str, Any]) -> None:
    config = request.get("AsyncInferenceConfig")
    if not config:
        return
    if len(request["ProductionVariants"]) > 1 or request.get("ShadowProductionVariants"):
        raise errors.validation("An asynchronous endpoint has exactly one production variant.")
    errors.refuse(request["ProductionVariants"][0], "ServerlessConfig")
    output = config["OutputConfig"]
    if not output.get("S3OutputPath"):
        raise errors.unsupported(
            "AsyncInferenceConfig without an S3OutputPath (a bucket of the service's own)"
        )
    for member in ("S3OutputPath", "S3FailurePath"):
        bucket = inputs.split_uri(output.get(member) or output["S3OutputPath"])[0]
        if not service.context.objects.exists_bucket(bucket):
            raise errors.validation(
                f"The bucket of {member}, s3://{bucket}, does not exist: create it first."
            )


def _check_capture(service: Service, config: dict[str, Any] | None) -> None:
    if not config:
        return
    bucket = inputs.split_uri(config["DestinationS3Uri"])[0]
    if not service.context.objects.exists_bucket(bucket):
        raise errors.validation(
            f"The bucket of the capture destination {config['DestinationS3Uri']} does not exist: "
            f"create s3://{bucket} first."
        )
