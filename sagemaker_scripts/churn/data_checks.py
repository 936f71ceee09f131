"""Checks of the data behind a challenger, on what the profile queries found: a bad file can train a good-
looking model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

# A model for a churn rate outside of this needs another look at what is called churn.
CHURN_RATE = (0.02, 0.5)
MISSING_SHARE = 0.05
CHURN_RATE_SHIFT = 0.05  # absolute, against the previous run's data


def check(profile: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """The entries of `data_checks` in evaluation.json. A query that did not run (no previous data) is not
    checked.

    Raises KeyError when a query's result lacks a column.
    """
    checks = []
    if "class_balance" in profile:
        checks.append(_class_balance(float(profile["class_balance"]["churn_rate"].iloc[0])))
    if "missing" in profile:
        checks.append(_missing(profile["missing"]))
    if "comparison" in profile:
        checks.append(_shift(profile["comparison"].set_index("statistic").loc["churn_rate"]))
    return checks


def _class_balance(rate: float) -> dict[str, Any]:
    low, high = CHURN_RATE
    return {
        "name": "class_balance",
        "value": rate,
        "previous": None,
        "limit": list(CHURN_RATE),
        "passed": low <= rate <= high,
        "message": f"{rate:.1%} of the customers churned, allowed are {low:.0%} to {high:.0%}",
    }


def _missing(found: pd.DataFrame) -> dict[str, Any]:
    worst = found.loc[found["missing_share"].astype(float).idxmax()]
    share = float(worst["missing_share"])
    return {
        "name": "missing",
        "value": share,
        "previous": None,
        "limit": MISSING_SHARE,
        "passed": share <= MISSING_SHARE,
        "message": f"at most {share:.1%} of a column's values are missing ({worst['column_name']}), "
        f"allowed are {MISSING_SHARE:.0%}",
    }


def _shift(rates: pd.Series) -> dict[str, Any]:
    current, previous = float(rates["current"]), float(rates["previous"])
    return {
        "name": "churn_rate_shift",
        "value": current,
        "previous": previous,
        "limit": CHURN_RATE_SHIFT,
        "passed": abs(current - previous) <= CHURN_RATE_SHIFT,
        "message": f"the churn rate went from {previous:.1%} to {current:.1%}, "
        f"allowed is a change of {100 * CHURN_RATE_SHIFT:g} percentage points",
    }
