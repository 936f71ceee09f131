"""Baselines of a model as its package in the registry names them: written there, found there.

The job `baseline` writes one folder for each monitor below its output. A package keeps where they are in the
two fields that SageMaker has for it: `ModelMetrics`, which the console shows, and `DriftCheckBaselines`,
which monitors compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MONITORS = ("data_quality", "model_quality", "bias", "attribution")


class NoBaselines(LookupError):
    """The model was registered without baselines; the message says which and what to do."""


@dataclass(frozen=True)
class Baseline:
    """S3 URIs of one monitor's baseline. `config`: what Clarify's monitors ask; else None."""

    constraints: str
    statistics: str | None = None
    config: str | None = None

    @property
    def prefix(self) -> str:
        """The folder that holds all of it."""
        return self.constraints.rsplit("/", 1)[0] + "/"


def model_metrics(prefix: str) -> dict[str, Any]:
    """`ModelMetrics` of a package but for the quality's statistics, which are the evaluation's."""
    bias = _json(f"{prefix}bias/analysis.json")
    return {
        "ModelDataQuality": _quality(f"{prefix}data_quality/"),
        "Bias": {"Report": bias, "PreTrainingReport": bias, "PostTrainingReport": bias},
        "Explainability": {"Report": _json(f"{prefix}attribution/analysis.json")},
    }


def drift_check_baselines(prefix: str) -> dict[str, Any]:
    """`DriftCheckBaselines` of a package: all four."""
    bias = _json(f"{prefix}bias/analysis.json")
    return {
        "ModelDataQuality": _quality(f"{prefix}data_quality/"),
        "ModelQuality": _quality(f"{prefix}model_quality/"),
        "Bias": {
            "ConfigFile": _json(f"{prefix}bias/analysis_config.json"),
            "PreTrainingConstraints": bias,
            "PostTrainingConstraints": bias,
        },
        "Explainability": {
            "ConfigFile": _json(f"{prefix}attribution/analysis_config.json"),
            "Constraints": _json(f"{prefix}attribution/analysis.json"),
        },
    }


def of_package(package: Mapping[str, Any]) -> dict[str, Baseline]:
    """Baseline by monitor, from DescribeModelPackage's answer. Raises NoBaselines."""
    checks = package.get("DriftCheckBaselines") or {}
    try:
        data, quality = checks["ModelDataQuality"], checks["ModelQuality"]
        bias, attribution = checks["Bias"], checks["Explainability"]
        return {
            "data_quality": Baseline(data["Constraints"]["S3Uri"], data["Statistics"]["S3Uri"]),
            "model_quality": Baseline(quality["Constraints"]["S3Uri"], quality["Statistics"]["S3Uri"]),
            "bias": Baseline(bias["PostTrainingConstraints"]["S3Uri"], config=bias["ConfigFile"]["S3Uri"]),
            "attribution": Baseline(
                attribution["Constraints"]["S3Uri"], config=attribution["ConfigFile"]["S3Uri"]
            ),
        }
    except KeyError as error:
        raise NoBaselines(
            f"model package {package['ModelPackageArn']} has no baseline ({error} is not among its "
            "DriftCheckBaselines): run churn_training with monitoring switched on"
        ) from None


def _quality(prefix: str) -> dict[str, Any]:
    return {
        "Statistics": _json(f"{prefix}statistics.json"),
        "Constraints": _json(f"{prefix}constraints.json"),
    }


def _json(uri: str) -> dict[str, str]:
    return {"ContentType": "application/json", "S3Uri": uri}
