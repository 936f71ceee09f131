"""A mergeable summary of one numeric column: exact while it can be, a KLL sketch after that.

The stored form is that of deequ's KLL sketch (``sketch.data``: level *i* holds items of weight ``2**i``),
which Model Monitor's ``statistics.json`` carries. A column with few distinct values (flags, counts, amounts
in steps) is stored *exactly* in the same form: a value seen 13 times goes to levels 0, 2 and 3, because 13 =
1 + 4 + 8. A reader of the schema cannot tell the difference, and distances against a stored baseline need no
second look at the reference data.

KLL: Karnin, Lang, Liberty, "Optimal Quantile Approximation in Streams", 2016. k = 2048 and c = 0.64 are
deequ's defaults; the normalised rank error is then about 0.2 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

K = 2048
C = 0.64
EXACT_DISTINCT = 4096
BUCKETS = 10


@dataclass
class Sketch:
    """Values with weights.

    Exact (``values``/``counts``) up to 4,096 distinct values, KLL ``levels`` beyond.
    """

    values: Floats = field(default_factory=lambda: np.empty(0))
    counts: Floats = field(default_factory=lambda: np.empty(0))
    levels: list[Floats] = field(default_factory=list)
    seed: int = 7

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    @property
    def exact(self) -> bool:
        return not self.levels

    def add(self, values: Floats, counts: Floats | None = None) -> None:
        """Take in finite values, each ``counts`` times (once when None)."""
        if not len(values):
            return
        distinct, weights = _collapse(values, counts)
        if self.exact:
            self.values, self.counts = _collapse(
                np.concatenate([self.values, distinct]), np.concatenate([self.counts, weights])
            )
            if len(self.values) > EXACT_DISTINCT:
                self.levels = binary_levels(self.values, self.counts)
                self.values, self.counts = np.empty(0), np.empty(0)
                self._compact()
            return
        for height, items in enumerate(binary_levels(distinct, weights)):
            self._level(height)
            self.levels[height] = np.concatenate([self.levels[height], items])
        self._compact()

    def items(self) -> tuple[Floats, Floats]:
        """``(values ascending, weights)``; the weights sum to the number of values taken in."""
        if self.exact:
            return self.values, self.counts
        weights = [np.full(len(level), 2.0**height) for height, level in enumerate(self.levels)]
        return _collapse(np.concatenate(self.levels), np.concatenate(weights))

    def to_json(self) -> dict[str, Any]:
        levels = binary_levels(self.values, self.counts) if self.exact else self.levels
        return {
            "parameters": {"c": C, "k": float(K)},
            "data": [np.sort(level).tolist() for level in levels],
        }

    def _level(self, height: int) -> None:
        while len(self.levels) <= height:
            self.levels.append(np.empty(0))

    def _compact(self) -> None:
        """Halve every overfull level into the next one (a random half of each sorted pair survives)."""
        height = 0
        while height < len(self.levels):
            capacity = max(2, int(np.ceil(K * C ** (len(self.levels) - 1 - height))))
            level = self.levels[height]
            if len(level) > capacity:
                level = np.sort(level)
                odd = level[-1:] if len(level) % 2 else level[:0]
                pairs = level[: len(level) - len(odd)]
                self._level(height + 1)
                kept = pairs[int(self._random.integers(2)) :: 2]
                self.levels[height] = odd
                self.levels[height + 1] = np.concatenate([self.levels[height + 1], kept])
            height += 1


def binary_levels(values: Floats, counts: Floats) -> list[Floats]:
    """Spread weighted values over levels of weight 1, 2, 4, ... by the bits of their counts."""
    bits = counts.astype(np.int64)
    levels = []
    while bits.any():
        levels.append(values[(bits & 1) == 1])
        bits = bits >> 1
    return levels


def read_items(stored: dict[str, Any]) -> tuple[Floats, Floats]:
    """The weighted values of a stored ``sketch`` object, ascending."""
    levels = [np.asarray(level, dtype=float) for level in stored["data"]]
    weights = [np.full(len(level), 2.0**height) for height, level in enumerate(levels)]
    if not levels:
        return np.empty(0), np.empty(0)
    return _collapse(np.concatenate(levels), np.concatenate(weights))


def buckets(values: Floats, weights: Floats, low: float, high: float) -> list[dict[str, float]]:
    """Ten equal-width buckets from ``low`` to ``high``; half-open but for the last, as deequ counts them."""
    edges = low + (high - low) * np.arange(BUCKETS + 1) / BUCKETS
    cumulative = np.concatenate([[0.0], np.cumsum(weights)])
    below = cumulative[np.searchsorted(values, edges, side="left")]
    below[-1] = cumulative[-1]
    return [
        {
            "lower_bound": float(edges[i]),
            "upper_bound": float(edges[i + 1]),
            "count": float(below[i + 1] - below[i]),
        }
        for i in range(BUCKETS)
    ]


def _collapse(values: Floats, counts: Floats | None) -> tuple[Floats, Floats]:
    """Sorted distinct values and how often each occurs."""
    if counts is None:
        ordered = np.sort(values)
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else []
        return ordered[starts], np.diff(np.append(starts, len(ordered))).astype(float)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    if not len(ordered):
        return ordered, counts
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[starts], np.add.reduceat(counts[order], starts)
