"""Checkpoints of a training run, and files that are either absent or whole."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import xgboost as xgb

from local_aws.images.xgboost.model_file import ModelFileError, read_booster

log = logging.getLogger(__name__)

CHECKPOINT = re.compile(r"^xgboost-checkpoint\.([0-9]+)$")
CHECKPOINTS_KEPT = 5


class Checkpoints(xgb.callback.TrainingCallback):
    """Publishes `xgboost-checkpoint.<iteration>` after every round and keeps the last five."""

    def __init__(self, folder: Path, temporary: Path, start: int) -> None:
        self.folder = folder
        self.temporary = temporary
        self.start = start

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - XGBoost's signature
        iteration = self.start + epoch
        publish(bytes(model.save_raw("ubj")), self.folder / f"xgboost-checkpoint.{iteration}", self.temporary)
        (self.folder / f"xgboost-checkpoint.{iteration - CHECKPOINTS_KEPT}").unlink(missing_ok=True)
        return False


def load_checkpoint(folder: Path) -> tuple[xgb.Booster | None, int]:
    """The newest readable checkpoint and the iteration to go on with; (None, 0) when there is none.

    A file that was cut short (a full disk, an interrupted copy) is named and passed over.
    """
    if not folder.is_dir():
        return None, 0
    found = sorted(
        (int(match[1]), path) for path in folder.iterdir() if (match := CHECKPOINT.match(path.name))
    )
    for iteration, path in reversed(found):
        try:
            booster = read_booster(path)
        except ModelFileError as error:
            log.warning("Checkpoint passed over: %s", error)
            continue
        log.info("Checkpoint loaded from %s", path)
        log.info("Resuming from iteration %d", iteration + 1)
        return booster, iteration + 1
    return None, 0


def publish(content: bytes, path: Path, temporary: Path) -> None:
    """Writes a file so that it is either absent or whole. `temporary` must be on the same file system."""
    temporary.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = temporary / f"{path.name}.{os.getpid()}"
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
