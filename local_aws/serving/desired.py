"""What the control plane wants served: the schema of endpoints.json.

    {"version": 1, "endpoints": {"<name>": {
        "fleets": [{"id": "<endpoint config name>", "weight": 1.0, "variants": [
            {"name": "AllTraffic", "weight": 1.0, "model_dir": "<absolute folder of the extracted model>",
             "image": "<repository>:<tag>", "environment": {...}, "entry": null, "concurrency": null}],
            "shadows": [<variants whose weight is the share of the requests that they get a copy of>]}],
        "async": null | {"output": "s3://...", "failure": null, "concurrency": 1, "success_topic": null,
                         "error_topic": null, "include": []},
        "capture": null | {"percentage": 100, "destination": "s3://...", "modes": ["Input", "Output"],
                           "csv_content_types": ["text/csv"], "json_content_types": ["application/json"]}}}}

A fleet's weight is its share of the endpoint's traffic, a variant's its share of the fleet's. `concurrency`
is how many requests a serverless variant answers at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class DesiredStateError(ValueError):
    """endpoints.json cannot be used; the message says where."""


@dataclass(frozen=True)
class Capture:
    """percentage: 0..100 of the requests. destination: s3:// folder without a slash at its end."""

    percentage: float
    destination: str
    modes: tuple[str, ...]
    csv_content_types: tuple[str, ...]
    json_content_types: tuple[str, ...]


@dataclass(frozen=True)
class Async:
    """output, failure: s3:// folders without a slash at their end. concurrency: requests at once.
    include: the notifications that carry the answer itself."""

    output: str
    failure: str | None
    concurrency: int
    success_topic: str | None
    error_topic: str | None
    include: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """One model behind an endpoint. Two variants with the same identity are the same running model."""

    name: str
    weight: float
    model_dir: Path
    image: str
    environment: tuple[tuple[str, str], ...]
    entry: tuple[str, ...]
    concurrency: int | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.name, self.model_dir, self.image, self.environment, self.entry)

    @property
    def folder_name(self) -> str:
        """`<name>-<digest of the identity>`: the same after a restart, another for another model."""
        return f"{self.name}-{hashlib.sha256(repr(self.identity).encode()).hexdigest()[:17]}"


@dataclass(frozen=True)
class Fleet:
    """The variants of one endpoint config, and the share of the endpoint's traffic they get together."""

    id: str
    weight: float
    variants: tuple[Variant, ...]
    shadows: tuple[Variant, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """One endpoint: normally one fleet, two during a blue/green update."""

    name: str
    fleets: tuple[Fleet, ...]
    capture: Capture | None
    asynchronous: Async | None = None


def read(path: Path) -> dict[str, Endpoint]:
    """The desired endpoints by name; none when the file does not exist.

    Raises DesiredStateError naming the file and the part that is wrong.
    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text())
        if document["version"] != 1:
            raise DesiredStateError(f"{path}: version {document['version']} is not known, only 1.")
        return {name: _endpoint(name, value) for name, value in document["endpoints"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, DesiredStateError):
            raise
        raise DesiredStateError(f"{path}: {type(error).__name__}: {error}") from error


def _endpoint(name: str, value: dict[str, Any]) -> Endpoint:
    fleets = tuple(
        Fleet(
            id=fleet["id"],
            weight=float(fleet["weight"]),
            variants=tuple(_variant(variant) for variant in fleet["variants"]),
            shadows=tuple(_variant(variant) for variant in fleet.get("shadows") or ()),
        )
        for fleet in value["fleets"]
    )
    return Endpoint(name, fleets, _capture(value.get("capture")), _async(value.get("async")))


def _variant(value: dict[str, Any]) -> Variant:
    return Variant(
        name=value["name"],
        weight=float(value["weight"]),
        model_dir=Path(value["model_dir"]),
        image=value["image"],
        environment=tuple(sorted((value.get("environment") or {}).items())),
        entry=tuple(value.get("entry") or ()),
        concurrency=value.get("concurrency"),
    )


def _async(value: dict[str, Any] | None) -> Async | None:
    if value is None:
        return None
    return Async(
        output=_folder(value["output"], "asynchronous output"),
        failure=_folder(value["failure"], "asynchronous failure") if value.get("failure") else None,
        concurrency=int(value["concurrency"]),
        success_topic=value.get("success_topic"),
        error_topic=value.get("error_topic"),
        include=tuple(value.get("include") or ()),
    )


def _capture(value: dict[str, Any] | None) -> Capture | None:
    if value is None:
        return None
    return Capture(
        percentage=float(value["percentage"]),
        destination=_folder(value["destination"], "capture destination"),
        modes=tuple(value["modes"]),
        csv_content_types=tuple(value.get("csv_content_types") or ()),
        json_content_types=tuple(value.get("json_content_types") or ()),
    )


def _folder(uri: str, what: str) -> str:
    uri = uri.rstrip("/")
    if not uri.startswith("s3://") or ".." in uri.split("/"):
        raise ValueError(f"{what} {uri} is not an s3:// folder")
    return uri
