"""From an approved version of the registry to the requests of its deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from config import load
from mlops.aws import client, is_missing
from mlops.champion import UnknownChampion, find_champion
from mlops.churn import release, requests

if TYPE_CHECKING:
    from config import Settings

EVALUATION = "evaluation/evaluation.json"  # under the prefix of the run that trained the version


class NotDeployable(ValueError):
    """This version cannot be served; the message says which and why."""


def plan(params: dict[str, Any]) -> dict[str, Any]:
    """Finds the version and the run it came from; words the requests of its deployment."""
    settings, sagemaker, arn = load(), client("sagemaker"), params["model_package"]
    try:
        made = deployment_of(settings, describe(sagemaker, arn))
        champion = find_champion(sagemaker, settings.churn_endpoint)
    except (NotDeployable, UnknownChampion) as error:
        raise AirflowFailException(str(error)) from None
    if champion and champion.model_package == arn:
        print(f"endpoint {settings.churn_endpoint} serves {arn} already: nothing to do")
        raise AirflowSkipException
    print(f"{arn}, trained by run {made['run_id']}; artefacts under {made['prefix']}")
    print(f"served until now: {champion.model_package if champion else 'nothing'}")
    return made


def describe(sagemaker: Any, arn: str) -> dict[str, Any]:
    """The version's description. Raises NotDeployable when there is none."""
    try:
        return dict(sagemaker.describe_model_package(ModelPackageName=arn))
    except sagemaker.exceptions.ClientError as error:
        if is_missing(error):
            raise NotDeployable(f"there is no model package {arn}") from None
        raise


def deployment_of(settings: Settings, package: Mapping[str, Any]) -> dict[str, Any]:
    """The requests, under the names that the version's own run gave them. Raises NotDeployable."""
    arn = package["ModelPackageArn"]
    if package["ModelApprovalStatus"] != "Approved":
        raise NotDeployable(f"model package {arn} is {package['ModelApprovalStatus']}: approve it first")
    origin = package.get("CustomerMetadataProperties", {})
    missing = [name for name in ("run_key", "run_id", "evaluation_uri") if name not in origin]
    if missing or not origin["evaluation_uri"].endswith(EVALUATION):
        raise NotDeployable(
            f"model package {arn} is not of churn_training (its metadata lack "
            f"{', '.join(missing) or 'its run'}): its endpoint could not be tested"
        )
    name = release.release_name(settings, origin["run_key"], arn)
    return {
        "model_package": arn,
        "run_id": origin["run_id"],
        "prefix": origin["evaluation_uri"].removesuffix(EVALUATION),
        "model": requests.model(settings, name, arn),
        "endpoint_config": requests.endpoint_config(settings, name),
    }
