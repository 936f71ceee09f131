"""One training run: hyperparameters and channels in, a model file out.

Same input, same seed, same number of threads: the same model, byte for byte.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from xgboost import collective

from local_aws.images.xgboost import cluster, data
from local_aws.images.xgboost.checkpoints import Checkpoints, load_checkpoint, publish
from local_aws.images.xgboost.errors import AlgorithmError, UserError
from local_aws.images.xgboost.hyperparameters import metric_is_maximized, validate
from local_aws.images.xgboost.metrics import split_metrics

log = logging.getLogger(__name__)

CHANNELS = ("train", "validation", "code")
MODEL_NAME = "xgboost-model"

# Hyperparameters that steer this program and mean nothing to XGBoost, or no longer do.
NOT_FOR_XGBOOST = (
    "num_round",
    "csv_weights",
    "early_stopping_rounds",
    "eval_metric",
    "save_model_on_termination",
    "deterministic_histogram",
    "use_dask_gpu_training",
    "predictor",
    "dsplit",
    "prob_buffer_row",
    "sketch_eps",
    "_tuning_objective_metric",
)

# Parts of XGBoost's messages that mean: the data or a hyperparameter is wrong, not the library.
USER_ERRORS = (
    "label must be in [0,1] for logistic regression",
    "label must be in [0, num_class)",
    "Target is multiclass but average='binary'",
    "feature_names mismatch",
    "Check failed: preds.size() == info.labels_.size()",
    "Check failed: !auc_error AUC: the dataset only contains pos or neg samples",
    "base_score must be in (0,1) for",
    "label must be nonnegative",
    "Parameter reg_lambda should be greater equal to 0",
)


def fit(base: Path, configuration: Configuration, stopping: threading.Event) -> None:
    """Trains and publishes `<base>/model/xgboost-model`.

    stopping: set by SIGTERM; the run then ends after the current round and keeps the model so far.
    Raises UserError or AlgorithmError; nothing is left in the model folder then.
    """
    values = validate(configuration.hyperparameters)
    check_channels(configuration.channels)
    hosts = cluster.of(base)
    if hosts is None:
        log.info("Single node training.")
        booster = train_model(base, configuration, values, stopping)
        publish(bytes(booster.save_raw("ubj")), base / "model" / MODEL_NAME, base / "tmp")
        return
    if values.get("booster") == "gblinear":
        raise UserError(
            "booster gblinear cannot be trained on several hosts: XGBoost would fit one model on each. "
            "Use InstanceCount 1."
        )
    folders = [base / "input" / "data" / name for name in configuration.channels if name != "code"]
    having = hosts.among(all(data.has_data(folder) for folder in folders))
    if not having.hosts:
        raise UserError(f"No data in training channel path {base / 'input' / 'data' / 'train'}")
    if having.current not in having.hosts:
        log.warning("Host %s has no data and is not used for distributed training.", having.current)
        return
    log.info("Distributed node training with %d hosts: %s", len(having.hosts), list(having.hosts))
    values = {"nthread": having.threads, **values}
    with cluster.joined(having, "training"):
        booster = train_model(base, configuration, values, stopping)
    if having.is_master:
        publish(bytes(booster.save_raw("ubj")), base / "model" / MODEL_NAME, base / "tmp")


def train_model(
    base: Path, configuration: Configuration, values: dict[str, Any], stopping: threading.Event
) -> xgb.Booster:
    """Reads the channels and boosts; in a collective with the other hosts when there is one.

    XGBoost compares the widths of the hosts' matrices as it makes them: they too must be made inside.
    """
    train, validation = load_channels(base, configuration.channels, weights=bool(values.get("csv_weights")))
    log.info("Train matrix has %d rows and %d columns", train.num_row(), train.num_col())
    if validation is not None:
        log.info("Validation matrix has %d rows", validation.num_row())
        if validation.num_col() > train.num_col():
            raise UserError(
                f"The validation channel has {validation.num_col()} features, "
                f"the train channel {train.num_col()}."
            )
    for matrix in (train, *([validation] if validation is not None else [])):
        check_labels(matrix.get_label(), values)
    return train_booster(values, train, validation, configuration.checkpoints, base / "tmp", stopping)


class Configuration:
    """What the service wrote for the job. Only these three parts of it matter to the algorithm.

    hyperparameters: all texts. channels: name -> {"ContentType": ..., "TrainingInputMode": ...}.
    checkpoints: a local folder, or None when the job has no checkpoint configuration.
    """

    def __init__(
        self, hyperparameters: dict[str, str], channels: dict[str, dict[str, Any]], checkpoints: Path | None
    ) -> None:
        self.hyperparameters = hyperparameters
        self.channels = channels
        self.checkpoints = checkpoints


def check_channels(channels: dict[str, dict[str, Any]]) -> None:
    """Raises UserError for a channel that the algorithm does not know, for Pipe mode, for no `train`."""
    for name, channel in channels.items():
        if name not in CHANNELS:
            raise UserError(f"Extraneous channel found: {name}")
        if channel.get("TrainingInputMode") == "Pipe":
            raise UserError(
                f"Channel {name}: Pipe mode is not supported by XGBoost 3.2-0; use File or FastFile."
            )
    if "train" not in channels:
        raise UserError("Missing required channel: train")


def load_channels(
    base: Path, channels: dict[str, dict[str, Any]], *, weights: bool
) -> tuple[xgb.DMatrix, xgb.DMatrix | None]:
    """The train and validation data. As in the image, a weight column is expected in `train` only."""
    # One content type for both, the training channel's, as in the image.
    content_type = data.content_type_of(channels["train"])
    folder = base / "input" / "data"
    train = data.load("train", folder / "train", content_type, weights=weights)
    if "validation" not in channels:
        return train, None
    return train, data.load("validation", folder / "validation", content_type)


def check_labels(labels: NDArray[np.float32], values: dict[str, Any]) -> None:
    """Raises UserError naming the first label that the objective cannot have.

    XGBoost itself would say that its base_score is wrong, which helps nobody to find the row.
    """
    objective = values.get("objective", "")
    if objective.startswith("multi:"):
        bad, rule = (labels < 0) | (labels >= values["num_class"]), "label must be in [0, num_class)"
    elif objective in ("binary:logistic", "binary:logitraw", "reg:logistic"):
        bad, rule = (labels < 0) | (labels > 1), "label must be in [0,1] for logistic regression"
    else:
        return
    if bad.any():
        row = int(bad.argmax())
        raise UserError(f"{rule}: row {row + 1} has {labels[row]:g}")


def train_booster(
    values: dict[str, Any],
    train: xgb.DMatrix,
    validation: xgb.DMatrix | None,
    checkpoints: Path | None,
    temporary: Path,
    stopping: threading.Event,
) -> xgb.Booster:
    """Boosting with the image's evaluation lines, early stopping and checkpoints.

    A run that resumes from a checkpoint draws fresh row samples, so with subsample < 1 its model differs from
    that of a run that was never interrupted.
    """
    params = {name: value for name, value in values.items() if name not in NOT_FOR_XGBOOST}
    if "updater" in params:
        params["updater"] = ",".join(params["updater"])
    names = list(values.get("eval_metric", []))
    # `validation:auc` of a tuning job is watched whether or not it was asked for.
    objective = values.get("_tuning_objective_metric", "").rpartition(":")[2]
    if objective and objective not in names:
        names.append(objective)
    native, custom = split_metrics(names, values.get("objective"))
    if native:
        params["eval_metric"] = native
    elif custom:
        params["disable_default_eval_metric"] = 1
    model, start = load_checkpoint(checkpoints) if checkpoints else (None, 0)
    evals = [(train, "train")] + ([(validation, "validation")] if validation is not None else [])
    callbacks: list[xgb.callback.TrainingCallback] = [
        Monitor(start),
        *_early_stopping(values, names, validation),
    ]
    if checkpoints:
        callbacks.append(Checkpoints(checkpoints, temporary, start))
    callbacks.append(StopWhen(stopping))
    try:
        return xgb.train(
            params,
            train,
            num_boost_round=values["num_round"] - start,
            evals=evals,
            verbose_eval=False,
            xgb_model=model,
            callbacks=callbacks,
            custom_metric=custom,
        )
    except (xgb.core.XGBoostError, ValueError) as error:
        if any(part in str(error) for part in USER_ERRORS):
            raise UserError(_first_line(error)) from error
        raise AlgorithmError(f"XGB train call failed with exception:\n {_first_line(error)}") from error


def _early_stopping(
    values: dict[str, Any], names: list[str], validation: xgb.DMatrix | None
) -> list[xgb.callback.TrainingCallback]:
    """On the last eval_metric of the validation channel, keeping the best model (trees only)."""
    rounds = values.get("early_stopping_rounds")
    if not rounds:
        return []
    if validation is None:
        log.warning("early_stopping_rounds has no effect without a validation channel.")
        return []
    metric = names[-1] if names else None
    return [
        xgb.callback.EarlyStopping(
            rounds=rounds,
            metric_name=metric,
            data_name="validation",
            maximize=metric_is_maximized(metric) if metric else None,
            save_best=values.get("booster") != "gblinear",
        )
    ]


class Monitor(xgb.callback.TrainingCallback):
    """Prints `[0]<TAB>train-logloss:0.48123<TAB>...`, which metric definitions match; one host does."""

    def __init__(self, start: int, write: Callable[[str], None] = print) -> None:
        self.start = start
        self.write = write

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - XGBoost's signature
        scores = [
            f"{data_name}-{metric}:{history[-1]:.5f}"
            for data_name, metrics in evals_log.items()
            for metric, history in metrics.items()
        ]
        if collective.get_rank() == 0:
            self.write("\t".join([f"[{self.start + epoch}]", *scores]))
        return False


class StopWhen(xgb.callback.TrainingCallback):
    """Ends training after the round during which the event was set."""

    def __init__(self, stopping: threading.Event) -> None:
        self.stopping = stopping

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - XGBoost's signature
        stopped = cluster.any_of_them(self.stopping.is_set())  # no host may go on alone
        if stopped:
            log.info("Stopped by SIGTERM after iteration %d; the model so far is saved.", epoch)
        return stopped


def _first_line(error: Exception) -> str:
    """XGBoost's messages without time stamp, source line and stack trace."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\[\d\d:\d\d:\d\d\] \S+: ?", "", lines[0]) if lines else type(error).__name__
