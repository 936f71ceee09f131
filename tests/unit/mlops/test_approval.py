"""An approved version becomes the requests that its own run would have made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from config import load
from mlops.churn.approval import NotDeployable, deployment_of, describe
from tests.unit.mlops import fakes

SETTINGS = load("local")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn-local/3"
PACKAGE: dict[str, Any] = {
    "ModelPackageArn": ARN,
    "ModelApprovalStatus": "Approved",
    "CustomerMetadataProperties": {
        "run_id": "manual__2026-11-21T09:15:00+00:00",
        "run_key": "manual-11210915-he5gynos",
        "evaluation_uri": "s3://b/runs/churn_training/manual-11210915-he5gynos/evaluation/evaluation.json",
    },
}


def test_the_names_are_those_of_the_run_that_trained_it() -> None:
    made = deployment_of(SETTINGS, PACKAGE)

    name = "churn-local-manual-11210915-he5gynos-v3"
    assert made["prefix"] == "s3://b/runs/churn_training/manual-11210915-he5gynos/"
    assert made["model"]["ModelName"] == name
    assert made["model"]["PrimaryContainer"] == {"ModelPackageName": ARN}
    assert made["endpoint_config"]["EndpointConfigName"] == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelApprovalStatus": "Rejected"}, "churn-local/3 is Rejected: approve it first"),
        ({"CustomerMetadataProperties": {}}, "not of churn_training .*lack run_key, run_id, evaluation_uri"),
        (
            {
                "CustomerMetadataProperties": {
                    "run_id": "1",
                    "run_key": "k",
                    "evaluation_uri": "s3://b/x.json",
                }
            },
            "not of churn_training",
        ),
    ],
)
def test_what_cannot_be_tested_is_not_served(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NotDeployable, match=message):
        deployment_of(SETTINGS, {**PACKAGE, **changes})


def test_a_version_that_is_not_there_is_named() -> None:
    def missing(ModelPackageName: str) -> None:
        raise fakes.error("ValidationException", f"ModelPackage {ModelPackageName} does not exist.")

    registry = SimpleNamespace(
        exceptions=SimpleNamespace(ClientError=ClientError), describe_model_package=missing
    )
    with pytest.raises(NotDeployable, match=f"there is no model package {ARN}"):
        describe(registry, ARN)
