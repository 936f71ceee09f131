"""Constraints on model-quality metrics, with a stated tolerance, and the violations of a window.

Model Monitor suggests the baseline's own value as threshold, so half of all windows of an unchanged model
alarm. Here ``tolerance`` says how many standard errors a metric may be worse than the baseline. 0 reproduces
the original. The standard error in ``additional_properties`` is a bootstrap one at the baseline's number of
rows N; a window of n rows (which varies too) is allowed ``tolerance * error * sqrt(1 + N / n)``, and the
threshold in the file is the one for ``expected_rows``.
"""

from __future__ import annotations

import math
from typing import Any

from .model_quality import SECTION, Answers, standard_errors

Json = dict[str, Any]

TOLERANCE = 3.5  # measured: see benchmarks/drift.py
LESS, GREATER = "LessThanThreshold", "GreaterThanThreshold"
LOWER_IS_BETTER = frozenset({"mae", "mse", "rmse", "false_positive_rate", "false_negative_rate"})
UNCONSTRAINED = frozenset({"au_prc"})
# The managed analyzer names rates in camel case, in violations only.
CAMEL = {
    "true_positive_rate": "truePositiveRate",
    "true_negative_rate": "trueNegativeRate",
    "false_positive_rate": "falsePositiveRate",
    "false_negative_rate": "falseNegativeRate",
}
_OPERATORS = {
    LESS: lambda value, limit: value < limit,
    GREATER: lambda value, limit: value > limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
}


def suggest(
    statistics: Json, answers: Answers, *, tolerance: float = 0.0, expected_rows: int = 0, seed: int = 7
) -> Json:
    """``constraints.json`` for the metrics of a baseline (best-constant metrics and curves get none).

    ``expected_rows``: rows of the windows to come, for the threshold in the file (0: as many as the
    baseline).
    """
    section = SECTION[answers.problem]
    errors = standard_errors(answers, seed=seed) if tolerance else {}
    found: Json = {}
    for name, body in statistics[f"{section}_metrics"].items():
        if "value" not in body or name.endswith("_best_constant_classifier") or name in UNCONSTRAINED:
            continue
        if body["value"] == "NaN":
            continue
        error = errors.get(name, 0.0)
        properties = {
            "baseline": body["value"],
            "standard_error": 0.0 if math.isnan(error) else error,
            "rows": len(answers),
            "tolerance": tolerance,
            "expected_rows": expected_rows or len(answers),
        }
        operator = GREATER if name in LOWER_IS_BETTER else LESS
        found[name] = {
            "threshold": _limit(properties, operator, properties["expected_rows"])
            if tolerance
            else body["value"],
            "comparison_operator": operator,
            "additional_properties": properties if tolerance else None,
        }
    classes = {"classes": sorted(set(answers.truth.tolist()))} if answers.problem.startswith("Multi") else {}
    return {"version": 0.0, f"{section}_constraints": found} | classes


def _limit(properties: Json, operator: str, rows: int) -> float:
    slack = properties["tolerance"] * properties["standard_error"] * math.sqrt(1 + properties["rows"] / rows)
    return float(properties["baseline"] + (slack if operator.startswith("Greater") else -slack))


def threshold(constraint: Json, rows: int) -> float:
    """The limit for a window of ``rows`` rows.

    A threshold that a person has edited stands: it no longer equals what the properties give.
    """
    properties = constraint.get("additional_properties") or {}
    written, operator = float(constraint["threshold"]), constraint["comparison_operator"]
    if properties.keys() >= {"baseline", "standard_error", "rows", "tolerance", "expected_rows"} and rows:
        suggested = _limit(properties, operator, properties["expected_rows"])
        return _limit(properties, operator, rows) if math.isclose(written, suggested) else written
    return written


def check(statistics: Json, constraints: Json) -> list[Json]:
    """Violations of a window's metrics; a metric that the window does not define is not judged."""
    section = next(key for key in constraints if key.endswith("_constraints")).removesuffix("_constraints")
    metrics = statistics.get(f"{section}_metrics", {})
    rows = statistics["dataset"]["item_count"]
    violations = []
    for name, constraint in constraints[f"{section}_constraints"].items():
        body = metrics.get(name)
        if body is None or body["value"] == "NaN":
            continue
        limit, operator = threshold(constraint, rows), constraint["comparison_operator"]
        if _OPERATORS[operator](body["value"], limit):
            spread = body.get("standard_deviation", "NaN")
            around = "" if spread == "NaN" else f" +/- {spread}"
            violations.append(
                {
                    "constraint_check_type": operator,
                    "description": f"Metric {name} with {body['value']}{around} was {operator} '{limit}'",
                    "metric_name": CAMEL.get(name, name),
                }
            )
    return violations
