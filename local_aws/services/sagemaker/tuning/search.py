"""The next values to try, from the values tried so far: pure functions around Optuna's samplers.

A study is made anew for each choice, from the finished and the running trials: the training jobs' records are
the only memory there is, and the same records and seed give the same choice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

Values = dict[str, str]

# "Auto" scaling: a range over this many times its smallest value is searched by its logarithm.
AUTO_LOGARITHMIC = 100.0
# Random choices before the model of a Bayesian search is asked.
STARTUP_TRIALS = 5


class BadRange(ValueError):
    """A range that cannot be searched. The message names it and says why."""


@dataclass(frozen=True)
class Trial:
    """Values that were tried. objective: None while the job runs, and for one that never reached any."""

    values: Values
    objective: float | None
    running: bool = False


@dataclass(frozen=True)
class Number:
    """A range of numbers. scaling: Linear, Logarithmic or ReverseLogarithmic."""

    name: str
    low: float
    high: float
    scaling: str
    whole: bool

    def text(self, value: float) -> str:
        return str(int(value)) if self.whole else repr(float(value))

    def to_internal(self, text: str) -> float:
        """A value as the sampler sees it. Reverse logarithmic: near 1 the steps are small."""
        value = float(text)
        return 1 - value if self.scaling == "ReverseLogarithmic" else value

    def from_internal(self, value: float) -> str:
        return self.text(1 - value if self.scaling == "ReverseLogarithmic" else value)

    def distribution(self) -> optuna.distributions.BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution

        logarithmic = self.scaling != "Linear"
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=logarithmic)
        if self.scaling == "ReverseLogarithmic":
            return FloatDistribution(1 - self.high, 1 - self.low, log=True)
        return FloatDistribution(self.low, self.high, log=logarithmic)

    def holds(self, text: str) -> bool:
        try:
            return self.low <= float(text) <= self.high
        except ValueError:
            return False


@dataclass(frozen=True)
class Choice:
    """One of several texts."""

    name: str
    values: tuple[str, ...]

    def to_internal(self, text: str) -> str:
        return text

    def from_internal(self, value: str) -> str:
        return value

    def distribution(self) -> optuna.distributions.BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def holds(self, text: str) -> bool:
        return text in self.values


Space = tuple[Number | Choice, ...]


def space(ranges: dict[str, Any]) -> Space:
    """ParameterRanges of a request -> the space to search. Raises BadRange."""
    found: list[Number | Choice] = []
    for member, whole in (("IntegerParameterRanges", True), ("ContinuousParameterRanges", False)):
        found += [_number(given, whole) for given in ranges.get(member) or ()]
    found += [
        Choice(given["Name"], tuple(given["Values"]))
        for given in ranges.get("CategoricalParameterRanges") or ()
    ]
    names = [each.name for each in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BadRange(f"The hyperparameter {sorted(twice)[0]} has more than one range.")
    if not found:
        raise BadRange("There is no range to search: ParameterRanges is empty.")
    return tuple(found)


def grid_size(wanted: Space) -> int:
    """How many combinations a grid search tries. Raises BadRange for a range that is no list of values."""
    for each in wanted:
        if isinstance(each, Number):
            raise BadRange(f"Grid search needs categorical ranges only; {each.name} is a range of numbers.")
    return math.prod(len(each.values) for each in wanted if isinstance(each, Choice))


def choose(
    wanted: Space, strategy: str, trials: Sequence[Trial], *, number: int, seed: int, maximize: bool
) -> Values:
    """Values for training job `number` (from 0). strategy: Bayesian, Random or Grid."""
    if strategy == "Grid":
        lists = [each.values for each in wanted if isinstance(each, Choice)]
        combination = next(itertools.islice(itertools.product(*lists), number, None))
        return {each.name: value for each, value in zip(wanted, combination, strict=True)}
    return _sampled(wanted, strategy, trials, number=number, seed=seed, maximize=maximize)


def _sampled(
    wanted: Space, strategy: str, trials: Sequence[Trial], *, number: int, seed: int, maximize: bool
) -> Values:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Seeded by the job's number: a sampler that lived on would have drawn that often.
    draw = (seed * 1_000_003 + number) % 2**32
    if strategy == "Random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=draw)
    else:
        sampler = optuna.samplers.TPESampler(seed=draw, n_startup_trials=STARTUP_TRIALS, constant_liar=True)
    study = optuna.create_study(direction="maximize" if maximize else "minimize", sampler=sampler)
    distributions = {each.name: each.distribution() for each in wanted}
    for trial in trials:
        if trial.objective is None and not trial.running:
            continue
        state = optuna.trial.TrialState.RUNNING if trial.running else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params={each.name: each.to_internal(trial.values[each.name]) for each in wanted},
                distributions=distributions,
                value=None if trial.running else trial.objective,
            )
        )
    asked = study.ask(distributions)
    return {each.name: each.from_internal(asked.params[each.name]) for each in wanted}


def _number(given: dict[str, Any], whole: bool) -> Number:
    name = given["Name"]
    try:
        low, high = float(given["MinValue"]), float(given["MaxValue"])
    except ValueError as error:
        raise BadRange(f"The range of {name} is not made of numbers: {error}") from error
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise BadRange(f"The range of {name}, {given['MinValue']} to {given['MaxValue']}, is empty.")
    if whole and not (low.is_integer() and high.is_integer()):
        raise BadRange(f"The range of {name} is of whole numbers: {given['MinValue']}, {given['MaxValue']}.")
    scaling = given.get("ScalingType", "Auto")
    if scaling == "Auto":
        scaling = "Logarithmic" if low > 0 and high / low >= AUTO_LOGARITHMIC else "Linear"
    if scaling == "Logarithmic" and low <= 0:
        raise BadRange(f"The range of {name} begins at {low:g}: logarithmic scaling needs more than 0.")
    if scaling == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        raise BadRange(f"The range of {name}: reverse logarithmic scaling needs continuous values in [0, 1).")
    return Number(name, low, high, scaling, whole)
