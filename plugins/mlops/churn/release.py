"""What happens to an approved challenger, apart from its deployment: registration and smoke test."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.churn import requests

if TYPE_CHECKING:
    from config import Settings


class SmokeTestFailed(AssertionError):
    """The endpoint's answers are not the batch scores; the message shows the worst rows."""


def register(
    settings: Settings,
    *,
    sagemaker: Any,
    model_uri: str,
    evaluation_uri: str,
    baseline_uri: str | None,
    description: str,
    metadata: Mapping[str, str],
) -> str:
    """ARN of the model package: the one that an earlier try registered, else a new one.

    `description` names the training job, so it is what tells packages apart.

    Not the provider's SageMakerRegisterModelVersionOperator: a retry of it registers the model again, and its
    metadata cannot come from other tasks.
    """
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=settings.churn_model_group, SortBy="CreationTime", SortOrder="Descending"
    )
    for page in pages:
        for summary in page["ModelPackageSummaryList"]:
            if summary.get("ModelPackageDescription") == description:
                return str(summary["ModelPackageArn"])
    request = requests.model_package(settings, model_uri, evaluation_uri, baseline_uri, description, metadata)
    return str(sagemaker.create_model_package(**request)["ModelPackageArn"])


def lineage(plan: Mapping[str, Any], training_job: str) -> dict[str, str]:
    """Where a model came from: the metadata of its package.

    SageMaker takes values of 1 to 256 characters: letters, digits, spaces and _.:/=+-@.
    """
    origin = plan["lineage"]
    values = {
        **{name: value for name, value in origin.items() if name != "champion_split"},
        "training_job": training_job,
        "table": plan["table"],
        "threshold": plan["threshold"],
        "encoder_uri": f"{plan['prefix']}data/encoder.json",
        "evaluation_uri": f"{plan['prefix']}evaluation/evaluation.json",
        "reason": " ".join(re.sub(r"[^\w\s.:/=+@-]", " ", origin["reason"] or "").split()),
    }
    return {key: value[:256] for key, value in values.items() if value}


def release_name(settings: Settings, run_key: str, package_arn: str) -> str:
    """Name of the model and the endpoint configuration of a model package: one package, one name."""
    return f"{settings.churn_endpoint}-{run_key}-v{package_arn.rsplit('/', 1)[-1]}"


def smoke_test(runtime: Any, endpoint: str, sample: str, tolerance: float) -> float:
    """Ask the endpoint for rows whose scores are known; the largest difference.

    `sample` is CSV: expected score, then the features. Raises SmokeTestFailed when an answer is missing, is
    not a number, or differs by more than `tolerance`.
    """
    rows = [row for row in csv.reader(io.StringIO(sample)) if row]
    if not rows:
        raise SmokeTestFailed("smoke_sample.csv has no rows")
    body = "\n".join(",".join(row[1:]) for row in rows)
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, ContentType="text/csv", Accept="text/csv", Body=body
    )
    text = answer["Body"].read().decode()
    try:
        # One value a line, or all in one line: SageMaker's XGBoost images do both.
        scores = [float(value) for value in text.replace(",", "\n").split()]
    except ValueError:
        raise SmokeTestFailed(f"endpoint {endpoint} answered what is not numbers: {text[:200]!r}") from None
    if len(scores) != len(rows):
        raise SmokeTestFailed(f"endpoint {endpoint} answered {len(scores)} scores for {len(rows)} rows")
    differences = [abs(score - float(row[0])) for score, row in zip(scores, rows, strict=True)]
    wrong = [index for index, difference in enumerate(differences) if not difference <= tolerance]
    if wrong:
        worst = sorted(wrong, key=lambda index: -differences[index])[:3]
        shown = "; ".join(
            f"row {index + 1}: {scores[index]!r} instead of {rows[index][0]}" for index in worst
        )
        raise SmokeTestFailed(
            f"{len(wrong)} of {len(rows)} scores of endpoint {endpoint} differ from the batch scores by more "
            f"than {tolerance:g}: {shown}"
        )
    return max(differences)
