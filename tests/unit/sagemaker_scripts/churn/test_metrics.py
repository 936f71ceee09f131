"""Metrics against numbers worked out by hand, and against scikit-learn."""

from __future__ import annotations

import math

import metrics
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

COSTS = {"false_negative": 500, "false_positive": 100, "true_positive": 100, "true_negative": 0}
LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0])
SCORES = np.array([0.9, 0.6, 0.3, 0.7, 0.5, 0.2, 0.1, 0.05])


@pytest.fixture(scope="module")
def many():
    draw = np.random.default_rng(3)
    labels = (draw.random(1000) < 0.2).astype(np.int64)
    scores = np.clip(np.round(0.2 + 0.3 * labels + draw.normal(0, 0.2, 1000), 2), 0.05, 0.95)
    return labels, scores


def test_by_hand():
    found = metrics.describe(LABELS, SCORES, 0.5, COSTS)
    # 0.5 is not above 0.5.
    assert found["confusion"] == {"tp": 2, "fp": 1, "fn": 1, "tn": 4}
    assert found["accuracy"] == 6 / 8
    assert found["precision"] == 2 / 3
    assert found["recall"] == 2 / 3
    assert found["f1"] == pytest.approx(2 / 3)
    # Of 15 pairs the churner scores higher in 5 + 4 + 3.
    assert found["auc"] == pytest.approx(12 / 15)
    assert found["brier"] == pytest.approx((0.01 + 0.16 + 0.49 + 0.49 + 0.25 + 0.04 + 0.01 + 0.0025) / 8)
    right = [0.9, 0.6, 0.3, 0.3, 0.5, 0.8, 0.9, 0.95]
    assert found["log_loss"] == pytest.approx(-sum(map(math.log, right)) / 8)


def test_cost_curve_by_hand():
    curve = metrics.cost_curve(LABELS, SCORES, COSTS)
    cost = dict(zip(curve["thresholds"], curve["costs"], strict=True))
    assert len(cost) == 99
    assert cost[0.01] == 8 * 100  # everyone is called
    assert cost[0.5] == 2 * 100 + 500 + 100
    assert cost[0.99] == 3 * 500
    # All three churners and the two that score above 0.2.
    assert curve["minimum"] == {"threshold": 0.2, "cost": 500.0}


def test_calibration_by_hand():
    assert metrics.calibration(np.array([1, 0, 1, 1]), np.array([0.05, 0.01, 0.95, 1.0])) == [
        {"mean_score": pytest.approx(0.03), "observed": 0.5, "count": 2},
        {"mean_score": pytest.approx(0.975), "observed": 1.0, "count": 2},
    ]


def test_constant_by_hand():
    found = metrics.constant(LABELS, COSTS)
    assert found == {
        "label": 0,
        "probability": 3 / 8,
        "accuracy": 5 / 8,
        "log_loss": pytest.approx(-(3 * math.log(3 / 8) + 5 * math.log(5 / 8)) / 8),
        "brier": pytest.approx(15 / 64),
        "cost": 800.0,  # calling everyone is cheaper than losing three
    }


def test_certain_and_wrong_is_finite():
    losses = metrics.log_losses(np.array([1, 0, 1]), np.array([0.0, 1.0, 1.0]))
    assert losses[0] == losses[1] == pytest.approx(36.04, abs=0.01)
    assert losses[2] == pytest.approx(0)


def test_against_scikit_learn(many):
    labels, scores = many
    found = metrics.describe(labels, scores, 0.5, COSTS)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["log_loss"] == pytest.approx(log_loss(labels, scores))
    assert len(found["roc"]["fpr"]) == len(found["roc"]["tpr"]) <= metrics.CURVE_POINTS
    assert (found["roc"]["fpr"][0], found["roc"]["tpr"][-1]) == (0.0, 1.0)


def test_bootstrap_weights_are_resamples(many):
    """Each replicate's AUC and log loss are scikit-learn's on the rows that were drawn."""
    labels, scores = many
    other = np.roll(scores, 1)
    found = metrics.bootstrap(labels, {"a": scores, "b": other}, replicates=5, seed=11)
    draw = np.random.default_rng(11)
    for replicate in range(5):
        rows = draw.integers(len(labels), size=len(labels))
        for name, values in (("a", scores), ("b", other)):
            assert found[name]["auc"][replicate] == pytest.approx(roc_auc_score(labels[rows], values[rows]))
            assert found[name]["log_loss"][replicate] == pytest.approx(log_loss(labels[rows], values[rows]))


def test_bootstrap_in_pieces_is_the_same(many, monkeypatch):
    labels, scores = many
    whole = metrics.bootstrap(labels, {"a": scores}, replicates=50, seed=1)
    monkeypatch.setattr(metrics, "CELLS", 7_000)
    pieces = metrics.bootstrap(labels, {"a": scores}, replicates=50, seed=1)
    np.testing.assert_allclose(whole["a"]["auc"], pieces["a"]["auc"], rtol=1e-12)
    np.testing.assert_allclose(whole["a"]["log_loss"], pieces["a"]["log_loss"], rtol=1e-12)


def test_interval_is_that_of_the_theory(many):
    labels, scores = many
    losses = metrics.log_losses(labels, scores)
    drawn = metrics.bootstrap(labels, {"a": scores}, replicates=4000, seed=1)
    found = metrics.interval(drawn["a"]["log_loss"], 0.95)
    error = losses.std() / math.sqrt(len(losses))
    assert drawn["a"]["log_loss"].std() == pytest.approx(error, rel=0.05)
    assert found["low"] == pytest.approx(losses.mean() - 1.96 * error, abs=0.2 * error)
    assert found["high"] == pytest.approx(losses.mean() + 1.96 * error, abs=0.2 * error)


def test_resample_of_one_class_has_no_auc():
    labels = np.array([1, 0, 0, 0])
    drawn = metrics.bootstrap(labels, {"a": np.array([0.9, 0.1, 0.2, 0.3])}, replicates=200, seed=0)
    values = drawn["a"]["auc"]
    assert np.isnan(values).any()
    assert metrics.interval(values, 0.95) == {"low": 1.0, "high": 1.0}
