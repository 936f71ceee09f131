"""Distances against scipy and by hand.

The sketch against exact ranks; thresholds against their stated rate.
"""

import json
import math

import numpy as np
import pytest
from scipy import stats

from sagemaker_scripts.monitoring import distance, drift
from sagemaker_scripts.monitoring.sketch import EXACT_DISTINCT, Sketch, binary_levels, buckets, read_items


def items(values):
    sketch = Sketch()
    sketch.add(np.asarray(values, dtype=float))
    return sketch.items()


def test_numeric_distance_is_the_two_sample_ks_statistic():
    random = np.random.default_rng(0)
    a, b = random.normal(size=300), random.normal(0.4, size=200)
    assert distance.numeric(items(a), items(b)) == pytest.approx(stats.ks_2samp(a, b).statistic)


def test_robust_distance_takes_off_what_chance_allows():
    assert distance.robust(0.5, 100, 100) == pytest.approx(0.5 - 1.8 * math.sqrt(0.02))
    assert 1.8 * math.sqrt(0.02) == pytest.approx(0.2546, abs=5e-5)
    assert distance.robust(0.2, 100, 100) == 0.0
    assert distance.robust(0.5, 100, 10_000) == pytest.approx(0.5 - 0.181, abs=5e-4)


def test_the_robust_distance_of_a_handful_of_rows_is_never_drift():
    """Six rows of one world against six of another: as far apart as can be, and no alarm (Simple: 1)."""
    a, b = np.arange(6), np.arange(6) + 100
    assert distance.numeric(items(a), items(b)) == 1.0
    assert distance.robust(1.0, 6, 6) == 0.0
    assert distance.robust(1.0, 1000, 1000) > 0.9


def test_categorical_distance_is_the_largest_difference_of_shares():
    assert distance.categorical({"a": 50, "b": 50}, {"a": 20, "b": 60, "c": 20}) == pytest.approx(0.3)


def test_chi_squared_equals_scipy_and_regroups_small_categories():
    expected, sample = {"a": 500, "b": 300, "c": 200}, {"a": 90, "b": 70, "c": 40, "new": 30}
    reference = stats.chisquare([90, 70, 40], [100, 60, 40]).pvalue
    assert distance.chi_squared(sample, expected) == pytest.approx(reference)
    # Expected counts in a sample of 40: 20, 18, 1, 1 -> the two small ones join each other, then the next
    # smallest.
    rare = distance.chi_squared({"a": 22, "b": 16, "c": 1, "d": 1}, {"a": 200, "b": 180, "c": 10, "d": 10})
    assert rare == pytest.approx(stats.chisquare([22, 18], [20, 20]).pvalue)
    assert math.isnan(distance.chi_squared({"a": 10}, {"a": 100}))


def test_sketch_is_exact_while_few_values_differ():
    values = np.random.default_rng(1).integers(0, 500, 200_000).astype(float)
    sketch = Sketch()
    for part in np.array_split(values, 7):
        sketch.add(part)
    assert sketch.exact
    found, weights = sketch.items()
    expected, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(weights, counts)
    read, read_weights = read_items(json.loads(json.dumps(sketch.to_json())))
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(read_weights, counts)


def test_weights_are_spread_over_levels_by_bits():
    levels = binary_levels(np.array([5.0, 9.0]), np.array([13.0, 2.0]))
    assert [level.tolist() for level in levels] == [[5.0], [9.0], [5.0], [5.0]]


def test_sketch_of_many_values_keeps_ranks_within_a_half_percent():
    values = np.random.default_rng(2).normal(size=1_000_000)
    sketch = Sketch()
    for part in np.array_split(values, 20):
        sketch.add(part)
    assert not sketch.exact
    found, weights = sketch.items()
    assert weights.sum() == len(values)
    assert len(found) < 3 * EXACT_DISTINCT
    ordered = np.sort(values)
    ranks = np.cumsum(weights) / len(values)
    true = np.searchsorted(ordered, found, side="right") / len(values)
    assert np.max(np.abs(ranks - true)) < 0.005


def test_buckets_are_half_open_but_for_the_last():
    values, weights = items([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    found = buckets(values, weights, 0, 10)
    assert [bucket["count"] for bucket in found] == [1] * 9 + [2]
    assert found[3]["lower_bound"] == 3.0
    values, weights = items([4, 4, 4])
    same = buckets(values, weights, 4, 4)
    assert sum(bucket["count"] for bucket in same) == 3


@pytest.mark.parametrize("rows", [200, 2000])
def test_drift_thresholds_keep_their_rate(rows):
    random = np.random.default_rng(3)
    alpha, hits = 0.05, {"normal": 0, "flag": 0, "rare": 0}
    draw = {
        "normal": lambda n: random.normal(size=n),
        "flag": lambda n: (random.random(n) < 0.3).astype(float),
        "rare": lambda n: (random.random(n) < 0.02).astype(float),
    }
    for _ in range(400):
        for name, make in draw.items():
            found, limit = drift.numeric_drift(items(make(2333)), items(make(rows)), alpha)
            hits[name] += found > limit
    assert all(count / 400 <= 0.075 for count in hits.values()), hits


def test_a_difference_too_small_to_matter_is_not_drift():
    random = np.random.default_rng(4)
    found, limit = drift.numeric_drift(
        items(random.normal(size=100_000)), items(random.normal(0.05, size=100_000)), 0.001
    )
    assert found < limit == drift.SMALLEST


def test_missing_cells_are_judged_by_the_sample_sizes():
    assert not drift.completeness_falls(0.98, 2333, 194, 200, 0.001)  # 97 % of 200
    assert drift.completeness_falls(0.98, 2333, 160, 200, 0.001)
    assert not drift.completeness_falls(0.98, 2333, 200, 200, 0.001)
