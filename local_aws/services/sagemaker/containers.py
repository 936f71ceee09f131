"""What models and model packages have in common: a container definition, an image and an artefact in S3."""

from __future__ import annotations

from typing import Any

from local_aws.images import registry

from . import errors, inputs
from .backend import Service


def check(service: Service, container: dict[str, Any]) -> None:
    """Refuse a container that could never be loaded: unknown image, no artefact, a mode not served."""
    errors.refuse(container, "MultiModelConfig", "AdditionalModelDataSources", "AdditionalS3DataSource")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise errors.unsupported(f"Container Mode {container['Mode']}")
    try:
        registry.find(container["Image"])
    except registry.UnknownImage as error:
        raise errors.validation(str(error)) from error
    uri = model_data(container)
    if uri is None:
        return
    bucket, key = inputs.split_uri(uri)
    if (
        not uri.startswith("s3://")
        or not service.context.objects.exists_bucket(bucket)
        or not _has(service, bucket, key)
    ):
        raise errors.validation(f"Could not find model data at {uri}.")


def model_data(container: dict[str, Any]) -> str | None:
    """The artefact's URI: one tar.gz, or a prefix of files that are no archive (it ends in a slash)."""
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source:
        uri: str = source["S3Uri"]
        return uri if source["CompressionType"] == "Gzip" else uri.rstrip("/") + "/"
    return container.get("ModelDataUrl")


def _has(service: Service, bucket: str, key: str) -> bool:
    found = next(iter(service.context.objects.list(bucket, key)), None)
    return found is not None and (key.endswith("/") or found.key == key)
