"""What both bandit DAGs do with joined events: train on them, and evaluate what was trained."""

from __future__ import annotations

from typing import Any

from config import Settings
from mlops.bandit import tasks
from mlops.bandit.workflows import EVALUATION, TRAINING
from mlops.defaults import within
from mlops.operators import ProcessingOperator, TrainingOperator


def train_and_evaluate(settings: Settings, plan: Any) -> tuple[TrainingOperator, ProcessingOperator]:
    """The tasks `train` and `evaluate`, each moving its workflow. plan: the output of the DAG's plan task."""
    train = TrainingOperator(
        task_id="train",
        step="train",
        config=plan["training"],
        pre_execute=tasks.begins(TRAINING),
        post_execute=tasks.ends(TRAINING),
        on_failure_callback=tasks.fails(TRAINING),
        execution_timeout=within(settings.timeouts.train),
        doc_md="The next policy: the last one, if there is one, and these events.",
    )
    evaluate = ProcessingOperator(
        task_id="evaluate",
        step="evaluate",
        config=plan["evaluation"],
        inputs={"challenger": train.output["model"]},
        pre_execute=tasks.begins_evaluation,
        post_execute=tasks.ends(EVALUATION),
        on_failure_callback=tasks.fails(EVALUATION),
        execution_timeout=within(settings.timeouts.evaluate),
        doc_md="Challenger, champion and the logged policy on the same events, none of them trained on.",
    )
    return train, evaluate
