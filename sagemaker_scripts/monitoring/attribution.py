"""Feature attribution by kernel SHAP, and its drift as nDCG against the baseline's ranking.

The gains are the *baseline's* scores: nDCG is 1 while the features keep their order of importance and falls
when one that mattered sinks. scikit-learn's ``ndcg_score`` averages over ties, so equal scores have no order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import ndcg_score

from .sources import AnalysisError

Json = dict[str, Any]
Array: TypeAlias = npt.NDArray[np.float64]
Predict = Callable[[Array], Array]  # (rows, features) -> scores (rows,) or (rows, labels)

THRESHOLD = 0.9
MAX_ROWS = 1000
CLUSTERS = 10
_AGGREGATES: dict[str, Callable[[Array], Array]] = {
    "mean_abs": lambda values: np.abs(values).mean(axis=0),
    "median": lambda values: np.median(np.abs(values), axis=0),
    "mean_sq": lambda values: (values**2).mean(axis=0),
}


@dataclass(frozen=True)
class Explanation:
    """``values`` of shape (rows, features) per label; ``scores`` what was explained."""

    names: tuple[str, ...]
    values: tuple[Array, ...]
    expected: tuple[float, ...]
    scores: Array

    def to_json(self, aggregate: str = "mean_abs", window_rows: int | None = None) -> Json:
        """The ``kernel_shap`` section; with ``window_rows`` also how low nDCG goes without any drift."""
        if aggregate not in _AGGREGATES:
            raise AnalysisError(f"agg_method={aggregate!r} is not one of {', '.join(_AGGREGATES)}.")
        return {
            f"label{i}": {
                "global_shap_values": dict(
                    zip(self.names, map(float, _AGGREGATES[aggregate](values)), strict=True)
                ),
                "expected_value": float(expected),
            }
            | ({"undrifted_ndcg": undrifted(values, window_rows, aggregate)} if window_rows else {})
            for i, (values, expected) in enumerate(zip(self.values, self.expected, strict=True))
        }

    def local(self) -> pd.DataFrame:
        """Per row: a SHAP value per feature and label, then the predicted scores (Clarify's ``out.csv``)."""
        frames = [
            pd.DataFrame(values, columns=[f"{name}_label{i}" for name in self.names])
            for i, values in enumerate(self.values)
        ]
        scores = self.scores.reshape(len(self.scores), -1)
        frames.append(pd.DataFrame(scores, columns=[f"label{i}_score" for i in range(scores.shape[1])]))
        return pd.concat(frames, axis=1)


def explain(
    rows: pd.DataFrame,
    predict: Predict,
    *,
    baseline: Sequence[Sequence[float]] | None = None,
    clusters: int | None = None,
    samples: int | None = None,
    use_logit: bool = False,
    seed: int = 7,
    max_rows: int = MAX_ROWS,
) -> Explanation:
    """Kernel SHAP of up to ``max_rows`` rows (a seeded sample: the cost is rows x samples x predictions).

    Where log odds are explained (``use_logit``), a model that can do it itself (``predict.log_odds_shap``) is
    asked instead: the same values without the noise of sampling, in a fraction of the time.

    ``baseline``: reference rows in the features' order; without one the rows' K-means centres stand in.
    """
    import shap

    table = rows if len(rows) <= max_rows else rows.sample(max_rows, random_state=seed)
    try:
        values = table.to_numpy(dtype=float)
    except ValueError as error:
        raise AnalysisError(
            f"Attribution needs numeric features: {error}. Exclude the column or encode it."
        ) from error
    if baseline is not None:
        reference = np.asarray(baseline, dtype=float)
        if reference.ndim != 2 or reference.shape[1] != values.shape[1]:
            raise AnalysisError(
                f"The SHAP baseline has {reference.shape[-1]} values a row, "
                f"the data {values.shape[1]} features."
            )
    else:
        reference = _centres(values, clusters, seed)
    exact = getattr(predict, "log_odds_shap", None) if use_logit else None
    if exact:
        raw, expected = exact(values, reference)
    else:
        np.random.seed(seed)
        explainer = shap.KernelExplainer(predict, reference, link="logit" if use_logit else "identity")
        raw = np.asarray(explainer.shap_values(values, nsamples=samples or "auto", silent=True))
        expected = explainer.expected_value
    per_label = [raw] if raw.ndim == 2 else [raw[..., i] for i in range(raw.shape[-1])]
    return Explanation(
        tuple(map(str, table.columns)),
        tuple(per_label),
        tuple(np.atleast_1d(expected).tolist()),
        np.asarray(predict(values)),
    )


def undrifted(values: Array, rows: int, aggregate: str = "mean_abs", *, seed: int = 7) -> float:
    """The nDCG that windows of ``rows`` rows from the baseline itself stay above.

    200 such windows are drawn; twice their 1 % quantile's distance from 1 leaves room for what kernel SHAP's
    own sampling and the baseline's adds.
    """
    random, gains = np.random.default_rng(seed), _AGGREGATES[aggregate](values)
    if len(gains) < 2 or not gains.any():
        return 0.0
    drawn = [
        ndcg_score([gains], [_AGGREGATES[aggregate](values[random.integers(len(values), size=rows)])])
        for _ in range(200)
    ]
    return float(1 - 2 * (1 - np.quantile(drawn, 0.01)))


def drift(analysis: Json, baseline: Json, threshold: float = THRESHOLD) -> list[Json]:
    """Violations per label whose nDCG is below ``threshold``, or lower than the baseline says chance goes.

    The managed threshold of 0.9 lets the second strongest of seventy features vanish unseen.
    """
    known = baseline.get("explanations", {}).get("kernel_shap", {})
    limits = {label: max(threshold, known[label].get("undrifted_ndcg", 0.0)) for label in known}
    return [
        {
            "label": label,
            "metric_name": "shap",
            "constraint_check_type": "feature_attribution_drift_check",
            "description": f"Feature attribution drift {score} exceeds threshold {limits[label]}",
        }
        for label, score in scores(analysis, baseline).items()
        if score < limits[label]
    ]


def scores(analysis: Json, baseline: Json) -> dict[str, float]:
    """nDCG per label of two ``analysis.json``."""
    now, before = (body.get("explanations", {}).get("kernel_shap", {}) for body in (analysis, baseline))
    return {
        label: ndcg(before[label]["global_shap_values"], body["global_shap_values"])
        for label, body in now.items()
        if label in before
    }


def ndcg(baseline: Mapping[str, float], live: Mapping[str, float]) -> float:
    """nDCG of the live ranking with the baseline's scores as gains; 1 means the same order.

    Raises ``AnalysisError`` when the two rank different features.
    """
    if baseline.keys() != live.keys():
        odd = sorted(baseline.keys() ^ live.keys())[:5]
        raise AnalysisError(f"The baseline's features are not those of the window: {', '.join(odd)}.")
    if len(baseline) < 2 or not any(baseline.values()):
        return 1.0
    names = list(baseline)
    return float(ndcg_score([[baseline[name] for name in names]], [[live[name] for name in names]]))


def metrics_of(analysis: Json) -> list[Json]:
    """CloudWatch entries: one per feature and label, and the expected value."""
    entries = []
    for label, body in analysis.get("explanations", {}).get("kernel_shap", {}).items():
        common = {"ExplainabilityMethod": "KernelShap", "Label": label}
        entries += [
            {
                "MetricName": f"feature_{name}",
                "Value": value,
                "Dimensions": common | {"ValueType": "GlobalShapValues"},
            }
            for name, value in body["global_shap_values"].items()
        ]
        entries.append(
            {
                "MetricName": "ExpectedValue",
                "Value": body["expected_value"],
                "Dimensions": common | {"ValueType": "ExpectedValue"},
            }
        )
    return entries


def _centres(values: Array, clusters: int | None, seed: int) -> Array:
    from sklearn.cluster import KMeans

    count = min(clusters or CLUSTERS, len(np.unique(values, axis=0)), 12)
    centres: Array = KMeans(count, random_state=seed, n_init=1).fit(values).cluster_centers_
    return centres
