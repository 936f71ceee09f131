"""Reading an `evaluation.json`: the same words, for churn's gate and the bandit's, for what it lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class EvaluationUnusable(ValueError):
    """evaluation.json lacks what the decision needs; the message names it."""


def value_of(values: Mapping[str, Any], key: str, where: str = "evaluation") -> Any:
    """The value of a key. Raises EvaluationUnusable where there is none."""
    if not isinstance(values, Mapping) or values.get(key) is None:
        raise EvaluationUnusable(f"{where} has no {key!r}")
    return values[key]


def number_of(values: Mapping[str, Any], key: str, where: str = "evaluation") -> float:
    """The finite number of a key. Raises EvaluationUnusable for anything else."""
    value = value_of(values, key, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EvaluationUnusable(f"{where}.{key} is {value!r}, not a finite number")
    return float(value)
