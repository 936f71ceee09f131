"""How good a classifier's probabilities are on labelled rows: point metrics, costs, calibration, intervals.

`labels` are 0 or 1, `scores` probabilities of 1; both of shape (rows,). A row is called positive when its
score is above the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import metrics

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int64]

THRESHOLDS = np.arange(1, 100) / 100
CALIBRATION_BINS = 10
CURVE_POINTS = 200
CELLS = 4_000_000  # numbers held at once by the bootstrap


def describe(labels: Labels, scores: Floats, threshold: float, costs: Mapping[str, float]) -> dict[str, Any]:
    """Everything that evaluation.json says of one model, but for intervals."""
    predicted = scores > threshold
    tn, fp, fn, tp = metrics.confusion_matrix(labels, predicted, labels=[0, 1]).ravel().tolist()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, average="binary", zero_division=0.0
    )
    false_positives, true_positives, _ = metrics.roc_curve(labels, scores)
    return {
        "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auc": float(metrics.roc_auc_score(labels, scores)),
        "log_loss": float(log_losses(labels, scores).mean()),
        "brier": float(metrics.brier_score_loss(labels, scores)),
        "cost_curve": cost_curve(labels, scores, costs),
        "calibration": calibration(labels, scores),
        "roc": {"fpr": thin(false_positives), "tpr": thin(true_positives)},
    }


def log_losses(labels: Labels, scores: Floats) -> Floats:
    """The log loss of each row in nats; a probability of 0 or 1 counts as the nearest one that has a
    logarithm."""
    tiny = np.finfo(np.float64).eps
    right = np.where(labels == 1, scores, 1 - scores)
    losses: Floats = -np.log(np.clip(right, tiny, 1 - tiny))
    return losses


def cost_curve(labels: Labels, scores: Floats, costs: Mapping[str, float]) -> dict[str, Any]:
    """What each threshold would cost on these rows; the minimum is the lowest threshold that reaches it."""
    churned, loyal = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    found = len(churned) - np.searchsorted(churned, THRESHOLDS, side="right")
    alarmed = len(loyal) - np.searchsorted(loyal, THRESHOLDS, side="right")
    total = (
        costs["true_positive"] * found
        + costs["false_negative"] * (len(churned) - found)
        + costs["false_positive"] * alarmed
        + costs["true_negative"] * (len(loyal) - alarmed)
    ).astype(float)
    best = int(total.argmin())
    return {
        "thresholds": THRESHOLDS.tolist(),
        "costs": total.tolist(),
        "minimum": {"threshold": float(THRESHOLDS[best]), "cost": float(total[best])},
    }


def calibration(labels: Labels, scores: Floats) -> list[dict[str, float]]:
    """Mean score and observed share of positives in bins of equal width; empty bins are left out."""
    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    score_sums = np.bincount(bins, scores, CALIBRATION_BINS)
    positives = np.bincount(bins, labels, CALIBRATION_BINS)
    return [
        {
            "mean_score": float(score_sums[place] / counts[place]),
            "observed": float(positives[place] / counts[place]),
            "count": int(counts[place]),
        }
        for place in np.flatnonzero(counts)
    ]


def constant(labels: Labels, costs: Mapping[str, float]) -> dict[str, float]:
    """The best that a classifier can do which says the same of everyone: the hold-out's own share of
    positives."""
    share, rows = float(labels.mean()), len(labels)
    everyone = costs["true_positive"] * share + costs["false_positive"] * (1 - share)
    nobody = costs["false_negative"] * share + costs["true_negative"] * (1 - share)
    same = np.full(rows, share)
    return {
        "label": int(share > 0.5),
        "probability": share,
        "accuracy": max(share, 1 - share),
        "log_loss": float(log_losses(labels, same).mean()),
        "brier": share * (1 - share),
        "cost": min(everyone, nobody) * rows,
    }


def bootstrap(
    labels: Labels, scores: Mapping[str, Floats], replicates: int, seed: int
) -> dict[str, dict[str, Floats]]:
    """AUC and log loss of each model on resampled rows: model -> metric -> one value a replicate.

    Every model sees the same resamples, so that differences are paired. AUC is NaN for a resample of one
    class. Work grows with rows x replicates; memory does not.
    """
    draw = np.random.default_rng(seed)
    rows = len(labels)
    auc = {name: _weighted_auc(labels, values) for name, values in scores.items()}
    losses = np.stack([log_losses(labels, values) for values in scores.values()], axis=1)
    found: dict[str, dict[str, list[Floats]]] = {name: {"auc": [], "log_loss": []} for name in scores}
    for first in range(0, replicates, step := max(1, CELLS // rows)):
        number = min(step, replicates - first)
        weights = np.stack(
            [np.bincount(draw.integers(rows, size=rows), minlength=rows) for _ in range(number)]
        )
        means = weights @ losses / rows
        for place, name in enumerate(scores):
            found[name]["auc"].append(auc[name](weights))
            found[name]["log_loss"].append(means[:, place])
    return {
        name: {key: np.concatenate(parts) for key, parts in values.items()} for name, values in found.items()
    }


def _weighted_auc(labels: Labels, scores: Floats) -> Callable[[npt.NDArray[np.int64]], Floats]:
    """A function of weights of shape (replicates, rows): the AUC of each replicate; the sorting is done
    once."""
    order = np.argsort(scores, kind="stable")
    positive = labels[order] == 1
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    if len(starts) == 1:
        return lambda weights: np.full(len(weights), 0.5)

    def auc(weights: npt.NDArray[np.int64]) -> Floats:
        ordered = weights[:, order].astype(np.float64)
        ups = np.add.reduceat(ordered * positive, starts, axis=1)
        downs = np.add.reduceat(ordered * ~positive, starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs / 2  # those of equal score count half
        with np.errstate(invalid="ignore"):
            area: Floats = (ups * below).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1))
        return area

    return auc


def interval(values: Floats, confidence: float) -> dict[str, float]:
    """The percentile interval of bootstrap replicates; those without a value are left out."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return {"low": float(low), "high": float(high)}


def thin(values: Floats, points: int = CURVE_POINTS) -> list[float]:
    """A curve's values, at most about `points` of them, both ends included."""
    places = np.unique(np.linspace(0, len(values) - 1, min(points, len(values))).astype(int))
    return [float(value) for value in values[places]]
