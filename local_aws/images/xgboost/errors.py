"""How a training job fails: through the user's input, or through the algorithm."""

from __future__ import annotations


class TrainingError(Exception):
    """Base of both. The text becomes the job's FailureReason."""

    def __init__(self, message: str, caused_by: BaseException | None = None) -> None:
        suffix = f" (caused by {type(caused_by).__name__})" if caused_by else ""
        super().__init__(message + suffix)


class UserError(TrainingError):
    """Something the user can put right: a hyperparameter, a channel, the data."""


class AlgorithmError(TrainingError):
    """The library failed for a reason that is not known to be the user's."""
