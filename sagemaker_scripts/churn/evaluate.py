"""Challenger and champion on the same frozen hold-out: a SageMaker processing job.

    python3 evaluate.py --holdout FOLDER --encoder FOLDER --challenger FOLDER --output FOLDER
        [--champion FOLDER --champion-encoder FOLDER] [--threshold 0.5] [--costs JSON] [--replicates 2000]
        [--seed 7] [--profile JSON] [--lineage JSON] [--training-job NAME] [--message FILE]

FOLDERs hold the hold-out's Parquet, an encoder.json, a model.tar.gz. Each model scores with its own
encoder. `--profile` names Athena queries that ran before (name -> query id). JSON may come in pieces:
SageMaker's arguments are short.

Writes evaluation.json (last), report.html, scores.parquet and smoke_sample.csv (score, then features) to
the output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installing import install_missing

if __name__ == "__main__":
    install_missing(Path(__file__).with_name("requirements.txt"))

import data_checks
import metrics
import models
import numpy as np
import numpy.typing as npt
import pandas as pd
import report
from encoding import Encoder, UnusableEncoder

VERSION = 1
CONFIDENCE = 0.95
SMOKE_ROWS = 100
COSTS = {"false_negative": 500.0, "false_positive": 100.0, "true_positive": 100.0, "true_negative": 0.0}
EXIT_MESSAGE_BYTES = 1024  # what SageMaker keeps of it


class UnusableHoldout(ValueError):
    """There is nothing to evaluate on; the message says why."""


@dataclass(frozen=True)
class Scored:
    """A model's features and scores on the hold-out, row by row."""

    features: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]


def read_holdout(folder: Path) -> pd.DataFrame:
    """The hold-out's customers in file order. Raises UnusableHoldout: no file, no rows, or one class."""
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise UnusableHoldout(f"there is no Parquet file in {folder}")
    customers = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    customers = customers.sort_values("row_number", ignore_index=True)
    positives = int(customers["churn"].sum())
    if not 0 < positives < len(customers):
        raise UnusableHoldout(
            f"the hold-out has {len(customers)} customers, {positives} churned: both classes are needed"
        )
    return customers


def score(model: Path, encoder: Path, customers: pd.DataFrame) -> Scored:
    """Score the hold-out with a model and its own encoder."""
    features = Encoder.load(encoder).encode(customers)
    return Scored(features, models.score(models.load(model), features))


def evaluate(
    labels: metrics.Labels,
    scores: Mapping[str, metrics.Floats],
    *,
    threshold: float,
    costs: Mapping[str, float],
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    """The content of evaluation.json but for lineage and data checks. `scores`: challenger, and champion if
    any."""
    described = {name: metrics.describe(labels, values, threshold, costs) for name, values in scores.items()}
    against = "champion" if "champion" in scores else "constant"
    share = float(labels.mean())
    drawn = metrics.bootstrap(labels, {**scores, "constant": np.full(len(labels), share)}, replicates, seed)
    for name, values in described.items():
        values["auc_interval"] = metrics.interval(drawn[name]["auc"], CONFIDENCE)
        values["log_loss_interval"] = metrics.interval(drawn[name]["log_loss"], CONFIDENCE)
    constant = metrics.constant(labels, costs)
    other = described.get("champion", {**constant, "auc": 0.5})

    def difference(metric: str) -> dict[str, float]:
        values = drawn["challenger"][metric] - drawn[against][metric]
        estimate = described["challenger"][metric] - other[metric]
        return {"estimate": estimate, **metrics.interval(values, CONFIDENCE)}

    return {
        "version": VERSION,
        "holdout": {"rows": len(labels), "positives": int(labels.sum())},
        "threshold": threshold,
        "costs": dict(costs),
        "challenger": described["challenger"],
        "champion": described.get("champion"),
        "constant": constant,
        "paired": {
            "against": against,
            "confidence": CONFIDENCE,
            "replicates": replicates,
            "seed": seed,
            "log_loss": difference("log_loss"),
            "auc": difference("auc") if against == "champion" else None,
        },
    }


def read_profile(queries: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Results of the profile's Athena queries, by name."""
    if not queries:
        return {}
    import awswrangler

    return {
        name: awswrangler.athena.get_query_results(query, dtype_backend="numpy_nullable")
        for name, query in queries.items()
        if query
    }


def smoke_sample(scored: Scored, rows: int = SMOKE_ROWS) -> str:
    """Lines of CSV, the score first: rows without a missing value, evenly spread over the scores."""
    whole = np.flatnonzero(~np.isnan(scored.features).any(axis=1))
    by_score = whole[np.argsort(scored.scores[whole], kind="stable")]
    chosen = (
        by_score[np.linspace(0, len(by_score) - 1, min(rows, len(by_score))).astype(int)]
        if len(by_score)
        else []
    )
    lines = (
        ",".join([repr(float(scored.scores[row])), *map(_as_sent, scored.features[row].tolist())])
        for row in sorted(chosen)
    )
    return "".join(f"{line}\n" for line in lines)


def _as_sent(value: float) -> str:
    """A feature as callers write it: the endpoint captures it, and `5.0` is not what a count looks like."""
    return repr(value).removesuffix(".0")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The whole job; returns what evaluation.json holds."""
    customers = read_holdout(options.holdout)
    labels = customers["churn"].to_numpy(dtype=np.int64)
    challenger = score(options.challenger, options.encoder, customers)
    scores = {"challenger": challenger.scores}
    if options.champion:
        scores["champion"] = score(options.champion, options.champion_encoder, customers).scores
    profile = read_profile(options.profile)
    evaluation = {
        **evaluate(
            labels,
            scores,
            threshold=options.threshold,
            costs=options.costs,
            replicates=options.replicates,
            seed=options.seed,
        ),
        "lineage": {**options.lineage, "training_job": options.training_job},
        "data_checks": data_checks.check(profile),
    }
    output = options.output
    output.mkdir(parents=True, exist_ok=True)
    table = customers[["row_number", "customer_key", "churn"]].assign(**scores)
    table.to_parquet(output / "scores.parquet", index=False)
    _publish(output / "smoke_sample.csv", smoke_sample(challenger))
    _publish(output / "report.html", report.render(evaluation, labels, scores, profile))
    _publish(output / "evaluation.json", json.dumps(evaluation, indent=1, allow_nan=False))
    return evaluation


def _publish(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _print(evaluation: Mapping[str, Any]) -> None:
    for name in ("challenger", "champion"):
        if model := evaluation[name]:
            best = model["cost_curve"]["minimum"]
            print(
                f"{name}: hold-out AUC {model['auc']:.4f}, accuracy {model['accuracy']:.4f}, "
                f"log loss {model['log_loss']:.4f}, {model['confusion']}, "
                f"cost minimum {best['cost']:.0f} at {best['threshold']:.2f}"
            )
    for check in evaluation["data_checks"]:
        print(f"data check {check['name']} {'passed' if check['passed'] else 'FAILED'}: {check['message']}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Evaluate a challenger on the hold-out, beside the champion."
    )
    parser.add_argument(
        "--holdout", type=Path, required=True, help="folder with the hold-out's Parquet files"
    )
    parser.add_argument(
        "--encoder", type=Path, required=True, help="folder with the challenger's encoder.json"
    )
    parser.add_argument(
        "--challenger", type=Path, required=True, help="folder with the challenger's model.tar.gz"
    )
    parser.add_argument("--champion", type=Path, help="folder with the champion's model.tar.gz")
    parser.add_argument("--champion-encoder", type=Path, help="folder with the champion's encoder.json")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap resamples")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--training-job", help="the job that trained the challenger")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--message", type=Path, help="file for the error message (SageMaker's ExitMessage)")
    for name, text in (
        ("costs", "what each outcome costs"),
        ("profile", "name -> query id"),
        ("lineage", "name -> text"),
    ):
        parser.add_argument(f"--{name}", nargs="+", default=["{}"], metavar="JSON", help=text)
    options = parser.parse_args(arguments)
    if (options.champion is None) != (options.champion_encoder is None):
        parser.error("--champion and --champion-encoder go together")
    for name in ("costs", "profile", "lineage"):
        try:
            setattr(options, name, json.loads("".join(getattr(options, name))))
        except ValueError as error:
            parser.error(f"--{name} is not JSON: {error}")
    options.costs = {**COSTS, **options.costs}
    return options


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    try:
        _print(run(options))
    except (UnusableHoldout, UnusableEncoder, models.UnusableModel) as error:
        if options.message:
            options.message.parent.mkdir(parents=True, exist_ok=True)
            options.message.write_bytes(
                str(error).encode()[:EXIT_MESSAGE_BYTES].decode(errors="ignore").encode()
            )
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
