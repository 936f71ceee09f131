"""VW's text format: one block a decision, the context first, then a line an arm.

shared |s x1=3 x2=7
|a arm=1
0:0.25:0.8 |a arm=2          the arm that was played: its cost and the probability it was played with
|a arm=3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .config import ARM_FEATURE, ARM_NAMESPACE, Config, is_arm
from .encoder import Encoder, Observation, escape
from .errors import InvalidObservation

Arm = Mapping[str, Any]
MOST_ARMS = 1000


class Label(NamedTuple):
    """What came of a decision: the place of the arm played, its cost in [0, 1], its probability."""

    place: int
    cost: float
    probability: float


class Examples:
    """Writes decisions of one policy as VW examples."""

    def __init__(self, config: Config, encoder: Encoder) -> None:
        self.config = config
        self.encoder = encoder
        self._fixed = [f"|{ARM_NAMESPACE} {ARM_FEATURE}={escape(str(arm))}" for arm in config.arms or ()]
        # For each arm played, the text before its label and the text after it: a training has millions.
        blocks = [f"{line}\n" for line in self._fixed]
        self.around = [("".join(blocks[:place]), "".join(blocks[place:])) for place in range(len(blocks))]

    def lines(
        self, observation: Observation, arms: Sequence[Arm] | None = None, label: Label | None = None
    ) -> list[str]:
        """The block's lines. Raises InvalidObservation for a context or an arm that the schema refuses."""
        block = [f"shared{self.encoder.context(observation)}", *self._arm_lines(arms)]
        if label is not None:
            place = label.place + 1
            block[place] = f"0:{label.cost:.6g}:{label.probability:.6g} {block[place]}"
        return block

    def text(self, observation: Observation, arms: Sequence[Arm] | None, label: Label) -> str:
        """A labelled block as in a file, with the empty line at its end. Raises InvalidObservation."""
        if self.config.arms is None:
            return "\n".join(self.lines(observation, arms, label)) + "\n\n"
        before, rest = self.around[label.place]
        cost = f"0:{label.cost:.6g}:{label.probability:.6g} "
        return f"shared{self.encoder.context(observation)}\n{before}{cost}{rest}\n"

    def _arm_lines(self, arms: Sequence[Arm] | None) -> list[str]:
        if self.config.arms is not None:
            return self._fixed
        return [self.encoder.arm(arm.get("features", {})).lstrip() for arm in arms or ()]


def arm_ids(config: Config, arms: Any) -> list[int | str]:
    """The arms to choose from, in order. `arms` is what came with the observation, None for fixed arms.

    Raises InvalidObservation.
    """
    if config.arms is not None:
        if arms is not None:
            raise InvalidObservation("unknown arm", "the arms of this policy are fixed, and some were sent")
        return list(config.arms)
    if not isinstance(arms, list) or not 0 < len(arms) <= MOST_ARMS:
        raise InvalidObservation("unknown arm", f"arms must be a list of 1 to {MOST_ARMS} arms")
    ids = []
    for place, arm in enumerate(arms):
        if not isinstance(arm, Mapping) or not is_arm(arm.get("id")):
            raise InvalidObservation("unknown arm", f"arms[{place}] has no id: a whole number or a text")
        ids.append(arm["id"])
    if len({str(arm) for arm in ids}) != len(ids):
        raise InvalidObservation("unknown arm", "an arm is offered twice")
    return ids
