"""Evaluation metrics that SageMaker's image adds to XGBoost's own.

They have the meaning of scikit-learn's functions of the same names (a ratio whose denominator is zero counts
as 0; `f1` is the macro average). scikit-learn itself is not used: its import outlasts a short training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from local_aws.images.xgboost.errors import UserError

if TYPE_CHECKING:
    import xgboost

Array: TypeAlias = NDArray[Any]
CustomMetric = Callable[[Array, "xgboost.DMatrix"], list[tuple[str, float]]]

# Predictions of these objectives are class numbers already.
CLASS_OBJECTIVES = ("multi:softmax", "binary:hinge")


def split_metrics(names: Sequence[str], objective: str | None) -> tuple[list[str], CustomMetric | None]:
    """eval_metric names -> (those XGBoost computes itself, one function for those it does not know)."""
    ours = [name for name in names if name in CLASSIFICATION or name in REGRESSION]
    native = [name for name in names if name not in ours]

    def compute(predictions: Array, data: xgboost.DMatrix) -> list[tuple[str, float]]:
        labels = data.get_label()
        true, predicted = labels.astype(np.int64), predicted_classes(predictions, objective)
        return [
            (name, CLASSIFICATION[name](true, predicted))
            if name in CLASSIFICATION
            else (name, REGRESSION[name](labels, predictions))
            for name in ours
        ]

    return native, compute if ours else None


def predicted_classes(predictions: Array, objective: str | None) -> Array:
    """Predictions of shape (rows,) or (rows, classes) -> class numbers of shape (rows,)."""
    if predictions.ndim == 2:
        return predictions.argmax(axis=1)
    if objective in CLASS_OBJECTIVES:
        return predictions.astype(np.int64)
    cut = 0.0 if objective == "binary:logitraw" else 0.5
    return (predictions > cut).astype(np.int64)


def _confusion(true: Array, predicted: Array) -> Array:
    """Counts of shape (classes, classes), true class by predicted class, over the classes in either."""
    classes = np.union1d(predicted, true)
    flat = np.searchsorted(classes, true) * len(classes) + np.searchsorted(classes, predicted)
    return np.bincount(flat, minlength=len(classes) ** 2).reshape(len(classes), len(classes))


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _scores(true: Array, predicted: Array) -> Array:
    """Precision, recall and F1 of every class, shape (3, classes)."""
    counts = _confusion(true, predicted).astype(float)
    hits, claimed, actual = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    return np.stack([_ratio(hits, claimed), _ratio(hits, actual), _ratio(2 * hits, claimed + actual)])


def _accuracy(true: Array, predicted: Array) -> float:
    return float(np.mean(true == predicted))


def _balanced_accuracy(true: Array, predicted: Array) -> float:
    counts = _confusion(true, predicted).astype(float)
    actual = counts.sum(axis=1)
    return float(np.mean(counts.diagonal()[actual > 0] / actual[actual > 0]))


def _macro(which: int) -> Callable[[Array, Array], float]:
    return lambda true, predicted: float(_scores(true, predicted)[which].mean())


def _binary(which: int) -> Callable[[Array, Array], float]:
    """The score of class 1."""

    def score(true: Array, predicted: Array) -> float:
        if max(true.max(initial=0), predicted.max(initial=0)) > 1:
            raise UserError("Target is multiclass but average='binary'")
        is_one = _scores(true == 1, predicted == 1)
        return float(is_one[which][-1]) if (true == 1).any() or (predicted == 1).any() else 0.0

    return score


def _mse(labels: Array, predictions: Array) -> float:
    return float(np.mean(np.square(predictions.astype(float) - labels)))


def _r2(labels: Array, predictions: Array) -> float:
    unexplained = float(np.sum(np.square(predictions.astype(float) - labels)))
    spread = float(np.sum(np.square(labels - labels.mean(dtype=float))))
    if spread == 0:
        return 1.0 if unexplained == 0 else 0.0
    return 1 - unexplained / spread


PRECISION, RECALL, F1 = range(3)

CLASSIFICATION: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _macro(F1),
    "f1_binary": _binary(F1),
    "f1_macro": _macro(F1),
    "precision": _binary(PRECISION),
    "precision_macro": _macro(PRECISION),
    "precision_micro": _accuracy,  # with one label a row, micro averages are the accuracy
    "recall": _binary(RECALL),
    "recall_macro": _macro(RECALL),
    "recall_micro": _accuracy,
}
REGRESSION: dict[str, Callable[[Array, Array], float]] = {"mse": _mse, "r2": _r2}
