"""False alarms and detections of the monitors, measured on generated customers.

    .venv/jobs/bin/python -m benchmarks.drift [--windows 200] [--rows 200 2000] [--json FILE]

A churn model is trained on 3,500 of 5,000 generated customers, the baselines are made from training and
validation rows as the pipeline makes them, and windows of *other* customers of the same population are
judged: first as they are (every alarm is a false one), then with a drift of stated size. A drift counts as
found when one of two consecutive windows alarms. The managed analyzer's defaults stand beside ours.

Attribution is that of the log odds, exact, as the jobs compute it for the built-in XGBoost; ``--kernel`` adds
a few windows by kernel SHAP of the probability, which is what is left for a model behind an endpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import xgboost

from clients.churn_customers import churn_logit, customers
from sagemaker_scripts.monitoring import (
    attribution,
    bias,
    checks,
    data_quality,
    model_constraints,
    model_quality,
)
from sagemaker_scripts.monitoring.predictor import Trees
from sagemaker_scripts.monitoring.profile import Profile, profile_chunks
from sagemaker_scripts.monitoring.sources import Refusals
from sagemaker_scripts.monitoring.tables import Chunk

Frame: TypeAlias = pd.DataFrame
Array: TypeAlias = npt.NDArray[Any]
Drift = Callable[[Frame, np.random.Generator], Frame]

NUMERIC = [
    "Account Length",
    "VMail Message",
    "Day Mins",
    "Day Calls",
    "Eve Mins",
    "Eve Calls",
    "Night Mins",
    "Night Calls",
    "Intl Mins",
    "Intl Calls",
    "CustServ Calls",
]
CATEGORICAL = ["State", "Area Code", "Int'l Plan", "VMail Plan"]
PARAMETERS = {"max_depth": 5, "eta": 0.2, "gamma": 4, "min_child_weight": 6, "subsample": 0.8,
              "objective": "binary:logistic", "seed": 7, "nthread": 1}  # fmt: skip
QUESTION = bias.Question(
    "Churn", (1,), (bias.Facet("Account Length", (100,)), bias.Facet("VMail Plan_yes", (1,))),
    post=("AD", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE"),
)  # fmt: skip


class World:
    """A trained model, its baselines, and any number of windows of customers it has not seen."""

    def __init__(self, rows: int, seed: int = 7) -> None:
        # Each draw of 50,000 is a stream of its own; the first 5,000 customers are the pipeline's.
        raw = pa.concat_tables(customers(rows + 5000, seed)).to_pandas()
        self.raw = raw.iloc[5000:].reset_index(drop=True)
        known = raw.iloc[:5000]
        self.columns = list(encode(known).columns)
        features = self.encode(known)
        train, validation = slice(0, 3500), slice(3500, 4500)
        label = known["Churn?"].eq("True.").to_numpy().astype(int)
        self.booster = xgboost.train(
            PARAMETERS, xgboost.DMatrix(features.iloc[train], label[train]), num_boost_round=100
        )
        scores = self.score(features)
        fit, held = (
            self._profile(features.iloc[train], None),
            self._profile(features.iloc[validation], scores[validation]),
        )
        # The training rows' own scores are too sure of themselves: the score's baseline is the validation
        # rows'.
        self.statistics = data_quality.statistics_of(fit)
        self.statistics["features"].insert(0, data_quality.statistics_of(held)["features"][0])
        self.managed = data_quality.suggest_constraints(self.statistics)
        self.ours = data_quality.suggest_constraints(self.statistics, window_alarm_rate=0.01)
        self.kinds = data_quality.kinds_of(self.managed)
        answers = _answers(label[validation], scores[validation])
        quality = model_quality.statistics_of(answers)
        self.quality = {
            k: model_constraints.suggest(quality, answers, tolerance=k)
            for k in (0.0, model_constraints.TOLERANCE)
        }
        self.bias = self.bias_of(features.iloc[validation], label[validation], scores[validation])
        mean = features.iloc[train].mean()
        self.mean = mean.tolist()
        self.attribution = self.attribution_of(features.iloc[validation], window_rows=200)

    def encode(self, raw: Frame) -> Frame:
        return encode(raw).reindex(columns=self.columns, fill_value=0)

    def score(self, features: Frame) -> Array:
        scores: Array = self.booster.predict(xgboost.DMatrix(features))
        return scores.astype(float)

    def _profile(self, features: Frame, scores: Array | None) -> Profile:
        table = pa.Table.from_pandas(features, preserve_index=False)
        if scores is not None:
            table = table.add_column(0, "score", pa.array(scores))
        return profile_chunks([Chunk(table, lambda i: f"row {i}")], {})

    def data(self, features: Frame, scores: Array, constraints: dict[str, Any]) -> int:
        found = self._profile(features, scores)
        return len(checks.check(found, self.statistics, constraints, Refusals())[0])

    def model(self, label: Array, scores: Array, tolerance: float) -> int:
        statistics = {"dataset": {"item_count": len(label)}, "binary_classification_metrics": {
            name: {"value": "NaN" if np.isnan(value) else value}
            for name, value in model_quality.metrics(_answers(label, scores)).items()}}  # fmt: skip
        return len(model_constraints.check(statistics, self.quality[tolerance]))

    def bias_of(self, features: Frame, label: Array, scores: Array) -> dict[str, Any]:
        table = features[["Account Length", "VMail Plan_yes"]].reset_index(drop=True)
        table.insert(0, "Churn", label)
        return bias.analyse(table, QUESTION, pd.Series((scores > 0.5).astype(int)))

    def attribution_of(
        self, features: Frame, kernel: bool = False, window_rows: int | None = None
    ) -> dict[str, Any]:
        if kernel:
            explained = attribution.explain(
                features,
                lambda rows: self.score(pd.DataFrame(rows, columns=self.columns)),
                baseline=[self.mean], samples=100, max_rows=50,
            )  # fmt: skip
            return {"explanations": {"kernel_shap": explained.to_json()}}
        explained = attribution.explain(features, Trees(self.booster), baseline=[self.mean], use_logit=True)
        return {"explanations": {"kernel_shap": explained.to_json(window_rows=window_rows)}}

    def windows(
        self, rows: int, count: int, drift: Drift | None = None
    ) -> Iterator[tuple[Frame, Array, Array]]:
        """``(features, label, scores)`` of windows of ``rows`` customers.

        Concept drifts change the label column.
        """
        for number in range(count):
            raw = self.raw.iloc[number * rows : (number + 1) * rows].reset_index(drop=True)
            if drift is not None:
                raw = drift(raw.copy(), np.random.default_rng([number, rows]))
            features = self.encode(raw)
            yield features, raw["Churn?"].eq("True.").to_numpy().astype(int), self.score(features)


def encode(raw: Frame) -> Frame:
    """The reference's columns: numbers, then one column per category."""
    dummies = pd.get_dummies(raw[CATEGORICAL].astype(str), dtype=int)
    return pd.concat([raw[NUMERIC], dummies], axis=1)


def _answers(label: Array, scores: Array) -> model_quality.Answers:
    return model_quality.Answers("BinaryClassification", label, (scores > 0.5).astype(int), scores)


def shifted(column: str, deviations: float) -> Drift:
    def apply(raw: Frame, _random: np.random.Generator) -> Frame:
        raw[column] = (raw[column] + deviations * 54.5).round(1)
        return raw

    return apply


def international(raw: Frame, random: np.random.Generator) -> Frame:
    raw["Int'l Plan"] = np.where(random.random(len(raw)) < 0.25, "yes", "no")
    return raw


def new_state(raw: Frame, random: np.random.Generator) -> Frame:
    raw.loc[random.random(len(raw)) < 0.3, "State"] = "CA"
    return raw


def broken_column(raw: Frame, _random: np.random.Generator) -> Frame:
    raw["Eve Mins"] = 0.0
    return raw


def concept(raw: Frame, random: np.random.Generator) -> Frame:
    """Heavy daytime users stay, light ones leave: the strongest reason to churn turns round."""
    logit = churn_logit(
        (400.0 - raw["Day Mins"]).to_numpy(), raw["Eve Mins"].to_numpy(), raw["Intl Mins"].to_numpy(),
        raw["Intl Calls"].to_numpy(), raw["CustServ Calls"].to_numpy(),
        raw["Int'l Plan"].eq("yes").to_numpy(), raw["VMail Plan"].eq("yes").to_numpy(),
    )  # fmt: skip
    raw["Churn?"] = np.where(random.random(len(raw)) < 1 / (1 + np.exp(-logit)), "True.", "False.")
    return raw


def unfair(share: float) -> Drift:
    """Voice-mail customers begin to leave."""

    def apply(raw: Frame, random: np.random.Generator) -> Frame:
        leaves = raw["VMail Plan"].eq("yes").to_numpy() & (random.random(len(raw)) < share)
        raw.loc[leaves, "Churn?"] = "True."
        return raw

    return apply


def constant_minutes(raw: Frame, _random: np.random.Generator) -> Frame:
    raw["Day Mins"] = 180.0
    return raw


DRIFTS: dict[int, list[tuple[str, str, Drift]]] = {
    200: [
        ("data", "Day Mins shifted by 0.5 standard deviations", shifted("Day Mins", 0.5)),
        ("data", "international plans from 10 % to 25 %", international),
        ("data", "30 % of the customers move to one state", new_state),
        ("data", "Eve Mins broken upstream (all 0)", broken_column),
        ("model", "concept: light daytime users leave instead of heavy ones", concept),
        ("bias", "50 points more voice-mail customers leave", unfair(0.50)),
        ("attribution", "Day Mins, second of 69 features, goes constant", constant_minutes),
    ],
    2000: [
        ("data", "Day Mins shifted by 0.2 standard deviations", shifted("Day Mins", 0.2)),
        ("bias", "20 points more voice-mail customers leave", unfair(0.20)),
    ],
}


def alarms(
    world: World, rows: int, count: int, drift: Drift | None, monitors: set[str]
) -> dict[str, list[bool]]:
    """Per rule, whether each window alarmed."""
    found: dict[str, list[bool]] = {}

    def note(rule: str, violations: int) -> None:
        found.setdefault(rule, []).append(violations > 0)

    for features, label, scores in world.windows(rows, count, drift):
        if "data" in monitors:
            note("data, managed defaults (Robust, 0.1)", world.data(features, scores, world.managed))
            note("data, window_alarm_rate 0.01", world.data(features, scores, world.ours))
        if "model" in monitors:
            note("model, managed (tolerance 0)", world.model(label, scores, 0.0))
            note("model, tolerance 3.5", world.model(label, scores, 3.5))
        if "bias" in monitors:
            analysis = world.bias_of(features, label, scores)
            note("bias, managed (bare values)", len(bias.drift(analysis, world.bias, alarm_rate=None)))
            note("bias, alarm rate 0.01", len(bias.drift(analysis, world.bias)))
        if "attribution" in monitors:
            (score,) = attribution.scores(
                analysis := world.attribution_of(features), world.attribution
            ).values()
            note("attribution, managed (nDCG < 0.9)", int(score < attribution.THRESHOLD))
            note("attribution, undrifted nDCG", len(attribution.drift(analysis, world.attribution)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--monitors", nargs="+", default=["data", "model", "bias", "attribution"])
    parser.add_argument("--kernel", type=int, default=0, help="also judge this many windows with kernel SHAP")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    world = World(options.windows * max(options.rows))
    result: dict[str, Any] = {"windows": options.windows, "false_alarms": [], "detections": []}
    print(f"{'monitor':44} {'rows':>6} {'false alarms':>14}")
    for rows in options.rows:
        for rule, hits in alarms(world, rows, options.windows, None, set(options.monitors)).items():
            share = float(np.mean(hits))
            result["false_alarms"].append({"rule": rule, "rows": rows, "share": share})
            print(f"{rule:44} {rows:6} {share:13.1%}", flush=True)
    print(f"\n{'drift, and the rule that looks for it':92} {'rows':>6} {'1 window':>9} {'2 windows':>9}")
    for rows in options.rows:
        for monitor, name, drift in [*DRIFTS[200], *(DRIFTS.get(rows, []) if rows != 200 else [])]:
            if monitor not in options.monitors:
                continue
            count = options.windows // 2 * 2 if monitor == "data" else min(100, options.windows // 2 * 2)
            for rule, hits in alarms(world, rows, count, drift, {monitor}).items():
                once, twice = float(np.mean(hits)), float(np.mean(np.reshape(hits, (-1, 2)).any(axis=1)))
                result["detections"].append(
                    {"drift": name, "rule": rule, "rows": rows, "one": once, "two": twice}
                )
                print(f"{name + ': ' + rule:92} {rows:6} {once:9.1%} {twice:9.1%}", flush=True)
    if options.kernel:
        before = world.attribution_of(world.encode(world.raw.iloc[:1000]), kernel=True)
        values = [
            attribution.scores(world.attribution_of(features, kernel=True), before)["label0"]
            for features, _, _ in world.windows(200, options.kernel)
        ]
        result["kernel_ndcg"] = values
        print(f"\nkernel SHAP, 50 of 200 rows: nDCG between {min(values):.3f} and {max(values):.3f}")
    print(f"\n{time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
