"""Distances between a stored baseline distribution and a window's, as deequ defines them.

Source: awslabs/deequ ``Distance.scala``, the library Model Monitor's analyzer is built on. ``n`` and ``m``
are numbers of values (not of sketch items).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import special  # scipy.stats would take longer to import than most windows to judge

from .sketch import Floats

ROBUST_CONSTANT = 1.8  # c(alpha) of the two-sample Kolmogorov-Smirnov test for alpha = 0.003


def numeric(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    """Largest difference of the two empirical distribution functions over the union of their values."""
    if not len(a[0]) or not len(b[0]):
        return 0.0
    keys = np.union1d(a[0], b[0])
    return float(np.max(np.abs(_ranks(*a, keys) - _ranks(*b, keys))))


def categorical(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Largest difference of two categories' shares over the union of the categories."""
    n, m = sum(a.values()), sum(b.values())
    if not n or not m:
        return 0.0
    return max(abs(a.get(key, 0) / n - b.get(key, 0) / m) for key in a.keys() | b.keys())


def robust(simple: float, n: float, m: float) -> float:
    """The distance beyond what two samples of these sizes may show by chance; 0 when it is within.

    At n = m = 100 the allowance is 0.25, so a threshold of 0.1 needs a distance above 0.35: small windows
    hardly ever alarm under the managed default. ``drift`` holds the check that is calibrated to the window's
    size.
    """
    if not n or not m:
        return 0.0
    return max(0.0, simple - ROBUST_CONSTANT * math.sqrt((n + m) / (n * m)))


def chi_squared(sample: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """p-value of the window's categories under the baseline's shares; NaN when fewer than two remain.

    Categories the baseline does not know are left out of the total the baseline is scaled to; small
    categories are regrouped, the smallest into the next smallest, until the test is sound (two categories: at
    least ten expected in each; more: at most a fifth of them below five).
    """
    known = {key: float(sample.get(key, 0)) for key in expected}
    total, base = sum(known.values()), sum(expected.values())
    if not total or not base:
        return math.nan
    cells = sorted((expected[key] * total / base, known[key]) for key in expected)
    while len(cells) > 1 and not _sound([cell[0] for cell in cells]):
        (e1, o1), (e2, o2), *rest = cells
        cells = sorted([(e1 + e2, o1 + o2), *rest])
    if len(cells) < 2:
        return math.nan
    wanted, observed = zip(*cells, strict=True)
    scaled = np.asarray(wanted) * sum(observed) / sum(wanted)
    return float(special.chdtrc(len(cells) - 1, np.sum((np.asarray(observed) - scaled) ** 2 / scaled)))


def _sound(expected: list[float]) -> bool:
    if len(expected) == 2:
        return min(expected) >= 10
    return sum(value < 5 for value in expected) <= 0.2 * len(expected)


def _ranks(values: Floats, weights: Floats, keys: Floats) -> Floats:
    cumulative = np.concatenate([[0.0], np.cumsum(weights)])
    ranks: Floats = cumulative[np.searchsorted(values, keys, side="right")] / cumulative[-1]
    return ranks
