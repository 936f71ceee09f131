"""The champion is what the endpoint serves: not a tag, not a table, which could disagree with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mlops.aws import is_missing


class UnknownChampion(RuntimeError):
    """The endpoint serves a model that cannot be compared with; the message says which and what to do."""


@dataclass(frozen=True)
class Champion:
    """A served model and what is needed to score with it. `metadata` is what was registered with it."""

    model_package: str
    model_uri: str
    encoder_uri: str
    metadata: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_champion(client: Any, endpoint: str) -> Champion | None:
    """Follow endpoint -> configuration -> model -> model package; None when nothing is served yet.

    `client` is boto3's for SageMaker. Raises UnknownChampion when the served model is not of our registry.
    """
    try:
        described = client.describe_endpoint(EndpointName=endpoint)
    except client.exceptions.ClientError as error:
        if is_missing(error):
            return None
        raise
    if described["EndpointStatus"] in {"Creating", "Failed", "Deleting"}:
        return None  # it has never served
    config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    model_name = config["ProductionVariants"][0]["ModelName"]
    model = client.describe_model(ModelName=model_name)
    containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])
    package_name = containers[0].get("ModelPackageName") if containers else None
    if not package_name:
        raise UnknownChampion(
            f"endpoint {endpoint} serves model {model_name}, which is not from the model registry: it cannot "
            "be compared with a challenger. Delete the endpoint, or let it serve a registered model"
        )
    package = client.describe_model_package(ModelPackageName=package_name)
    metadata = dict(package.get("CustomerMetadataProperties", {}))
    if "encoder_uri" not in metadata:
        raise UnknownChampion(
            f"model package {package_name}, served by endpoint {endpoint}, has no encoder_uri among its "
            "metadata: its features cannot be computed. Delete the endpoint, or deploy a model of ours"
        )
    return Champion(
        model_package=package["ModelPackageArn"],
        model_uri=package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        encoder_uri=metadata["encoder_uri"],
        metadata=metadata,
    )
