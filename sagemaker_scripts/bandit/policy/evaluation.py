"""The evaluation job: challenger, champion and the logged policy on rounds that none was trained on.

Writes evaluation.json (last) and rounds.parquet: for each round the event id, reward, logged probability, and
of each policy its weight and its doubly robust influence.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import estimators, reward_model
from . import model as models
from .errors import NoRows, PolicyError, UnusableModel
from .estimators import Estimate, Floats, Log
from .examples import Examples
from .model import Policy
from .rows import Refused, Row, read

VERSION = 1
CONFIDENCE = 0.95
FOLDS = 5
EXIT_MESSAGE_BYTES = 1024  # what SageMaker keeps of it


@dataclass(frozen=True)
class Rounds:
    """Joined rows, and the same as the estimators take them."""

    rows: Sequence[Row]
    log: Log


def evaluate(
    data: Path,
    policies: Mapping[str, Policy],
    *,
    confidence: float = CONFIDENCE,
    folds: int = FOLDS,
    now: float | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Content of evaluation.json, and the rounds. policies: "challenger", and "champion" if there is one.

    Raises NoRows without a usable round, UnusableModel when the policies are not for the same decision.
    """
    challenger = policies["challenger"]
    for policy in policies.values():
        if different := models.same_decision(challenger.config, policy.config):
            raise UnusableModel(
                f"{policy.model_id} cannot be compared with {challenger.model_id}: {different}"
            )
    refused = Refused()
    rounds = read_rounds(data, challenger, refused, folds=folds, now=now)
    log = rounds.log
    chances = {name: probabilities(policy, rounds.rows, log.q.shape) for name, policy in policies.items()}
    logged = estimators.logged(log)
    estimates = {
        name: {key: estimator(log, chance) for key, estimator in estimators.ESTIMATORS.items()}
        for name, chance in chances.items()
    }
    weights = {name: log.weights(chance) for name, chance in chances.items()}

    def described(values: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
        return {key: describe(value, confidence) for key, value in values.items()}

    ours = estimates["challenger"]
    evaluation = {
        "version": VERSION,
        "rows": len(rounds.rows),
        "refused": dict(refused.counts),
        "confidence": confidence,
        "folds": folds,
        "reward": dict(challenger.config.content["reward"]),
        "logged": describe(logged, confidence),
        "policies": {
            name: {
                "model_id": policies[name].model_id,
                "effective_sample_size": estimators.effective_sample_size(weights[name]),
                "maximum_weight": float(weights[name].max()),
                "mean_weight": float(weights[name].mean()),
                "estimates": described(estimates[name]),
            }
            if name in policies
            else None
            for name in ("challenger", "champion")
        },
        "paired": {
            "champion": described({key: ours[key] - value for key, value in estimates["champion"].items()})
            if "champion" in estimates
            else None,
            "logged": described({key: value - logged for key, value in ours.items()}),
        },
    }
    table = pd.DataFrame(
        {
            "event_id": [row.event_id for row in rounds.rows],
            "reward": log.rewards,
            "action_prob": log.propensities,
            **{f"{name}_weight": weights[name] for name in policies},
            **{f"{name}_dr": estimates[name]["dr"].influence for name in policies},
        }
    )
    return evaluation, table


def read_rounds(
    data: Path, policy: Policy, refused: Refused, *, folds: int = FOLDS, now: float | None = None
) -> Rounds:
    """Joined rows with their cross-fitted reward estimates. Raises NoRows."""
    config = policy.config
    examples = Examples(config, policy.metadata.encoder)

    def encode(row: Row) -> tuple[Row, list[str], list[list[str]]]:
        context, *arms = examples.lines(row.observation, row.arms)
        # The words of VW's own lines, without `shared` and the namespaces.
        return row, _tokens(context), [_tokens(arm) for arm in arms]

    kept = list(read(data, config, refused, encode, now=now))
    if not kept:
        raise NoRows(f"there is nothing to evaluate: 0 usable rows in {data} (refused: {refused or 'none'})")
    rows, contexts, offers = (list(part) for part in zip(*kept, strict=True))
    arms = np.array([row.place for row in rows])
    rewards = np.array([row.reward for row in rows])
    low, high = config.reward_range
    q = reward_model.cross_fitted(
        [row.event_id for row in rows], contexts, offers, arms, rewards, folds=folds, low=low, high=high
    )
    propensities = np.array([row.probability for row in rows])
    return Rounds(rows, Log(arms, rewards, propensities, q, low, high))


def probabilities(policy: Policy, rows: Sequence[Row], shape: tuple[int, ...]) -> Floats:
    """What a policy would do in each round, (n, K); 0 beyond a round's own arms."""
    chances = np.zeros(shape)
    for i, row in enumerate(rows):
        answer = policy.probabilities(row.observation, row.arms)
        chances[i, : len(answer)] = answer
    return chances


def describe(estimate: Estimate, confidence: float) -> dict[str, float | None]:
    """As JSON; what a single round cannot tell is null."""
    low, high = estimate.interval(confidence)
    values = {
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "low": low,
        "high": high,
    }
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _tokens(line: str) -> list[str]:
    return [word for word in line.split() if word != "shared" and not word.startswith("|")]


def main(arguments: list[str] | None = None) -> int:
    """The processing job's command line."""
    parser = argparse.ArgumentParser(description="Estimate the value of policies from logged rounds.")
    parser.add_argument("--data", type=Path, required=True, help="folder with joined rows")
    parser.add_argument("--challenger", type=Path, required=True, help="folder with a model")
    parser.add_argument("--champion", type=Path, help="folder with a model")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--message", type=Path, help="file for the error message (SageMaker's ExitMessage)")
    parser.add_argument("--confidence", type=float, default=CONFIDENCE)
    parser.add_argument("--folds", type=int, default=FOLDS)
    options = parser.parse_args(arguments)
    if not 0 < options.confidence < 1:
        parser.error(f"--confidence is {options.confidence:g}, not between 0 and 1")
    if options.folds < 2:
        parser.error(f"--folds is {options.folds}, not 2 or more: no round may score its own model")
    folders = {"challenger": options.challenger} | (
        {"champion": options.champion} if options.champion else {}
    )
    try:
        policies = {name: models.load(folder) for name, folder in folders.items()}
        evaluation, table = evaluate(
            options.data, policies, confidence=options.confidence, folds=options.folds
        )
    except PolicyError as error:
        if options.message:
            options.message.parent.mkdir(parents=True, exist_ok=True)
            cut = str(error).encode()[:EXIT_MESSAGE_BYTES].decode(errors="ignore")
            options.message.write_text(cut, encoding="utf-8")
        print(error, file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_parquet(options.output / "rounds.parquet", index=False)
    partial = options.output / ".evaluation.json"
    partial.write_text(json.dumps(evaluation, indent=1, allow_nan=False), encoding="utf-8")
    partial.replace(options.output / "evaluation.json")
    print(summary(evaluation))
    return 0


def summary(evaluation: Mapping[str, Any]) -> str:
    """What the job's log says: the estimates, best first to read."""
    logged = evaluation["logged"]
    lines = [f"{evaluation['rows']} rounds; the logged policy earned {logged['value']:.4f}"]
    for name, policy in evaluation["policies"].items():
        if policy:
            values = ", ".join(f"{key} {entry['value']:.4f}" for key, entry in policy["estimates"].items())
            size = policy["effective_sample_size"]
            lines.append(f"{name} {policy['model_id']}: {values}; effective sample size {size:.0f}")
    return "\n".join(lines)
