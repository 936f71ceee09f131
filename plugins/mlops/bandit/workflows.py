"""The four state machines of an experiment, as data.

Each workflow works on one thing at a time (a model, or a join). While that is so its state ends in "ING";
every other state is final, and a new request may follow it.

    training    PENDING -> TRAINING   -> TRAINED   | STOPPED | FAILED
    evaluation  PENDING -> EVALUATING -> EVALUATED | STOPPED | FAILED
    hosting     PENDING -> DEPLOYING  -> DEPLOYED  | FAILED
    joining     PENDING -> RUNNING    -> SUCCEEDED | FAILED | CANCELLED
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PENDING = "PENDING"
FAILED = "FAILED"


@dataclass(frozen=True)
class Workflow:
    """One state machine.

    The experiment's record says what the workflow is doing (`<name>_workflow_metadata`), the record of the
    thing it works on keeps that thing's own state, in `field`.
    """

    name: str
    records: Literal["models", "joins"]
    field: str
    running: str
    succeeded: str
    last: str
    next: str
    failed: tuple[str, ...] = (FAILED,)

    @property
    def metadata(self) -> str:
        return f"{self.name}_workflow_metadata"

    @property
    def state(self) -> str:
        return f"{self.name}_state"

    @property
    def in_progress(self) -> tuple[str, str]:
        return (PENDING, self.running)

    @property
    def final(self) -> tuple[str, ...]:
        return (self.succeeded, *self.failed)

    def before(self, state: str) -> tuple[str, ...]:
        """The states from which `state` may be reached. Raises ValueError for a state that it has not."""
        if state == self.running:
            return (PENDING,)
        if state in self.final:
            return self.in_progress
        raise ValueError(f"{self.name} has no state {state!r} to move to")


TRAINING = Workflow(
    "training", "models", "train_state", "TRAINING", "TRAINED",
    "last_trained_model_id", "next_model_to_train_id", ("STOPPED", FAILED),
)  # fmt: skip
EVALUATION = Workflow(
    "evaluation", "models", "eval_state", "EVALUATING", "EVALUATED",
    "last_evaluated_model_id", "next_model_to_evaluate_id", ("STOPPED", FAILED),
)  # fmt: skip
HOSTING = Workflow(
    "hosting", "models", "host_state", "DEPLOYING", "DEPLOYED",
    "last_hosted_model_id", "next_model_to_host_id",
)  # fmt: skip
JOINING = Workflow(
    "joining", "joins", "current_state", "RUNNING", "SUCCEEDED",
    "last_joined_job_id", "next_join_job_id", (FAILED, "CANCELLED"),
)  # fmt: skip

WORKFLOWS = (TRAINING, EVALUATION, HOSTING, JOINING)
