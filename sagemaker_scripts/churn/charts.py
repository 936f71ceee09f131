"""The report's curves as SVG that takes its text colour from the page, so that it reads on light and on
dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from metrics import Floats, Labels
from sklearn.metrics import precision_recall_curve

# Both are readable on white and on black.
COLOURS = {"challenger": "#2f81f7", "champion": "#d9822b"}
INK = "#010203"  # becomes currentColor
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "churn",  # the same evaluation draws the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "axes.grid": True,
    "legend.frameon": False,
}


def all_charts(evaluation: Mapping[str, Any], labels: Labels, scores: Mapping[str, Floats]) -> dict[str, str]:
    """Title -> SVG, in the order of the page."""
    models = {name: evaluation[name] for name in scores}
    threshold = evaluation["threshold"]
    return {
        "ROC curve": _draw(lambda axes: _roc(axes, models)),
        "Precision and recall": _draw(lambda axes: _precision_recall(axes, labels, scores)),
        "Calibration": _draw(lambda axes: _calibration(axes, models)),
        "Cost by threshold": _draw(lambda axes: _cost(axes, models, threshold)),
        "Scores of the challenger": _draw(
            lambda axes: _scores(axes, labels, scores["challenger"], threshold)
        ),
    }


def _draw(fill: Callable[[Axes], None]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        fill(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def _roc(axes: Axes, models: Mapping[str, Any]) -> None:
    for name, model in models.items():
        curve = model["roc"]
        axes.plot(curve["fpr"], curve["tpr"], color=COLOURS[name], label=f"{name}, AUC {model['auc']:.3f}")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right")


def _precision_recall(axes: Axes, labels: Labels, scores: Mapping[str, Floats]) -> None:
    for name, values in scores.items():
        precision, recall, _ = precision_recall_curve(labels, values, drop_intermediate=True)
        places = np.unique(np.linspace(0, len(recall) - 1, min(400, len(recall))).astype(int))
        axes.plot(recall[places], precision[places], color=COLOURS[name], label=name)
    axes.axhline(labels.mean(), color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left")


def _calibration(axes: Axes, models: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for name, model in models.items():
        bins = model["calibration"]
        sizes = np.sqrt([item["count"] for item in bins])
        means, observed = [item["mean_score"] for item in bins], [item["observed"] for item in bins]
        axes.plot(means, observed, color=COLOURS[name], linewidth=1)
        axes.scatter(
            means, observed, s=12 + 90 * sizes / sizes.max(), color=COLOURS[name], label=name, alpha=0.8
        )
    axes.set(xlabel="mean score", ylabel="share that churned", xlim=(0, 1), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")


def _cost(axes: Axes, models: Mapping[str, Any], threshold: float) -> None:
    for name, model in models.items():
        curve = model["cost_curve"]
        best = curve["minimum"]
        axes.plot(curve["thresholds"], curve["costs"], color=COLOURS[name])
        axes.scatter([best["threshold"]], [best["cost"]], color=COLOURS[name], zorder=3,
                     label=f"{name}: {best['cost']:,.0f} at {best['threshold']:.2f}")  # fmt: skip
    axes.axvline(threshold, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="threshold", ylabel="cost on the hold-out", xlim=(0, 1))
    axes.legend(loc="upper center")


def _scores(axes: Axes, labels: Labels, scores: Floats, threshold: float) -> None:
    bins = np.linspace(0, 1, 26)
    for value, name, colour in ((0, "stayed", "#7d8590"), (1, "churned", "#d1495b")):
        axes.hist(scores[labels == value], bins=bins, color=colour, alpha=0.75, label=name)
    axes.axvline(threshold, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="score", ylabel="customers (log scale)", xlim=(0, 1), yscale="log")
    axes.legend(loc="upper center")


def unique_ids(svg: str, prefix: str) -> str:
    """Several pictures share a page: their internal ids must differ."""
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
