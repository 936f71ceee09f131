"""Bodies of churn_training's own tasks: what the worker does itself, in seconds and without a data set.

What a person has to put right (a wrong param, an unusable evaluation, a failed smoke test) fails the task
without further tries; everything else may be tried again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Asset, Metadata
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from config import load
from mlops import gate as rule
from mlops.aws import client, split_s3
from mlops.champion import UnknownChampion
from mlops.churn import release, requests
from mlops.churn.plan import (
    CoolingDown,
    NoInput,
    Superseded,
    check_cooldown,
    check_newest,
    make_plan,
)
from mlops.forms import UnknownParams


def plan(params: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Copies the input into the run's prefix; notes champion and previous table; words every request."""
    clients = {name: client(name) for name in ("s3", "glue", "sagemaker")}
    try:
        if params["cooldown"]:
            check_cooldown(clients["sagemaker"], load(), run_id, datetime.now(UTC))
        if params["only_newest"] and params["data"]:
            check_newest(clients["s3"], params["data"])
        made = make_plan(load(), params, run_id, **clients)
    except (CoolingDown, Superseded) as reason:
        print(reason)  # Airflow does not show why a task was skipped
        raise AirflowSkipException(str(reason)) from None
    except (NoInput, UnknownChampion, UnknownParams) as error:
        raise AirflowFailException(str(error)) from None
    origin = made["lineage"]
    print(f"input {origin['data']} (version {origin['data_version']}), artefacts under {made['prefix']}")
    print(f"champion: {made['champion']['model_package'] if made['champion'] else 'none yet'}")
    return made


def skip_without_previous_run(context: Any) -> None:
    """A first run has nothing to be compared with."""
    if context["ti"].xcom_pull(task_ids="prepare.plan", key="previous_table") is None:
        raise AirflowSkipException("there is no table of a previous run to compare with")


def skip_unless_watched(context: Any) -> None:
    """Where nothing watches the model, nothing needs to know how it was."""
    if context["params"]["monitoring"] == "off":
        raise AirflowSkipException("monitoring is off for this run")


def gate(prefix: str, params: dict[str, Any], ti: Any = None) -> bool:
    """Decides; a refused challenger skips the release, and the run is a success."""
    bucket, key = split_s3(f"{prefix}evaluation/evaluation.json")
    evaluation = json.load(client("s3").get_object(Bucket=bucket, Key=key)["Body"])
    try:
        verdict = rule.decide(evaluation, margin=params["margin"], data_checks=params["data_checks"])
    except rule.EvaluationUnusable as error:
        raise AirflowFailException(f"s3://{bucket}/{key}: {error}") from None
    print(verdict)
    ti.xcom_push(key="verdict", value=verdict.as_dict())
    if verdict.approved and not params["deploy"]:
        print("the trigger form said not to deploy: the release is skipped")
    return verdict.approved and bool(params["deploy"])


def register(
    plan: dict[str, Any], training_job: str, model_uri: str, params: dict[str, Any]
) -> dict[str, Any]:
    """Registers the model with its evaluation and lineage; words the requests of its deployment."""
    settings = load()
    package = release.register(
        settings,
        sagemaker=client("sagemaker"),
        model_uri=model_uri,
        evaluation_uri=f"{plan['prefix']}evaluation/",
        baseline_uri=f"{plan['prefix']}baseline/" if params["monitoring"] != "off" else None,
        description=f"churn_training, training job {training_job}",
        metadata=release.lineage(plan, training_job),
    )
    print(f"model package {package}")
    name = release.release_name(settings, plan["lineage"]["run_key"], package)
    return {
        "model_package": package,
        "model": requests.model(settings, name, package),
        "endpoint_config": requests.endpoint_config(settings, name),
    }


def smoke_test(prefix: str, model_package: str) -> Iterator[Metadata]:
    """Rows of the hold-out through the endpoint must equal the batch scores."""
    settings = load()
    bucket, key = split_s3(f"{prefix}evaluation/smoke_sample.csv")
    sample = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    endpoint, tolerance = settings.churn_endpoint, settings.deployment.smoke_tolerance
    try:
        worst = release.smoke_test(client("sagemaker-runtime"), endpoint, sample, tolerance)
    except release.SmokeTestFailed as error:
        raise AirflowFailException(str(error)) from None
    print(f"endpoint {endpoint} answers as the batch did: largest difference {worst:.2g}")
    yield Metadata(endpoint_asset(), {"model_package": model_package})


def endpoint_asset() -> Asset:
    """The deployed endpoint, for DAGs that start when it changes."""
    settings = load()
    # A scheme of our own ("x-"): Airflow would import every provider's asset code to look for one of theirs.
    uri = f"x-sagemaker://{settings.region}/endpoint/{settings.churn_endpoint}"
    return Asset(name=f"{settings.churn_endpoint}-endpoint", uri=uri)
