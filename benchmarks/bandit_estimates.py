"""Off-policy estimates against what is known to be true.

* digits: scikit-learn's digits as a bandit, as the Open Bandit Pipeline does it (examples/multiclass: logging
  policy 0.4 logistic regression and 0.6 chance, evaluated policy 0.9 random forest, rewards by
  histogram boosting, 3 folds, 30 runs). Its published mean relative errors, with their standard deviations
  over the runs, are what ours are compared with: each must lie within one of the larger spread.
* coverage: over 200 repetitions (1,258 rounds each, drawn anew from the held-out digits), how often the 95 %
  intervals of SNIPS and DR hold the true value. Target 92 to 98 %.
* gate: pairs of policies, each a random forest of random quality mixed with chance, logs of 300 rounds, the
  gate's finding against the truth. Wrong: `approved` though worse than the margin by more than two standard
  errors, or `worse` though not. Target below 3 %. `undecided` keeps the champion and is no decision.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sagemaker_scripts" / "bandit"))

from policy import estimators
from policy.estimators import Log
from policy.evaluation import describe

from mlops.bandit.gate import decide

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

# zr-obp, examples/multiclass/README.md: mean and standard deviation over 30 runs. The settings of its models
# are those of examples/synthetic/conf/hyperparams.yaml, random_state 12345.
PUBLISHED = {
    "dm": (0.436541, 0.017629),
    "ips": (0.030288, 0.024506),
    "snips": (0.022764, 0.017917),
    "dr": (0.016156, 0.012679),
    "switch_dr": (0.034657, 0.018575),
    "dr_os": (0.015868, 0.012537),
}
RUNS, REPETITIONS, PAIRS, ARMS = 30, 200, 400, 10
GATE_ROUNDS, MARGIN = 300, 0.05


def as_policy(predicted: Ints, share: float) -> Floats:
    """A classifier as a policy: its class with probability `share`, any class with the rest."""
    policy = np.full((len(predicted), ARMS), (1 - share) / ARMS)
    policy[np.arange(len(predicted)), predicted] += share
    return policy


def play(labels: Ints, logger: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Arms drawn from the logging policy, and whether each was the right class."""
    arms = (rng.random(len(labels))[:, None] > logger.cumsum(axis=1)).sum(axis=1).clip(max=ARMS - 1)
    return arms, (arms == labels).astype(float)


def cross_fitted(
    contexts: Floats,
    arms: Ints,
    rewards: Floats,
    model: ClassifierMixin | RegressorMixin,
    seed: int,
    folds: int = 3,
) -> Floats:
    """q of shape (n, K) by a model of the reward on context and one-hot arm."""
    q = np.zeros((len(arms), ARMS))
    codes = np.eye(ARMS)
    for fit, score in KFold(folds, shuffle=True, random_state=seed).split(contexts):
        fitted = clone(model).fit(np.hstack([contexts[fit], codes[arms[fit]]]), rewards[fit])
        for arm in range(ARMS):
            rows = np.hstack([contexts[score], np.repeat(codes[[arm]], len(score), axis=0)])
            q[score, arm] = fitted.predict_proba(rows)[:, 1] if is_classifier(model) else fitted.predict(rows)
    return q


@dataclass(frozen=True)
class World:
    """Digits, split for good: models learn on one part, rounds are played on the other."""

    train: Floats
    train_labels: Ints
    held: Floats
    held_labels: Ints

    @classmethod
    def make(cls, seed: int) -> World:
        contexts, labels = load_digits(return_X_y=True)
        train, held, train_labels, held_labels = train_test_split(
            contexts, labels, test_size=0.7, random_state=seed
        )
        return cls(train, train_labels, held, held_labels)

    def logger(self) -> Floats:
        fitted = LogisticRegression(C=100, max_iter=10_000, random_state=12345)
        return as_policy(fitted.fit(self.train, self.train_labels).predict(self.held), 0.4)

    def forest(self, share: float, rows: int | None = None, seed: int = 12345) -> Floats:
        """A random forest's policy; of the first so many training rows."""
        fitted = RandomForestClassifier(n_estimators=30, max_depth=5, min_samples_leaf=10, random_state=seed)
        fitted.fit(self.train[:rows], self.train_labels[:rows])
        return as_policy(fitted.predict(self.held), share)

    def truth(self, policy: Floats, at: Ints | slice = slice(None)) -> float:
        chances = policy[np.arange(len(policy)), self.held_labels]
        return float(chances[at].mean())


def boosting() -> ClassifierMixin:
    return HistGradientBoostingClassifier(
        max_iter=30, learning_rate=0.01, max_depth=5, min_samples_leaf=10, random_state=12345
    )


def digits() -> bool:
    """Relative errors over the runs, beside the published ones; whether each is within a spread."""
    errors: dict[str, list[float]] = {name: [] for name in PUBLISHED}
    for run in range(RUNS):
        world = World.make(run)
        logger, policy = world.logger(), world.forest(0.9)
        arms, rewards = play(world.held_labels, logger, np.random.default_rng(run))
        q = cross_fitted(world.held, arms, rewards, boosting(), seed=12345)
        log = Log(arms, rewards, logger[np.arange(len(arms)), arms], q)
        truth = world.truth(policy)
        for name in PUBLISHED:
            errors[name].append(abs(estimators.ESTIMATORS[name](log, policy).value - truth) / truth)
    agreed = True
    print(f"{'estimator':12}{'ours':>9}{'sd':>9}{'published':>11}{'sd':>9}")
    for name, (mean, spread) in PUBLISHED.items():
        ours, sd = float(np.mean(errors[name])), float(np.std(errors[name], ddof=1))
        within = abs(ours - mean) <= max(spread, sd)
        agreed &= within
        print(
            f"{name:12}{ours:9.4f}{sd:9.4f}{mean:11.4f}{spread:9.4f}{'' if within else '  outside'}",
            flush=True,
        )
    return agreed


def coverage() -> bool:
    """How often the intervals hold the truth."""
    world = World.make(0)
    logger, policy = world.logger(), world.forest(0.9)
    # The rounds are a sample of contexts, too: the truth is the mean over all of them.
    truth = world.truth(policy)
    covered = {"snips": 0, "dr": 0}
    for repetition in range(REPETITIONS):
        rng = np.random.default_rng(repetition)
        at = rng.integers(len(logger), size=len(logger))
        arms, rewards = play(world.held_labels[at], logger[at], rng)
        q = cross_fitted(world.held[at], arms, rewards, Ridge(), seed=repetition)
        log = Log(arms, rewards, logger[at][np.arange(len(at)), arms], q)
        for name in covered:
            low, high = estimators.ESTIMATORS[name](log, policy[at]).interval(0.95)
            covered[name] += low <= truth <= high
    shares = {name: count / REPETITIONS for name, count in covered.items()}
    print(f"coverage of 95 % intervals over {REPETITIONS} repetitions: {shares}", flush=True)
    return all(0.92 <= share <= 0.98 for share in shares.values())


def gate() -> bool:
    """How often the gate decides wrongly beyond two standard errors."""
    world = World.make(0)
    logger = world.logger()
    findings: Counter[str] = Counter()
    wrong = beyond = 0
    for pair in range(PAIRS):
        rng = np.random.default_rng(pair)
        challenger, champion = (
            world.forest(rng.uniform(0.3, 0.95), int(rng.integers(40, 530)), seed=int(rng.integers(1000)))
            for _ in range(2)
        )
        at = rng.integers(len(logger), size=GATE_ROUNDS)
        arms, rewards = play(world.held_labels[at], logger[at], rng)
        q = cross_fitted(world.held[at], arms, rewards, Ridge(), seed=pair)
        log = Log(arms, rewards, logger[at][np.arange(len(at)), arms], q)
        difference = estimators.dr(log, challenger[at]) - estimators.dr(log, champion[at])
        verdict = decide(
            {"rows": len(at), "paired": {"champion": {"dr": describe(difference, 0.95)}}},
            margin=MARGIN,
            minimum_rows=50,
        )
        findings[verdict.finding] += 1
        distance = world.truth(challenger) - world.truth(champion) + MARGIN
        if abs(distance) > 2 * difference.standard_error:
            beyond += 1
            wrong += verdict.finding == ("worse" if distance > 0 else "approved")
    share = wrong / beyond
    print(f"gate over {PAIRS} pairs: {dict(findings)}")
    print(f"wrong beyond two standard errors: {wrong} of {beyond} ({share:.1%})")
    return share < 0.03


def main() -> int:
    met = [digits(), coverage(), gate()]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
