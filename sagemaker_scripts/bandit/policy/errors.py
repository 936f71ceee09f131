"""What can be wrong with what comes in.

PolicyError
  InvalidConfig       policy_config.json does not say what the policy is
  UnusableModel       a model archive that cannot be read, or does not fit
  NoRows              nothing to train on or to evaluate with
  InvalidObservation  a context, an arm or a reward that the policy's schema does not allow
"""

from __future__ import annotations


class PolicyError(ValueError):
    """Base of all: the message is one sentence, made to be shown to whoever sent the input."""


class InvalidConfig(PolicyError):
    """policy_config.json is wrong; the message names the key."""


class UnusableModel(PolicyError):
    """A model cannot be used; the message names the file and the reason."""


class NoRows(PolicyError):
    """There is no usable row; the message says where, and what was refused."""


class InvalidObservation(PolicyError):
    """One observation or row is refused. `reason` is its class, for counting; the message has the details."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
