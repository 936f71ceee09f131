"""Bias metrics through ``smclarify``, their standard errors, and drift against a baseline.

Values are ``smclarify``'s. A window of a few hundred customers makes every one of them jump, so drift is
judged with the normal bootstrap interval that AWS documents: a violation needs the interval around the
window's value to lie wholly farther from neutral than the baseline's. The interval needs a standard error;
all metrics but the flip test are functions of counts by (group, facet, label, prediction), so the bootstrap
draws counts, not rows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special
from smclarify.bias import report as clarify

from .sources import AnalysisError

# A metric that fails is in the report with its error; the library would also log a traceback for each.
logging.getLogger("smclarify").setLevel(logging.CRITICAL)

Json = dict[str, Any]
Array: TypeAlias = npt.NDArray[np.float64]

ALARM_RATE = 0.01
REPLICATES = 200
NEUTRAL = {"DI": 1.0}
# Quadratic near 0, so no normal interval; for a binary label TVD says the same.
UNJUDGED = frozenset({"KL", "JS"})
SECTIONS = {"pre_training_bias_metrics": "Pre-training", "post_training_bias_metrics": "Post-Training"}


@dataclass(frozen=True)
class Facet:
    """A sensitive column.

    ``values``: its disadvantaged categories, or one threshold (greater is disadvantaged).
    """

    name: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Question:
    """What is asked of a table. ``label_values``: the favourable outcomes."""

    label: str
    label_values: tuple[Any, ...]
    facets: tuple[Facet, ...]
    group: str | None = None
    pre: tuple[str, ...] = ("all",)
    post: tuple[str, ...] = ("all",)
    excluded: frozenset[str] = field(default_factory=frozenset)


def analyse(table: pd.DataFrame, question: Question, predicted: pd.Series | None, *, seed: int = 7) -> Json:
    """The bias sections of ``analysis.json``; post-training metrics only with predictions.

    Each metric carries ``standard_error`` where one can be had. Raises ``AnalysisError`` on a table that
    cannot be asked the question (a missing column, a label that never occurs).
    """
    for name in (question.label, *(facet.name for facet in question.facets)):
        if name not in table.columns:
            raise AnalysisError(
                f"The data has no column {name!r}; it has: {', '.join(map(str, table.columns[:20]))}."
            )
    found: Json = {}
    if question.pre:
        found["pre_training_bias_metrics"] = _section(table, question, None, question.pre, seed)
    if question.post and predicted is not None:
        found["post_training_bias_metrics"] = _section(table, question, predicted, question.post, seed)
    return found


def _section(
    table: pd.DataFrame, question: Question, predicted: pd.Series | None, metrics: Sequence[str], seed: int
) -> Json:
    stage = clarify.StageType.PRE_TRAINING if predicted is None else clarify.StageType.POST_TRAINING
    label = clarify.LabelColumn(
        question.label, _as_category(table[question.label]), list(question.label_values)
    )
    said = None if predicted is None else clarify.LabelColumn("predicted", _as_category(predicted))
    group = table[question.group] if question.group else None
    facets: Json = {}
    for facet in question.facets:
        column = _typed_facet(table[facet.name], facet)
        frame = table.drop(columns=[n for n in question.excluded if n in table.columns])
        frame = frame.assign(**{facet.name: column})
        try:
            entries = clarify.bias_report(
                frame,
                clarify.FacetColumn(facet.name, list(facet.values)),
                label,
                stage,
                said,
                list(metrics),
                group,
            )
        except ValueError as error:
            raise AnalysisError(
                f"Bias of facet {facet.name!r} on label {question.label!r}: {error}"
            ) from error
        for entry in entries:
            disadvantaged = _disadvantaged(column, facet, entry["value_or_threshold"])
            errors = _errors(table, question, disadvantaged, predicted, seed)
            for metric in entry["metrics"]:
                if math.isfinite(errors.get(metric["name"], math.nan)):
                    metric["standard_error"] = errors[metric["name"]]
        facets[facet.name] = entries
    value = ",".join(map(str, question.label_values))
    return {"label": question.label, "label_value_or_threshold": value, "facets": facets}


def drift(analysis: Json, baseline: Json, *, alarm_rate: float | None = ALARM_RATE) -> list[Json]:
    """Violations of ``analysis`` against ``baseline``: farther from neutral than it was.

    ``alarm_rate``: wanted rate of false alarms per window, shared among all metrics; None compares the bare
    values as the managed container does, where nearly every undrifted window alarms.
    """
    judged = len(metrics_of(analysis))
    level = alarm_rate / max(1, judged) if alarm_rate else None
    violations = []
    for section in SECTIONS:
        before = baseline.get(section, {}).get("facets", {})
        for facet, entries in analysis.get(section, {}).get("facets", {}).items():
            for entry in entries:
                known = _same(entry, before.get(facet, []))
                metrics = [m for m in entry["metrics"] if m["name"] in known]
                violations += [
                    {
                        "facet": facet,
                        "facet_value": entry["value_or_threshold"],
                        "metric_name": metric["name"],
                        "constraint_check_type": "bias_drift_check",
                        "description": f"Metric value {metric['value']} doesn't meet the baseline constraint "
                        f"requirement {known[metric['name']]['value']}",
                    }
                    for metric in metrics
                    if _worse(metric, known[metric["name"]], level)
                ]
    return violations


def metrics_of(analysis: Json) -> list[Json]:
    """CloudWatch entries of every metric that has a value (infinities are capped when published)."""
    entries = []
    for section, stage in SECTIONS.items():
        body = analysis.get(section, {})
        for facet, values in body.get("facets", {}).items():
            for entry in values:
                dimensions = {
                    "BiasStage": stage,
                    "Label": body["label"],
                    "LabelValue": body["label_value_or_threshold"],
                    "Facet": facet,
                    "FacetValue": entry["value_or_threshold"],
                }
                entries += [
                    {
                        "MetricName": f"bias_metric_{metric['name']}",
                        "Value": float(metric["value"]),
                        "Dimensions": dimensions,
                    }
                    for metric in entry["metrics"]
                    if metric.get("value") is not None and "error" not in metric
                ]
    return entries


def _worse(metric: Json, known: Json, level: float | None) -> bool:
    if metric.get("value") is None or known.get("value") is None:
        return False
    neutral = NEUTRAL.get(metric["name"], 0.0)
    now, before = abs(float(metric["value"]) - neutral), abs(float(known["value"]) - neutral)
    if level is None:
        return now > before
    if "standard_error" not in metric or not math.isfinite(now) or not math.isfinite(before):
        return False  # no interval, no verdict: the value is in the report
    # Every window meets the same baseline, so an unlucky one must not make them all alarm: its interval
    # counts in full, and the two intervals must not touch.
    error = metric["standard_error"] + known.get("standard_error", 0.0)
    return now + float(special.ndtri(level)) * error > before


def _same(entry: Json, entries: list[Json]) -> dict[str, Json]:
    """The baseline's metrics for the same facet value.

    An interval's upper end is the data's maximum: it moves.
    """
    for other in entries:
        same = other["value_or_threshold"] == entry["value_or_threshold"]
        opening = entry["value_or_threshold"].split(",")[0]
        if same or (opening.startswith("(") and other["value_or_threshold"].split(",")[0] == opening):
            return {metric["name"]: metric for metric in other["metrics"]}
    return {}


def _as_category(column: pd.Series) -> pd.Series:
    """Clarify takes a 0/1 column of a small table for a continuous one; a label's classes are categories."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() == column.dropna().round()).all():
        column = column.astype("Int64")
    return column.astype("category")


def _typed_facet(column: pd.Series, facet: Facet) -> pd.Series:
    """Clarify's rule (continuous iff 5 % of the integers differ) flips as a table grows.

    This one does not.
    """
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and len(facet.values) == 1 and column.nunique() > 10:
        return column.astype(float)
    return column.astype("category")


def _disadvantaged(column: pd.Series, facet: Facet, shown: str) -> pd.Series:
    if pd.api.types.is_float_dtype(column):
        return column > float(facet.values[0])
    chosen = {str(value) for value in facet.values} or {shown}
    return column.astype(str).isin(chosen)


def _errors(
    table: pd.DataFrame, question: Question, disadvantaged: pd.Series, predicted: pd.Series | None, seed: int
) -> dict[str, float]:
    wanted = {str(value) for value in question.label_values}
    actual = _as_category(table[question.label]).astype(str).isin(wanted).to_numpy().astype(int)
    said = (
        actual
        if predicted is None
        else _as_category(predicted).astype(str).isin(wanted).to_numpy().astype(int)
    )
    group = pd.factorize(table[question.group])[0] if question.group else np.zeros(len(table), dtype=int)
    groups = int(group.max(initial=0)) + 1
    cells = np.bincount(
        ((group * 2 + disadvantaged.to_numpy().astype(int)) * 2 + actual) * 2 + said, minlength=groups * 8
    )
    total = int(cells.sum())
    # One imagined row per cell keeps an empty cell from having no error at all.
    weights = (cells + 1.0) / (total + len(cells))
    drawn = np.random.default_rng(seed).multinomial(total, weights, size=REPLICATES).astype(float)
    values = from_counts(drawn.reshape(REPLICATES, groups, 2, 2, 2), grouped=question.group is not None)
    # Distances are folded at 0 and would seem steadier than they are: they vary as the difference they fold.
    values |= {"TVD": values["DPL"], "KS": values["DPL"], "LP": math.sqrt(2) * values["DPL"]}
    with np.errstate(invalid="ignore"):
        return {name: float(np.std(value, ddof=1)) for name, value in values.items() if name not in UNJUDGED}


def from_counts(cells: Array, *, grouped: bool = False) -> dict[str, Array]:
    """Every countable metric from counts of shape ``(..., group, facet, label, prediction)``.

    Facet 1 is ``d``.
    """
    both = cells.sum(axis=-4)
    a, d = both[..., 0, :, :], both[..., 1, :, :]
    na, nd = a.sum(axis=(-2, -1)), d.sum(axis=(-2, -1))

    def rate(x: Array, y: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(x == 0, 0.0, x / y)

    qa, qd = rate(a[..., 1, :].sum(-1), na), rate(d[..., 1, :].sum(-1), nd)
    pa, pd_ = rate(a[..., :, 1].sum(-1), na), rate(d[..., :, 1].sum(-1), nd)
    found = {
        "CI": rate(na - nd, na + nd),
        "DPL": qa - qd,
        "KL": _kl(qa, qd),
        "JS": 0.5 * (_kl(qa, (qa + qd) / 2) + _kl(qd, (qa + qd) / 2)),
        "LP": math.sqrt(2) * np.abs(qa - qd),
        "TVD": np.abs(qa - qd),
        "KS": np.abs(qa - qd),
        "DPPL": pa - pd_,
        "DI": rate(pd_, pa),
        "DCA": rate(a[..., 1, :].sum(-1), a[..., :, 1].sum(-1))
        - rate(d[..., 1, :].sum(-1), d[..., :, 1].sum(-1)),
        "DCR": rate(d[..., 0, :].sum(-1), d[..., :, 0].sum(-1))
        - rate(a[..., 0, :].sum(-1), a[..., :, 0].sum(-1)),
        "AD": rate(a[..., 1, 1] + a[..., 0, 0], na) - rate(d[..., 1, 1] + d[..., 0, 0], nd),
        "RD": rate(a[..., 1, 1], a[..., 1, :].sum(-1)) - rate(d[..., 1, 1], d[..., 1, :].sum(-1)),
        "SD": rate(d[..., 0, 0], d[..., 0, :].sum(-1)) - rate(a[..., 0, 0], a[..., 0, :].sum(-1)),
        "DAR": rate(a[..., 1, 1], a[..., :, 1].sum(-1)) - rate(d[..., 1, 1], d[..., :, 1].sum(-1)),
        "DRR": rate(d[..., 0, 0], d[..., :, 0].sum(-1)) - rate(a[..., 0, 0], a[..., :, 0].sum(-1)),
    }
    with np.errstate(invalid="ignore"):  # infinity - infinity: no error can be told
        found["TE"] = rate(d[..., 1, 0], d[..., 0, 1]) - rate(a[..., 1, 0], a[..., 0, 1])
    total = na + nd
    mean = 1 + ((a + d)[..., 0, 1] - (a + d)[..., 1, 0]) / total
    square = ((a + d)[..., 0, 0] + (a + d)[..., 1, 1] + 4 * (a + d)[..., 0, 1]) / total
    found["GE"] = 0.5 * (rate(square, mean**2) - 1)
    if grouped:
        found["CDDL"], found["CDDPL"] = _cdd(cells.sum(-1), rate), _cdd(cells.sum(-2), rate)
    return found


def _cdd(cells: Array, rate: Any) -> Array:
    """Group-weighted mean of (share of ``d`` among rejected - share of ``d`` among accepted)."""
    share = rate(cells[..., 1, :], cells.sum(-2))
    sizes = cells.sum(axis=(-2, -1))
    weighted: Array = ((share[..., 0] - share[..., 1]) * sizes).sum(-1) / sizes.sum(-1)
    return weighted


def _kl(p: Array, q: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log(x / y), 0.0) for x, y in ((p, q), (1 - p, 1 - q))]
    total: Array = parts[0] + parts[1]
    return total
