"""Our own drift check: thresholds that follow from the two sample sizes, for a stated rate of false alarms.

Model Monitor's robust comparison asks for a distance of 0.1 *beyond* the allowance for chance, whatever the
sizes and however many columns are looked at: at 200 rows it sees almost nothing. Here each column is tested
at
``rate / columns`` (Bonferroni: valid whatever the dependence between columns, and one-hot columns depend on
each other), so a window without drift alarms with a probability of at most ``rate``. With many rows
everything differs from everything, so a difference must also reach ``SMALLEST`` to be called drift.

* numbers: two-sample Kolmogorov-Smirnov, with Massey's asymptotic critical value;
* flags and numbers with two values: difference of two shares, Fisher's exact test where counts are small;
* text: the same per category against the rest, at ``rate / columns / categories``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import special

from .distance import numeric
from .sketch import Floats

SMALLEST = 0.05
Items = tuple[Floats, Floats]


def numeric_drift(baseline: Items, window: Items, alpha: float) -> tuple[float, float]:
    """``(distance, threshold)`` at level ``alpha``; drift iff distance > threshold."""
    n, m = baseline[1].sum(), window[1].sum()
    if not n or not m:
        return 0.0, math.inf
    values = np.union1d(baseline[0], window[0])
    if len(values) <= 2:
        high = values[-1]
        return share_drift(_count(baseline, high), n, _count(window, high), m, alpha)
    critical = math.sqrt(-math.log(alpha / 2) / 2 * (n + m) / (n * m))
    return numeric(baseline, window), max(critical, SMALLEST)


def categorical_drift(
    baseline: Mapping[str, float], window: Mapping[str, float], alpha: float
) -> tuple[float, float]:
    """``(distance, threshold)`` of the category farthest beyond its own threshold."""
    n, m = sum(baseline.values()), sum(window.values())
    if not n or not m:
        return 0.0, math.inf
    keys = sorted(baseline.keys() | window.keys())
    pairs = [
        share_drift(baseline.get(key, 0), n, window.get(key, 0), m, alpha / max(1, len(keys) - 1))
        for key in keys
    ]
    return max(pairs, key=lambda pair: pair[0] - pair[1])


def share_drift(hits: float, n: float, window_hits: float, m: float, alpha: float) -> tuple[float, float]:
    """Distance of two shares and the threshold it must exceed at level ``alpha``."""
    distance = abs(hits / n - window_hits / m)
    pooled = (hits + window_hits) / (n + m)
    critical = -float(special.ndtri(alpha / 2)) * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if min(pooled, 1 - pooled) * min(n, m) < 10 and distance > min(critical, SMALLEST):
        # The normal approximation is optimistic for rare values: let the exact test decide.
        table = [[int(hits), int(n - hits)], [int(window_hits), int(m - window_hits)]]
        if _fisher(table) >= alpha:
            critical = max(critical, distance)
    return distance, max(critical, SMALLEST)


def completeness_falls(expected: float, baseline_rows: float, present: int, rows: int, alpha: float) -> bool:
    """Are fewer cells present than the baseline's share explains at level ``alpha`` (one-sided)?"""
    if not rows or present / rows >= expected:
        return False
    known = round(expected * baseline_rows)
    table = [[known, round(baseline_rows) - known], [present, rows - present]]
    return bool(_fisher(table, "greater") < alpha)


def _count(items: Items, value: float) -> float:
    values, weights = items
    return float(weights[values == value].sum())


def _fisher(table: list[list[int]], alternative: str = "two-sided") -> float:
    from scipy import stats  # a second to import, needed in few windows

    return float(stats.fisher_exact(table, alternative=alternative).pvalue)
