"""Off-policy estimates of a policy's value from what another policy logged, with intervals.

Notation as in the literature: n rounds, K arms; p the logged probability of the arm played, e the evaluated
policy's probabilities, w = e(arm played) / p the importance weight, q an estimate of each arm's reward that
was *not* fitted on the round it scores. Each estimator gives the value and its influence, a number a round
whose mean is the value and whose spread is the value's uncertainty; differences between two policies on the
same rounds then come with the interval of the difference, which is much narrower than two intervals apart.

    ips        Horvitz and Thompson 1952: mean of w r
    snips      Swaminathan and Joachims 2015: sum of w r / sum of w
    dm         mean of sum_a e(a) q(a); biased like q
    dr         Dudik, Langford and Li 2011: dm + w (r - q)
    switch_dr  Wang, Agarwal and Dudik 2017: dr, where w <= tau, else dm
    dr_os      Su, Dimakopoulou, Krishnamurthy and Dudik 2020: dr with w shrunk to l w / (w^2 + l)

tau and l are chosen among `CANDIDATES` by SLOPE (Su, Srinath and Krishnamurthy 2020), as the Open Bandit
Pipeline does. What shrinking leaves out is bias, and no interval knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

CANDIDATES = (10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, float("inf"))
SLOPE_CONFIDENCE = 0.95
SLOPE_FACTOR = 6**0.5 - 1


@dataclass(frozen=True)
class Log:
    """What was logged and what q says. rewards, propensities: shape (n,); arms: places, (n,); q: (n, K).

    Where rounds offer fewer than K arms, q and the policies are 0 beyond them. low, high: of a reward.
    """

    arms: Ints
    rewards: Floats
    propensities: Floats
    q: Floats
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        n = len(self.rewards)
        if not (len(self.arms) == len(self.propensities) == len(self.q) == n > 0):
            raise ValueError(f"a log needs rounds, the same number in each part: {n} rewards")
        if not ((self.propensities > 0) & (self.propensities <= 1)).all():
            raise ValueError("a logged probability is not in (0, 1]")

    @property
    def q_played(self) -> Floats:
        """q of the arm played, (n,)."""
        return self.q[np.arange(len(self.arms)), self.arms]

    def weights(self, policy: Floats) -> Floats:
        """Importance weights (n,) of a policy's probabilities (n, K)."""
        return policy[np.arange(len(self.arms)), self.arms] / self.propensities


@dataclass(frozen=True)
class Estimate:
    """A value with its influence, one number a round.

    prior: of a mean of weighted rewards, (effective sample size, middle and width of the reward's range).
    """

    value: float
    influence: Floats
    prior: tuple[float, float, float] | None = None

    @property
    def standard_error(self) -> float:
        n = len(self.influence)
        return float(self.influence.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided; infinite for a single round.

        Student's t with n - 1 degrees of freedom; with a prior Wilson's score interval (1927) for so many
        effective rounds. Few rounds that all went well have no spread, and yet do not prove a value of 1.
        """
        n = len(self.influence)
        if n < 2:
            return float("-inf"), float("inf")
        t = float(stats.t.ppf((1 + confidence) / 2, n - 1))
        center, reach = self.value, t * self.standard_error
        if self.prior:
            size, middle, width = self.prior
            pull = t * t / size if size else float("inf")
            if np.isinf(pull):
                return middle - width / 2, middle + width / 2
            center = (self.value + middle * pull) / (1 + pull)
            reach = float(np.hypot(reach, pull * width / 2)) / (1 + pull)
        return center - reach, center + reach

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.influence - other.influence)


def ips(log: Log, policy: Floats) -> Estimate:
    return _mean(log.weights(policy) * log.rewards)


def snips(log: Log, policy: Floats) -> Estimate:
    """Its influence is the jackknife's of a ratio; without any overlap of the two policies the value is 0."""
    weights = log.weights(policy)
    prior = (effective_sample_size(weights), (log.low + log.high) / 2, log.high - log.low)
    total = weights.sum()
    if total == 0:
        return Estimate(0.0, np.zeros(len(weights)), prior)
    value = float((weights * log.rewards).sum() / total)
    # One round that has all the weight has nothing to be compared with.
    rest = np.maximum(1 - weights / total, 1 / len(weights))
    deviation = len(weights) * weights / total * (log.rewards - value) / rest
    return Estimate(value, value + deviation, prior)


def dm(log: Log, policy: Floats) -> Estimate:
    return _mean((policy * log.q).sum(axis=1))


def dr(log: Log, policy: Floats) -> Estimate:
    return _doubly_robust(log, policy, log.weights(policy))


def switch_dr(log: Log, policy: Floats) -> Estimate:
    weights = log.weights(policy)
    return _chosen_by_slope(log, policy, lambda tau: np.where(weights <= tau, weights, 0.0))


def dr_os(log: Log, policy: Floats) -> Estimate:
    weights = log.weights(policy)
    return _chosen_by_slope(log, policy, lambda shrink: _shrunk(weights, shrink))


ESTIMATORS: Mapping[str, Callable[[Log, Floats], Estimate]] = {
    "ips": ips,
    "snips": snips,
    "dm": dm,
    "dr": dr,
    "switch_dr": switch_dr,
    "dr_os": dr_os,
}


def logged(log: Log) -> Estimate:
    """The value of the policy that logged: the mean reward."""
    return _mean(log.rewards)


def effective_sample_size(weights: Floats) -> float:
    """Kish 1965: how many rounds of its own would tell as much; 0 without overlap."""
    squares = float((weights**2).sum())
    return float(weights.sum() ** 2 / squares) if squares else 0.0


def _mean(influence: Floats) -> Estimate:
    return Estimate(float(influence.mean()), influence)


def _doubly_robust(log: Log, policy: Floats, weights: Floats) -> Estimate:
    return _mean((policy * log.q).sum(axis=1) + weights * (log.rewards - log.q_played))


def _shrunk(weights: Floats, shrink: float) -> Floats:
    return weights if np.isinf(shrink) else shrink * weights / (weights**2 + shrink)


def _chosen_by_slope(log: Log, policy: Floats, modified: Callable[[float], Floats]) -> Estimate:
    """Of the candidates, from little bias to little variance, the last that agrees with all before it.

    Two agree when they differ by no more than their interval's half width and sqrt(6) - 1 times the other's
    (Su, Srinath and Krishnamurthy 2020, section 4).
    """
    chosen: list[tuple[float, float]] = []
    best = None
    for candidate in sorted(CANDIDATES, reverse=True):
        estimate = _doubly_robust(log, policy, modified(candidate))
        reach = estimate.interval(SLOPE_CONFIDENCE)[1] - estimate.value
        if any(abs(value - estimate.value) > reach + SLOPE_FACTOR * wider for value, wider in chosen):
            break
        chosen.append((estimate.value, reach))
        best = estimate
    assert best is not None  # the first candidate agrees with none before it
    return best
