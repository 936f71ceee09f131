"""The baselines of a trained model, all four kinds in one job: one machine starts instead of five.

Inputs below ``/opt/ml/processing/input``: ``train`` and ``validation`` (headerless CSV, label first),
``encoder`` (``encoder.json`` with ``feature_names``), ``model`` (``model.tar.gz`` of the built-in XGBoost).
Outputs below ``output_path``:

    data_quality/statistics.json, constraints.json           columns: probability, then the features
    model_quality/statistics.json, constraints.json
    bias/analysis.json, analysis_config.json
    attribution/analysis.json, analysis_config.json

What a model says is taken from validation rows throughout: of rows it was trained on it is too sure. Features
are taken from the training rows, of which there are more, and which the model knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from . import attribution, bias, data_quality, model_constraints, model_quality
from .profile import profile, profile_chunks
from .publish import write_json, write_message
from .sources import AnalysisError, Locations, find_files, no_data, rebase
from .tables import Chunk, Dataset

Json = dict[str, Any]

LABEL = "Churn"
PROBABILITY = "probability"
INPUT = "/opt/ml/processing/input"
# Not the flip test, which fits a neighbour search for every window, nor what needs a group variable.
POST_TRAINING = ("AD", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE")
PRE_TRAINING = ("CI", "DPL", "KL", "JS", "LP", "TVD", "KS")


@dataclass(frozen=True)
class Options:
    """What the baselines are to tolerate, and what they look at; see the settings of the same names."""

    threshold: float = 0.5
    constraint_tolerance: float = model_constraints.TOLERANCE
    window_alarm_rate: float = 0.01
    expected_window_rows: int = 200
    facet: str = ""
    facet_threshold: float = 0.0
    explained_rows: int = 1000
    shap_samples: int = 200
    seed: int = 7

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Options:
        """From environment variables of the fields' names. Raises ``AnalysisError`` naming a wrong one."""
        kinds: dict[str, Any] = {"facet": str}
        given = {}
        for name, default in vars(cls()).items():
            if name in env:
                try:
                    given[name] = kinds.get(name, type(default))(env[name])
                except ValueError as error:
                    raise AnalysisError(f"The environment variable {name}={env[name]!r}: {error}.") from error
        return cls(**given)


def job(env: Mapping[str, str], base: Path) -> None:
    """Read model, encoder and splits; publish the four baselines and what they say of themselves."""
    from .predictor import load_model

    folder, output = rebase(INPUT, base), rebase(env.get("output_path", "/opt/ml/processing/output"), base)
    locations = Locations.of_job(base)
    options = Options.of(env)
    features = _feature_names(folder / "encoder", locations)
    predict = load_model(folder / "model", locations)
    fit = Dataset(folder / "train", "csv", names=[LABEL, *features], locations=locations)
    held = _read(folder / "validation", [LABEL, *features], locations)
    scores = predict(held[features].to_numpy(dtype=float))
    made = baselines(fit, held, scores, predict, options)
    version = env.get("model_version", "")
    for name, content in made.items():
        write_json(output / name, content | ({"model_version": version} if version else {}))
    rows = made["data_quality/statistics.json"]["dataset"]["item_count"]
    write_message(base, f"Completed: baselines of {rows} training and {len(held)} validation rows.")


def baselines(
    fit: Dataset, held: pd.DataFrame, scores: Any, predict: attribution.Predict, options: Options
) -> dict[str, Json]:
    """The content of each file by its name.

    ``held``: validation rows, the label and then the features; ``scores`` their probabilities. Raises
    ``AnalysisError`` when there are no rows, or only one class.
    """
    features = [str(name) for name in held.columns if name != LABEL]
    if options.facet not in features:
        raise AnalysisError(f"facet={options.facet!r} is not a feature; there are {', '.join(features)}.")
    statistics, constraints = _data_quality(fit, scores, options)
    answers = model_quality.Answers(
        "BinaryClassification",
        held[LABEL].to_numpy(dtype=np.int64),
        (scores > options.threshold).astype(np.int64),
        scores,
    )
    quality = model_quality.statistics_of(answers, seed=options.seed)
    said = pd.Series((scores > options.threshold).astype(int), index=held.index)
    rows = held[features]
    means = [float(value) for value in rows.mean()]
    explained = attribution.explain(
        rows,
        predict,
        baseline=[means],
        samples=options.shap_samples,
        use_logit=True,
        seed=options.seed,
        max_rows=options.explained_rows,
    )
    return {
        "data_quality/statistics.json": statistics,
        "data_quality/constraints.json": constraints,
        "model_quality/statistics.json": quality,
        "model_quality/constraints.json": model_constraints.suggest(
            quality,
            answers,
            tolerance=options.constraint_tolerance,
            expected_rows=options.expected_window_rows,
            seed=options.seed,
        ),
        "bias/analysis.json": {"version": "1.0"}
        | bias.analyse(held[[LABEL, options.facet]], _question(options), said, seed=options.seed),
        "bias/analysis_config.json": _bias_config(features, options),
        "attribution/analysis.json": {
            "version": "1.0",
            "explanations": {"kernel_shap": explained.to_json("mean_abs", options.expected_window_rows)},
        },
        "attribution/analysis_config.json": _attribution_config(features, means, options),
    }


def _data_quality(fit: Dataset, scores: Any, options: Options) -> tuple[Json, Json]:
    """Statistics and constraints with the columns of a capture: the answer first, then what was asked."""
    found = profile(fit)
    if fit.refusals.total:
        raise AnalysisError(f"The training data is not clean: {fit.refusals.sentence()}.")
    statistics = data_quality.statistics_of(found, frozenset({LABEL}))
    table = pa.table({PROBABILITY: pa.array(scores)})
    answered = profile_chunks([Chunk(table, "validation row {}".format)], {})
    statistics["features"].insert(0, data_quality.statistics_of(answered)["features"][0])
    return statistics, data_quality.suggest_constraints(
        statistics, window_alarm_rate=options.window_alarm_rate
    )


def _question(options: Options) -> bias.Question:
    facet = bias.Facet(options.facet, (options.facet_threshold,))
    return bias.Question(LABEL, (1,), (facet,), pre=PRE_TRAINING, post=POST_TRAINING)


def _config(features: Sequence[str]) -> Json:
    return {"version": "1.0", "dataset_type": "text/csv", "headers": [*features, LABEL], "label": LABEL}


def _bias_config(features: Sequence[str], options: Options) -> Json:
    return _config(features) | {
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": options.facet, "value_or_threshold": [options.facet_threshold]}],
        "probability_threshold": options.threshold,
        "methods": {
            "pre_training_bias": {"methods": list(PRE_TRAINING)},
            "post_training_bias": {"methods": list(POST_TRAINING)},
        },
    }


def _attribution_config(features: Sequence[str], means: Sequence[float], options: Options) -> Json:
    return _config(features) | {
        "methods": {
            "shap": {
                "baseline": [list(means)],
                "num_samples": options.shap_samples,
                "use_logit": True,  # what a tree model adds up, and can be asked for exactly
                "agg_method": "mean_abs",
                "seed": options.seed,
                "max_rows": options.explained_rows,
            }
        },
        # Scored inside the job, from the model that is its input: no endpoint is started for it.
        "predictor": {"model_path": f"{INPUT}/model"},
    }


def _feature_names(path: Path, locations: Locations) -> list[str]:
    file = next(iter(sorted(path.rglob("*.json"))), path / "encoder.json")
    try:
        return [str(name) for name in json.loads(file.read_text())["feature_names"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnalysisError(f"{locations.name(file)} names no features: {error!r}.") from error


def _read(folder: Path, names: list[str], locations: Locations) -> pd.DataFrame:
    files = find_files(folder, (".csv", "")) if folder.exists() else []
    if not files:
        raise no_data(f".csv file under {locations.name(folder)}")
    rows = pd.concat([pd.read_csv(file, header=None) for file in files], ignore_index=True)
    if rows.shape[1] != len(names):
        raise AnalysisError(
            f"{locations.name(folder)} has {rows.shape[1]} columns; label and encoder make {len(names)}."
        )
    rows.columns = pd.Index(names)
    if rows[LABEL].nunique() != 2:
        raise AnalysisError(f"{locations.name(folder)} has one class only: both are needed.")
    return rows
