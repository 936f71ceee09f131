"""Models: which container with which artefact. Nothing is loaded until something serves or transforms with
it.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.environment import role_environment
from local_aws.images import registry

from . import archives, containers, errors, inputs, packages
from .backend import Record, Service


@dataclass(frozen=True)
class Servable:
    """What a model server needs: an image, a folder with the extracted artefact, its environment."""

    image_uri: str
    model_dir: Path
    environment: dict[str, str]


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    name = request["ModelName"]
    if service.find("model", name):
        raise errors.validation(f'Cannot create already existing model "{service.arn("model", name)}".')
    if not _containers(request):
        raise errors.validation("A model needs a PrimaryContainer or Containers.")
    for container in _containers(request):
        _check_container(service, container)
    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    record["ModelArn"] = service.arn("model", name)
    record["CreationTime"] = service.now()
    record.setdefault("EnableNetworkIsolation", False)
    service.add("model", name, record, request.get("Tags"))
    return {"ModelArn": record["ModelArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return get(service, request["ModelName"])


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    get(service, request["ModelName"])
    del service.records("model")[request["ModelName"]]
    return {}


def get(service: Service, name: str) -> Record:
    record = service.find("model", name)
    if record is None:
        raise errors.validation(f'Could not find model "{service.arn("model", name)}".')
    return record


def check_servable(service: Service, name: str, kind: registry.Kind) -> None:
    """Refuse a model that nothing here can load, when it is to be deployed rather than when it fails."""
    resolved = _resolved(service, name)
    if len(resolved) != 1:
        raise errors.unsupported(f"Model {name}: an inference pipeline of {len(resolved)} containers")
    try:
        registry.resolve(
            resolved[0]["Image"],
            kind,
            python=service.context.jobs_python,
            environment=resolved[0].get("Environment"),
        )
    except registry.UnknownImage as error:
        raise errors.validation(f"Model {name}: {error}") from error


def servable(service: Service, name: str, folder: Path | None = None) -> Servable:
    """Resolve a model's container and extract its artefact: into `folder`, which must not exist, or into the
    shared store, once for each version of the artefact.

    Raises BadInput when the artefact is gone or BadArchive when it cannot be unpacked; takes no lock while it
    works on files.
    """
    with service.lock:
        [container] = copy.deepcopy(_resolved(service, name))
        role = get(service, name).get("ExecutionRoleArn")
    uri = containers.model_data(container)
    folder = folder or _shared_folder(service, name, uri)
    if not folder.exists():
        _extract(service, uri, folder)
    environment = role_environment(role) | (container.get("Environment") or {})
    return Servable(container["Image"], folder, environment)


def forget_artefacts(service: Service, in_use: set[Path]) -> None:
    """Remove extracted artefacts that no endpoint serves any longer."""
    for folder in _models_folder(service).glob("*"):
        if folder not in in_use and not folder.name.startswith("."):
            shutil.rmtree(folder, ignore_errors=True)


def _check_container(service: Service, container: dict[str, Any]) -> None:
    errors.refuse(container, "InferenceSpecificationName")
    if bool(container.get("Image")) == bool(container.get("ModelPackageName")):
        raise errors.validation("A container needs either an Image or a ModelPackageName.")
    for resolved in _resolve(service, container):
        containers.check(service, resolved)


def _containers(model: Record) -> list[dict[str, Any]]:
    primary = model.get("PrimaryContainer")
    return [primary] if primary else list(model.get("Containers") or ())


def _resolved(service: Service, name: str) -> list[dict[str, Any]]:
    """A model's containers, with model packages replaced by what they hold."""
    return [each for container in _containers(get(service, name)) for each in _resolve(service, container)]


def _resolve(service: Service, container: dict[str, Any]) -> list[dict[str, Any]]:
    """A container that names a model package stands for the package's; its environment is added."""
    name = container.get("ModelPackageName")
    if not name:
        return [container]
    package = packages.get(service, name)
    if package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise errors.validation(
            f"The model package {package['ModelPackageArn']} is {package['ModelApprovalStatus']}: approve it "
            "before a model is made of it."
        )
    extra = container.get("Environment") or {}
    return [
        {**resolved, "Environment": {**(resolved.get("Environment") or {}), **extra}}
        for resolved in package["InferenceSpecification"]["Containers"]
    ]


def _models_folder(service: Service) -> Path:
    return service.context.data_dir / "serving" / "models"


def _shared_folder(service: Service, name: str, uri: str | None) -> Path:
    """One folder for one version of one artefact: it is never written to again."""
    if uri is None:
        return _models_folder(service) / f"{name}-empty"
    bucket, key = inputs.split_uri(uri)
    versions = [f"{info.key} {info.etag} {info.size}" for info in service.context.objects.list(bucket, key)]
    digest = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]
    return _models_folder(service) / f"{name}-{digest}"


def _extract(service: Service, uri: str | None, folder: Path) -> None:
    if uri is None:
        folder.mkdir(parents=True)
    elif uri.endswith("/"):
        work = folder.with_name(f".{folder.name}")
        shutil.rmtree(work, ignore_errors=True)
        inputs.download(service, inputs.Source(uri), work)
        work.replace(folder)
    else:
        bucket, key = inputs.split_uri(uri)
        if [item.key for item in inputs.items(service, inputs.Source(uri))] != [key]:
            raise inputs.BadInput(f"Could not find model data at {uri}.")
        archives.extract(service.context.objects.path(bucket, key), folder, uri)
