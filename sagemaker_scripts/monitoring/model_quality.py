"""Metrics of a model against its ground truth: binary, multiclass, regression, as Model Monitor writes them.

Every scalar is ``{"value", "standard_deviation"}``; the deviation is over five random 80 % samples and
``"NaN"`` (the text) below 200 rows. A metric that is not defined (a recall without positives) has the value
``"NaN"``. Works on arrays; a million rows take one sort.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Json = dict[str, Any]
Array: TypeAlias = npt.NDArray[Any]
Problem = Literal["BinaryClassification", "MulticlassClassification", "Regression"]

SECTION = {
    "BinaryClassification": "binary_classification",
    "MulticlassClassification": "multiclass_classification",
    "Regression": "regression",
}
SAMPLES = 5
SAMPLE_SHARE = 0.8
SAMPLES_NEED = 200
BOOTSTRAP_ROWS = 20_000
CURVE_POINTS = 1000
BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


@dataclass(frozen=True)
class Answers:
    """Truth and prediction of every row. Binary: 0/1 integers, ``scores`` the probability of 1 (or None).

    Multiclass: class names as text. Regression: floats.
    """

    problem: Problem
    truth: Array
    predicted: Array
    scores: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: Array) -> Answers:
        return Answers(
            self.problem,
            self.truth[rows],
            self.predicted[rows],
            None if self.scores is None else self.scores[rows],
        )


def statistics_of(answers: Answers, *, seed: int = 7, extra: Json | None = None) -> Json:
    """``statistics.json``: metrics with standard deviations, confusion matrix, curves."""
    values = metrics(answers)
    spread = deviations(answers, seed=seed)
    body: Json = {
        name: {"value": _number(value), "standard_deviation": _number(spread.get(name, math.nan))}
        for name, value in values.items()
    }
    if answers.problem != "Regression":
        body = {"confusion_matrix": confusion(answers)} | body
    if answers.scores is not None:
        body |= curves(answers)
    report = {
        "version": 0.0,
        "dataset": {"item_count": len(answers)} | (extra or {}),
        f"{SECTION[answers.problem]}_metrics": body,
    }
    return report if answers.scores is None else report | {"calibration": calibration(answers)}


def metrics(answers: Answers) -> dict[str, float]:
    """Scalar metrics by Model Monitor's names; NaN where one is not defined."""
    if not len(answers):
        return {}
    return _METRICS[answers.problem](answers)


def deviations(answers: Answers, *, seed: int = 7) -> dict[str, float]:
    """Standard deviation of every metric over five random 80 % samples; empty below 200 rows."""
    if len(answers) < SAMPLES_NEED:
        return {}
    random = np.random.default_rng(seed)
    size = int(SAMPLE_SHARE * len(answers))
    ordered = _by_score(answers)
    samples = []
    for _ in range(SAMPLES):
        mask = np.zeros(len(answers), dtype=bool)
        mask[random.choice(len(answers), size, replace=False)] = True
        samples.append(metrics(ordered.take(mask)))
    return {name: float(np.std([sample[name] for sample in samples], ddof=1)) for name in samples[0]}


def standard_errors(answers: Answers, *, replicates: int = 200, seed: int = 7) -> dict[str, float]:
    """Bootstrap standard error of every metric at this number of rows (steadier than five samples).

    Binary rows are joined by one of each outcome: 201 rows without a false positive do not promise that there
    will never be one, but their bootstrap would. Beyond 20,000 rows a sample of so many is drawn from and the
    error scaled by the square root: it is a matter of the number of rows alone.
    """
    random, rows = np.random.default_rng(seed), len(answers)
    if rows > BOOTSTRAP_ROWS:
        answers = answers.take(random.choice(rows, BOOTSTRAP_ROWS, replace=False))
    scale = math.sqrt(len(answers) / rows)
    answers = _with_each_outcome(answers)
    drawn = [
        metrics(answers.take(random.integers(len(answers), size=len(answers)))) for _ in range(replicates)
    ]
    return {name: scale * float(np.nanstd([row[name] for row in drawn], ddof=1)) for name in drawn[0]}


def _with_each_outcome(answers: Answers) -> Answers:
    if answers.problem != "BinaryClassification":
        return answers
    truth, said = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    scores = answers.scores
    if scores is not None:
        typical = [scores[answers.predicted == side] for side in (0, 1)]
        middle = [
            float(np.median(group)) if len(group) else float(side) for side, group in enumerate(typical)
        ]
        scores = np.append(scores, [middle[side] for side in said])
    return Answers(
        answers.problem, np.append(answers.truth, truth), np.append(answers.predicted, said), scores
    )


def _by_score(answers: Answers) -> Answers:
    """Rows in order of score, so that samples of them need no sort of their own (a mask keeps the order)."""
    return answers if answers.scores is None else answers.take(np.argsort(answers.scores, kind="stable"))


def _binary(answers: Answers) -> dict[str, float]:
    truth, said = answers.truth == 1, answers.predicted == 1
    tp, fp = float(np.sum(truth & said)), float(np.sum(~truth & said))
    fn, tn = float(np.sum(truth & ~said)), float(np.sum(~truth & ~said))
    n, positives = len(answers), tp + fn
    recall, precision = _ratio(tp, positives), _ratio(tp, tp + fp)
    found = {
        "recall": recall,
        "precision": precision,
        "accuracy": (tp + tn) / n,
        # The published samples show that the constant classifier always says 1, also when 0 is the majority.
        "recall_best_constant_classifier": _ratio(positives, positives),
        "precision_best_constant_classifier": positives / n,
        "accuracy_best_constant_classifier": positives / n,
        "true_positive_rate": recall,
        "true_negative_rate": _ratio(tn, tn + fp),
        "false_positive_rate": _ratio(fp, tn + fp),
        "false_negative_rate": _ratio(fn, positives),
    }
    if answers.scores is not None:
        found |= {"auc": auc(truth, answers.scores), "au_prc": average_precision(truth, answers.scores)}
    found |= {name: _f(precision, recall, beta) for name, beta in BETAS.items()}
    constant = found["precision_best_constant_classifier"], found["recall_best_constant_classifier"]
    found |= {f"{name}_best_constant_classifier": _f(*constant, beta) for name, beta in BETAS.items()}
    return found


def _multiclass(answers: Answers, constant: Literal["last", "minority"] = "last") -> dict[str, float]:
    """Weighted by the classes' shares of the truth.

    ``constant``: what the best-constant classifier says. AWS's sample fits the last class and the rarest
    alike.
    """
    classes, codes = np.unique(np.concatenate([answers.truth, answers.predicted]), return_inverse=True)
    truth, said = codes[: len(answers)], codes[len(answers) :]
    found = _weighted(truth, said, len(classes))
    present = np.unique(truth)
    rarest = present[np.argmin(np.bincount(truth, minlength=len(classes))[present])]
    always = _weighted(
        truth, np.full_like(truth, present[-1] if constant == "last" else rarest), len(classes)
    )
    return found | {f"{name}_best_constant_classifier": value for name, value in always.items()}


def _weighted(truth: Array, said: Array, classes: int) -> dict[str, float]:
    support = np.bincount(truth, minlength=classes).astype(float)
    claimed = np.bincount(said, minlength=classes).astype(float)
    right = np.bincount(truth[truth == said], minlength=classes).astype(float)
    recall = np.divide(right, support, out=np.zeros(classes), where=support > 0)
    precision = np.divide(right, claimed, out=np.zeros(classes), where=claimed > 0)
    share = support / len(truth)
    found = {
        "accuracy": float(right.sum() / len(truth)),
        "weighted_recall": float(share @ recall),
        "weighted_precision": float(share @ precision),
    }
    for name, beta in BETAS.items():
        below = beta**2 * precision + recall
        score = np.divide((1 + beta**2) * precision * recall, below, out=np.zeros(classes), where=below > 0)
        found[f"weighted_{name}"] = float(share @ score)
    return found


def _regression(answers: Answers) -> dict[str, float]:
    error = answers.predicted - answers.truth
    mse, total = float(np.mean(error**2)), float(np.sum((answers.truth - answers.truth.mean()) ** 2))
    return {
        "mae": float(np.mean(np.abs(error))),
        "mse": mse,
        "rmse": math.sqrt(mse),
        "r2": 1 - mse * len(answers) / total if total else math.nan,
    }


_METRICS: dict[str, Callable[[Answers], dict[str, float]]] = {
    "BinaryClassification": _binary,
    "MulticlassClassification": _multiclass,
    "Regression": _regression,
}


def confusion(answers: Answers) -> Json:
    """Counts by actual (outer key) and predicted (inner key) class."""
    classes, codes = np.unique(np.concatenate([answers.truth, answers.predicted]), return_inverse=True)
    if answers.problem == "BinaryClassification":
        codes = np.concatenate([answers.truth, answers.predicted]).astype(int)
        classes = np.array([0, 1])
    size = len(classes)
    pairs = np.bincount(codes[: len(answers)] * size + codes[len(answers) :], minlength=size * size)
    table = pairs.reshape(size, size)
    return {str(a): {str(b): int(table[i, j]) for j, b in enumerate(classes)} for i, a in enumerate(classes)}


def auc(truth: Array, scores: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve (ties count half); NaN with one class only."""
    fps, tps = _steps(truth, scores)
    if not fps[-1] or not tps[-1]:
        return math.nan
    area = np.sum(np.diff(fps) * (tps[1:] + tps[:-1])) / 2
    return float(area / (fps[-1] * tps[-1]))


def average_precision(truth: Array, scores: npt.NDArray[np.float64]) -> float:
    """Area under the precision-recall curve, by steps (no interpolation, as scikit-learn)."""
    fps, tps = _steps(truth, scores)
    if not tps[-1]:
        return math.nan
    precision = tps[1:] / (tps[1:] + fps[1:])
    return float(np.sum(np.diff(tps) / tps[-1] * precision))


def curves(answers: Answers) -> Json:
    """ROC and precision-recall points, at most 1,000 of each."""
    fps, tps = _steps(answers.truth == 1, answers.scores)
    if len(fps) > CURVE_POINTS:
        keep = np.unique(np.linspace(0, len(fps) - 1, CURVE_POINTS).astype(int))
        fps, tps = fps[keep], tps[keep]
    precision = np.divide(tps, tps + fps, out=np.ones_like(tps), where=(tps + fps) > 0)
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": (fps / max(fps[-1], 1)).tolist(),
            "true_positive_rates": (tps / max(tps[-1], 1)).tolist(),
        },
        "precision_recall_curve": {
            "precisions": precision[::-1].tolist(),
            "recalls": (tps / max(tps[-1], 1))[::-1].tolist(),
        },
    }


def calibration(answers: Answers, bins: int = 10) -> list[Json]:
    """Mean score and observed rate in ten equal-width bins of the score (empty bins left out)."""
    scores = np.asarray(answers.scores)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "mean_score": float(scores[place == b].mean()),
            "observed": float(np.mean(answers.truth[place == b] == 1)),
            "count": int(np.sum(place == b)),
        }
        for b in range(bins)
        if np.any(place == b)
    ]


def _steps(truth: Array, scores: npt.NDArray[np.float64]) -> tuple[Array, Array]:
    """False and true positives counted from the highest score down, one point per distinct score."""
    if len(scores) and np.all(scores[:-1] <= scores[1:]):
        ordered, hits = scores[::-1], truth[::-1]
    else:
        order = np.argsort(-scores, kind="stable")
        ordered, hits = scores[order], truth[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    tps = np.concatenate([[0.0], np.cumsum(hits, dtype=float)[ends]])
    return np.concatenate([[0.0], ends + 1.0]) - tps, tps


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _f(precision: float, recall: float, beta: float) -> float:
    if math.isnan(precision) or math.isnan(recall) or not precision + recall:
        return 0.0 if recall == 0 else math.nan
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _number(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value
