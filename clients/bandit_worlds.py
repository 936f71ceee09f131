"""Worlds in which a bandit can be tried: what it would have got for every action is known.

* `LabelledTable`: any table with a label becomes a bandit: a random row is the context, the classes are the
  arms, and the reward is 1 for the row's own class. The Statlog shuttle data is the usual example.
* `GeneratedTable`: the same over a table made up here, unbalanced as shuttle is, so that nothing is needed.
* `News`: readers come, articles come and go, and tastes drift. The set of arms differs from step to step,
  each arm has features, and the reward is a click.

A world is a pure function of its seed and the step: any step can be asked again, in any order.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
RARE = 0.0005  # rows of classes with a smaller share are left out, as the original simulator did; arms stay


class UnusableTable(ValueError):
    """The table cannot be a world; the message names the line and what is wrong with it."""


@dataclass(frozen=True)
class Situation:
    """One step of a world.

    observation: numbers, or values by name. arms: ids, in the order of `expected`. expected: mean reward of
    each arm, known to nobody but the world. features: of each arm by its id; None for fixed arms. uniform: a
    number in [0, 1) that decides whether a reward of mean p is paid (uniform < p).
    """

    observation: Any
    arms: list[Any]
    expected: Floats
    features: dict[Any, dict[str, Any]] | None
    uniform: float

    def reward(self, arm: Any) -> float:
        """What the arm pays at this step: 1 or 0. Raises ValueError for an arm that is not there."""
        return float(self.uniform < self.expected[self.arms.index(arm)])


class World(Protocol):
    """What the simulator asks of a world."""

    policy: dict[str, Any]
    """The policy configuration of an experiment in it."""

    def situation(self, step: int) -> Situation:
        """The situation at a step, counted from 0; negative steps lie before the experiment."""


class LabelledTable:
    """Classification as a bandit. `features` is rows x columns, `labels` the class of each row."""

    def __init__(self, features: Floats, labels: list[str], seed: int) -> None:
        counts = Counter(labels)
        if len(counts) < 2:
            raise UnusableTable(f"a world needs two classes at least; the table has {', '.join(counts)}")
        classes = sorted(counts)
        place = {name: index for index, name in enumerate(classes)}
        kept = np.array([counts[name] >= RARE * len(labels) for name in labels])
        self._features = features[kept]
        self._arms: list[Any] = [int(name) if name.isdigit() else name for name in classes]
        self._labels = np.array([place[name] for name in labels])[kept]
        self._seed = seed
        names = [{"name": f"x{number + 1}"} for number in range(features.shape[1])]
        self.policy: dict[str, Any] = {
            "version": 1,
            "context": names,
            "arms": {"fixed": self._arms},
            "encoding": {"numbers": "quantile", "bins": 31},
            "exploration": {"kind": "squarecb", "gamma_scale": 100},
            "cb_type": "mtr",
            "interactions": ["sa"],
            "ignore_linear": ["s"],  # alike for every arm, so it tells none from another
            "reward": {"low": 0, "high": 1},
        }

    def situation(self, step: int) -> Situation:
        random = _random(self._seed, step)
        row = int(random.integers(len(self._labels)))
        expected = np.zeros(len(self._arms))
        expected[self._labels[row]] = 1.0
        return Situation(self._features[row].tolist(), self._arms, expected, None, 0.5)


class GeneratedTable(LabelledTable):
    """A made-up table: nine numbers, five classes of which one has four rows in five, decided by thresholds
    of two or three numbers each, with one row in a hundred labelled at random."""

    def __init__(self, seed: int, rows: int = 20_000) -> None:
        random = np.random.default_rng([seed, 1])
        x = random.normal(size=(rows, 9))
        x[:, 1] = np.exp(x[:, 1])
        x[:, 4] = np.round(20 * x[:, 4])
        labels = np.full(rows, 1)
        labels[(x[:, 0] > 0.8) & (x[:, 1] > 0.9)] = 4
        labels[(x[:, 2] < -1.2) & (x[:, 4] > 0)] = 5
        labels[(x[:, 3] > 1.7) & (x[:, 0] < 0.8)] = 3
        labels[(x[:, 5] + x[:, 6] > 3) & (x[:, 0] < 0.8)] = 2
        strange = random.random(rows) < 0.01
        labels[strange] = random.integers(1, 6, size=int(strange.sum()))
        super().__init__(x, [str(label) for label in labels], seed)


class News:
    """Readers and articles. A reader has an age, a device and a taste; an article has a topic and grows old.

    Every article lives for `life` steps; at each step `shelf` of them can be shown. What a group of readers
    likes turns slowly: after `period` steps every group has had every topic as its favourite. So a policy
    that stops learning falls behind.
    """

    TOPICS = ("politics", "sport", "science", "culture", "money")
    DEVICES = ("phone", "tablet", "desk")

    def __init__(self, seed: int, *, shelf: int = 8, life: int = 600, period: int = 6000) -> None:
        self._seed, self._shelf, self._life, self._period = seed, shelf, life, period
        self.policy: dict[str, Any] = {
            "version": 1,
            "context": [{"name": "age"}, {"name": "device", "kind": "category"}, {"name": "hour"}],
            "arms": {"features": [{"name": "topic", "kind": "category"}, {"name": "age_of_article"}]},
            "exploration": {"kind": "squarecb", "gamma_scale": 100},
            "cb_type": "mtr",
            "interactions": ["sa"],
            "reward": {"low": 0, "high": 1},
        }

    def situation(self, step: int) -> Situation:
        random = _random(self._seed, step)
        age = float(np.clip(random.normal(42, 15), 16, 90))
        device = str(random.choice(self.DEVICES, p=[0.6, 0.1, 0.3]))
        observation = {"age": round(age, 1), "device": device, "hour": float(step % 24)}
        arms, features, expected = [], {}, []
        for place in range(self._shelf):
            born = (step // self._life * self._shelf) + place if step >= 0 else place
            topic = self.TOPICS[int(_random(self._seed, 10**9 + born).integers(len(self.TOPICS)))]
            old = (step % self._life) / self._life
            name = f"article-{born}"
            arms.append(name)
            features[name] = {"topic": topic, "age_of_article": round(old, 3)}
            expected.append(self._click(age, device, topic, old, step))
        return Situation(observation, arms, np.array(expected), features, float(random.random()))

    def _click(self, age: float, device: str, topic: str, old: float, step: int) -> float:
        """Probability of a click: a group's liking of a topic, which turns with time, and news grow stale."""
        group = (0 if age < 30 else 1 if age < 55 else 2) + 3 * (device == "phone")
        turn = 2 * np.pi * (step / self._period + group / 6 - self.TOPICS.index(topic) / len(self.TOPICS))
        return float(np.clip(0.06 + 0.3 * max(0.0, np.cos(turn)) * (1 - 0.5 * old), 0, 1))


def read_table(path: Path, seed: int) -> LabelledTable:
    """A world over a file: numbers separated by blanks, commas, semicolons or tabs, the label last.

    A first line without any number is a header. Raises UnusableTable.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        separator = next((mark for mark in (",", ";", "\t") if mark in head), None)
        lines = csv.reader(stream, delimiter=separator) if separator else (line.split() for line in stream)
        rows = [row for row in lines if row]
    if rows and not any(_is_number(value) for value in rows[0]):
        del rows[0]
    if not rows or len(rows[0]) < 2:
        raise UnusableTable(f"{path}: a table needs rows with a number and a label at least")
    values = []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise UnusableTable(f"{path}: row {number} has {len(row)} columns, the first has {len(rows[0])}")
        try:
            values.append([float(value) for value in row[:-1]])
        except ValueError:
            wrong = next(value for value in row[:-1] if not _is_number(value))
            raise UnusableTable(f"{path}: row {number}: {wrong!r} is not a number") from None
    features = np.array(values)
    if not np.isfinite(features).all():
        raise UnusableTable(f"{path}: row {int(np.argwhere(~np.isfinite(features))[0][0]) + 1} is not finite")
    return LabelledTable(features, [row[-1].strip() for row in rows], seed)


def make(name: str, seed: int) -> World:
    """A world by its name (`table`, `news`), or over the file of that path."""
    if name == "table":
        return GeneratedTable(seed)
    if name == "news":
        return News(seed)
    return read_table(Path(name), seed)


def best_constant(world: World, steps: range) -> Any:
    """The arm that pays most when it is always taken (a table's majority class); None where arms change."""
    totals: Counter[Any] = Counter()
    for step in steps:
        situation = world.situation(step)
        if situation.features is not None:
            return None
        totals.update(dict(zip(situation.arms, situation.expected.tolist(), strict=True)))
    return totals.most_common(1)[0][0]


def _random(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng([seed, 0, step + 2**31])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
