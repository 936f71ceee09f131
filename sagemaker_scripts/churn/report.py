"""The page that a person reads before trusting a model: one HTML file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import charts
import jinja2
import pandas as pd
from markupsafe import Markup
from metrics import Floats, Labels

TEMPLATE = Path(__file__).with_name("report.html.j2")
PROFILE_TITLES = {
    "class_balance": "Class balance",
    "comparison": "Against the previous run",
    "missing": "Missing values",
    "ranges": "Ranges",
    "churn_by_plan": "Churn by plan",
    "churn_by_service_calls": "Churn by calls to customer service",
    "churn_by_state": "Churn by state",
}
SHARES = {"churn_rate", "missing_share"}
# Metric -> how it is called, whether more is better, key of its interval.
METRICS = {
    "auc": ("AUC", True, "auc_interval"),
    "log_loss": ("log loss", False, "log_loss_interval"),
    "brier": ("Brier score", False, None),
    "accuracy": ("accuracy", True, None),
    "precision": ("precision", True, None),
    "recall": ("recall", True, None),
    "f1": ("F1", True, None),
}


def render(
    evaluation: Mapping[str, Any],
    labels: Labels,
    scores: Mapping[str, Floats],
    profile: Mapping[str, pd.DataFrame],
) -> str:
    """The page as HTML. `scores`: challenger, and champion if there is one."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pictures = {
        title: Markup(charts.unique_ids(svg, f"chart{number}"))  # noqa: S704 - drawn here, from numbers
        for number, (title, svg) in enumerate(charts.all_charts(evaluation, labels, scores).items())
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        evaluation=evaluation,
        challenger=evaluation["challenger"],
        champion=evaluation["champion"],
        charts=pictures,
        comparison=[_comparison(evaluation, name) for name in METRICS] + [_cost_comparison(evaluation)],
        profile={title: _table(profile[name]) for name, title in PROFILE_TITLES.items() if name in profile},
    )


def _comparison(evaluation: Mapping[str, Any], metric: str) -> dict[str, Any]:
    title, more_is_better, interval = METRICS[metric]
    cells = {
        name: _value(evaluation[name], metric, interval)
        for name in ("challenger", "champion")
        if evaluation[name]
    }
    constant = evaluation["constant"].get(metric)
    row = {"title": title, **cells, "constant": f"{constant:.4f}" if constant is not None else ""}
    if champion := evaluation["champion"]:
        difference = evaluation["challenger"][metric] - champion[metric]
        row |= {"difference": f"{difference:+.4f}", "better": _better(difference, more_is_better)}
    return row


def _cost_comparison(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    best = {
        name: evaluation[name]["cost_curve"]["minimum"]
        for name in ("challenger", "champion")
        if evaluation[name]
    }
    row = {name: f"{item['cost']:,.0f} at {item['threshold']:.2f}" for name, item in best.items()}
    row |= {"title": "lowest cost", "constant": f"{evaluation['constant']['cost']:,.0f}"}
    if "champion" in best:
        difference = best["challenger"]["cost"] - best["champion"]["cost"]
        row |= {"difference": f"{difference:+,.0f}", "better": _better(difference, False)}
    return row


def _better(difference: float, more_is_better: bool) -> str:
    if difference == 0:
        return ""
    return "better" if (difference > 0) == more_is_better else "worse"


def _value(model: Mapping[str, Any], metric: str, interval: str | None) -> str:
    text = f"{model[metric]:.4f}"
    return f"{text} [{model[interval]['low']:.3f}, {model[interval]['high']:.3f}]" if interval else text


def _table(found: pd.DataFrame) -> dict[str, Any]:
    """Header and cells; a share also says how long its bar is, in percent of the longest."""
    rows = []
    for values in found.to_dict("records"):
        row = []
        for name, value in values.items():
            bar = None
            if name in SHARES and len(found) > 1 and pd.notna(value):
                longest = max(float(found[name].max()), 1e-9)
                bar = round(100 * float(value) / longest)
            row.append({"text": _text(str(name), value), "bar": bar})
        rows.append(row)
    return {"header": [str(name).replace("_", " ") for name in found.columns], "rows": rows}


def _text(name: str, value: Any) -> str:
    if value is None or value is pd.NA or pd.isna(value):
        return "–"
    if name in SHARES:
        return f"{float(value):.1%}"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
