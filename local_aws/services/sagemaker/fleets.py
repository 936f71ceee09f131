"""A fleet: the variants of one endpoint configuration with their models, as the data plane sees them."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.core.exceptions import ServiceException

from local_aws.images.registry import UnknownImage

from . import archives, dataplane, endpoint_configs, inputs, models
from .backend import Record, Service

# Artefacts are extracted and recorded, or collected, by one thread at a time.
_artefacts = threading.Lock()


class RolledBack(Exception):
    """The deployment cannot go on. The message is the endpoint's FailureReason."""


def add(service: Service, name: str, config: Record, weight: float) -> str:
    """Extract the models, record the fleet with its share of traffic, tell the data plane. Returns its id."""
    with _artefacts:
        with service.lock:
            record = service.records("endpoint")[name]
            identity: str = record["_deployment"]["fleet"]
            in_use = {
                Path(variant["model_dir"])
                for endpoint in service.records("endpoint").values()
                for fleet in endpoint["_fleets"]
                for variant in (*fleet["variants"], *fleet["shadows"])
            }
            known = any(fleet["id"] == identity for fleet in record["_fleets"])
        if not known:
            models.forget_artefacts(service, in_use)
            fleet = {
                "id": identity,
                "weight": weight,
                "variants": _variants(service, config["ProductionVariants"]),
                "shadows": _shadows(service, config),
            }
            with service.lock:
                record = service.records("endpoint")[name]
                record["_fleets"] = [*record["_fleets"][:1], fleet]
                if weight:
                    record["_capture"] = endpoint_configs.capture(config)
                service.commit()
    dataplane.publish(service)
    return identity


def _shadows(service: Service, config: Record) -> list[dict[str, Any]]:
    """A shadow's share of copies is its weight over the production variant's, at most all of them."""
    shadows = _variants(service, config.get("ShadowProductionVariants", []))
    for shadow in shadows:
        shadow["weight"] = shadow_share(
            shadow["weight"], config["ProductionVariants"][0]["InitialVariantWeight"]
        )
    return shadows


def shadow_share(shadow: float, production: float) -> float:
    return min(1.0, shadow / production) if production else 0.0


def _variants(service: Service, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    variants = []
    for variant in wanted:
        try:
            model = models.servable(service, variant["ModelName"])
        except (inputs.BadInput, archives.BadArchive, UnknownImage, ServiceException) as error:
            raise RolledBack(
                f"Failed to load the model of variant {variant['VariantName']}: {error}"
            ) from error
        except OSError as error:
            raise RolledBack(
                f"Failed to store the model of variant {variant['VariantName']}: {error}"
            ) from error
        variants.append(
            {
                "name": variant["VariantName"],
                "weight": variant["InitialVariantWeight"],
                "model_dir": str(model.model_dir),
                "image": model.image_uri.rsplit("/", 1)[-1],
                "image_uri": model.image_uri,
                "environment": model.environment,
                "entry": None,
                "concurrency": (variant.get("ServerlessConfig") or {}).get("MaxConcurrency"),
            }
        )
    return variants


def summaries(
    variants: list[dict[str, Any]], images: dict[str, str], now: datetime, status: str | None = None
) -> list[dict[str, Any]]:
    """ProductionVariants of Describe. A variant's share is its weight over the sum of all."""
    return [
        {
            "VariantName": variant["VariantName"],
            "DeployedImages": [
                {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now}
                for image in [images.get(variant["VariantName"])]
                if image
            ],
            "CurrentWeight": 0.0 if status else variant["InitialVariantWeight"],
            "DesiredWeight": variant["InitialVariantWeight"],
            **_capacity(variant, bool(status)),
            **({"VariantStatus": [{"Status": status, "StartTime": now}]} if status else {}),
        }
        for variant in variants
    ]


def _capacity(variant: dict[str, Any], pending: bool) -> dict[str, Any]:
    """Instances, or what a serverless variant has in their place."""
    serverless = variant.get("ServerlessConfig")
    if serverless:
        return {
            "DesiredServerlessConfig": serverless,
            **({} if pending else {"CurrentServerlessConfig": serverless}),
        }
    count = variant.get("InitialInstanceCount", 1)
    return {"CurrentInstanceCount": 0 if pending else count, "DesiredInstanceCount": count}
