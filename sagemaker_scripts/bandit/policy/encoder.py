"""Features as the learner sees them: an observation in, VW tokens out.

A number becomes the quantile bin it falls in, one-hot coded: a linear learner then fits any step function of
it, and an outlier cannot outweigh everything else. The edges are learned once, from the first contexts that
a policy is trained on, and travel with the model, so that training, serving and evaluation agree for ever.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any
from urllib.parse import quote

import numpy as np

from .config import Config, Feature
from .errors import InvalidObservation, UnusableModel

VERSION = 1
MISSING = "missing"
CATEGORY_CHARACTERS = 256
PLAIN = 1e300  # below it a number is finite, whatever its type

Observation = Mapping[str, Any] | Sequence[Any]
Token = Callable[[Any], str]
Group = tuple[str, list[tuple[int, Token]]]  # a namespace, and the places and tokens of its features


class Encoder:
    """Turns observations and arm features into tokens such as ``age=17`` and ``country=NL``.

    state: feature name -> what was learned about it ({"edges": [...]} or {"mean": m, "scale": s}); as JSON in
    the model. Empty as long as nothing was learned.
    """

    def __init__(self, config: Config, state: Mapping[str, Mapping[str, Any]]) -> None:
        self.config = config
        self.state = dict(state)
        self._context = _groups(config.context, self.state)
        self._arm = _groups(config.arm_features, self.state)

    @classmethod
    def fit(cls, config: Config, contexts: Iterable[Observation], arms: Iterable[Observation]) -> Encoder:
        """Learn the edges (or mean and scale) of every number from contexts and from arms' features.

        Raises InvalidObservation for the first one that the schema does not allow.
        """
        state = _learn(config, config.context, [_in_order(config.context, row) for row in contexts])
        state |= _learn(config, config.arm_features, [_in_order(config.arm_features, row) for row in arms])
        return cls(config, state)

    @classmethod
    def from_json(cls, config: Config, content: Any) -> Encoder:
        """The encoder of a stored model. Raises UnusableModel."""
        if not isinstance(content, Mapping) or content.get("version") != VERSION:
            raise UnusableModel(f"the model's encoder is not of version {VERSION}")
        state = content.get("features")
        numbers = {f.name for f in (*config.context, *config.arm_features) if f.kind == "number"}
        if not isinstance(state, Mapping) or (state and set(state) != numbers):
            raise UnusableModel("the model's encoder does not describe the features of its configuration")
        return cls(config, state)

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, "features": self.state}

    @property
    def namespaces(self) -> list[tuple[str, list[int]]]:
        """The namespaces of the context, and the places of the features that each one holds."""
        return [(namespace, [place for place, _ in members]) for namespace, members in self._context]

    @property
    def fitted(self) -> bool:
        """Whether the numbers' edges were learned; true at once when there is no number."""
        features = (*self.config.context, *self.config.arm_features)
        return bool(self.state) or all(feature.kind == "category" for feature in features)

    def context(self, observation: Observation) -> str:
        """`` |s x1=3 x2=7 |u country=NL``. Raises InvalidObservation."""
        return self._encode(self._context, self.config.context, observation)

    def arm(self, features: Observation) -> str:
        """The same for the features of one arm."""
        return self._encode(self._arm, self.config.arm_features, features)

    def _encode(self, groups: Sequence[Group], features: Sequence[Feature], observation: Observation) -> str:
        values = _in_order(features, observation)
        return "".join(
            [
                f" |{namespace} {' '.join([token(values[place]) for place, token in members])}"
                for namespace, members in groups
            ]
        )


def value_of(feature: Feature, value: Any) -> Any:
    """A checked value: a finite float, a text, or None where an optional feature is absent.

    Raises InvalidObservation with the reason "missing feature" or "unusable value".
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if feature.optional:
            return None
        if value is None:
            raise InvalidObservation("missing feature", f"{feature.name} has no value")
        raise InvalidObservation("unusable value", f"{feature.name} is not a number (NaN)")
    if feature.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidObservation("unusable value", f"{feature.name} is {value!r:.80}, not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InvalidObservation("unusable value", f"{feature.name} is infinite")
        return number
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidObservation("unusable value", f"{feature.name} is {value!r:.80}, not a category")
    text = str(value)
    if not 0 < len(text) <= CATEGORY_CHARACTERS:
        raise InvalidObservation(
            "unusable value", f"{feature.name} has {len(text)} characters, not 1 to {CATEGORY_CHARACTERS}"
        )
    return text


@lru_cache(maxsize=1 << 16)
def escape(text: str) -> str:
    """A category within a VW token, where blanks, `:` and `|` are syntax; different texts stay different."""
    return quote(text, safe="")


def _in_order(features: Sequence[Feature], observation: Any) -> Sequence[Any]:
    """Values in the order of the schema, None where there is none. Raises InvalidObservation."""
    if isinstance(observation, list | tuple):
        if len(observation) != len(features):
            raise InvalidObservation(
                "wrong feature count", f"{len(observation)} features, the policy has {len(features)}"
            )
        return observation
    if not isinstance(observation, Mapping):
        raise InvalidObservation(
            "unusable value", f"an observation is a list or an object, not {type(observation).__name__}"
        )
    names = [feature.name for feature in features]
    if unknown := observation.keys() - set(names):
        raise InvalidObservation(
            "wrong feature count", f"unknown feature {', '.join(sorted(map(str, unknown)))}"
        )
    return [observation.get(name) for name in names]


def _groups(features: Sequence[Feature], state: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    ordered = sorted(enumerate(features), key=lambda entry: entry[1].namespace)
    return [
        (namespace, [(place, token(feature, state.get(feature.name))) for place, feature in members])
        for namespace, members in groupby(ordered, key=lambda entry: entry[1].namespace)
    ]


def bins_of(feature: Feature, learned: Mapping[str, Any] | None) -> tuple[list[float], list[str]] | None:
    """The edges between a number's bins, and the token of each bin; None for what is not coded in bins."""
    if learned is None or "edges" not in learned:
        return None
    edges = [float(edge) for edge in learned["edges"]]
    return edges, [f"{feature.name}={place}" for place in range(len(edges) + 1)]


def token(feature: Feature, learned: Mapping[str, Any] | None) -> Token:
    """The function that makes a feature's token of its value, and refuses what the schema does not allow."""
    name = feature.name
    missing = f"{name}_{MISSING}"

    def checked(written: Token) -> Token:
        def write(value: Any) -> str:
            value = value_of(feature, value)
            return missing if value is None else written(value)

        return write

    if feature.kind == "category":
        return checked(lambda value: f"{name}={escape(value)}")
    if learned is None:  # nothing was learned: the policy is uniform and the token means nothing
        return checked(lambda _value: f"{name}=unknown")
    bins = bins_of(feature, learned)
    if bins is None:
        mean, scale = float(learned["mean"]), float(learned["scale"])
        return checked(lambda value: f"{name}:{(value - mean) / scale:.6g}")
    edges, tokens = bins
    carefully = checked(lambda value: tokens[bisect_right(edges, value)])

    def binned(value: Any) -> str:
        # Nearly all values are plain numbers, and a training has millions.
        if (type(value) is float or type(value) is int) and -PLAIN < value < PLAIN:
            return tokens[bisect_right(edges, value)]
        return carefully(value)

    return binned


def _learn(
    config: Config, features: Sequence[Feature], rows: Sequence[Sequence[Any]]
) -> dict[str, dict[str, Any]]:
    learned: dict[str, dict[str, Any]] = {}
    for place, feature in enumerate(features):
        if feature.kind != "number":
            continue
        values = [value_of(feature, row[place]) for row in rows]
        known = np.array([value for value in values if value is not None], dtype=float)
        if not len(known):
            learned[feature.name] = {"edges": []} if config.bins else {"mean": 0.0, "scale": 1.0}
        elif config.bins:
            shares = np.linspace(0, 1, config.bins + 1)[1:-1]
            # Equal edges would make bins that are always empty.
            learned[feature.name] = {"edges": np.unique(np.quantile(known, shares)).tolist()}
        else:
            learned[feature.name] = {"mean": float(known.mean()), "scale": float(known.std()) or 1.0}
    return learned
