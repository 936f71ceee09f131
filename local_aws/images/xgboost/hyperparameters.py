"""Hyperparameters of the built-in algorithm: their ranges, their dependencies, and its error texts.

The rules are those of SageMaker's XGBoost image, so that a typing error ends a local job with the very
text it would end with on AWS, minutes and money earlier.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.images.xgboost.errors import UserError

MAXIMIZED_METRICS = (
    "accuracy",
    "auc",
    "aucpr",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "map",
    "ndcg",
    "precision",
    "r2",
    "recall",
    "precision_macro",
    "precision_micro",
    "recall_macro",
    "recall_micro",
)
MINIMIZED_METRICS = (
    "aft-nloglik",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "interval-regression-accuracy",
    "logloss",
    "mae",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "mse",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
)
OBJECTIVES = (
    "aft_loss_distribution",  # not an objective; the image's own list holds it, and XGBoost refuses it
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:linear",
    "reg:squarederror",
    "reg:logistic",
    "reg:gamma",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:tweedie",
    "survival:aft",
    "survival:cox",
)
UPDATERS = (
    "grow_colmaker",
    "distcol",
    "grow_histmaker",
    "grow_local_histmaker",
    "grow_skmaker",
    "grow_quantile_histmaker",
    "sync",
    "refresh",
    "prune",
    "shotgun",
    "coord_descent",
)
ALIASES = {
    "learning_rate": "eta",
    "min_split_loss": "gamma",
    "reg_lambda": "lambda",
    "reg_alpha": "alpha",
}


@dataclass(frozen=True)
class Interval:
    """A range of numbers; `text` is how the image prints it, e.g. `(0, 1]` or `[1, +inf)`."""

    text: str

    def __contains__(self, value: float) -> bool:
        low, high = self.text[1:-1].split(", ")
        above = value >= float(low) if self.text[0] == "[" else value > float(low)
        below = value <= float(high) if self.text[-1] == "]" else value < float(high)
        return above and below

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Rule:
    """How one hyperparameter's text becomes a value, and which values are allowed."""

    parse: Callable[[str], Any]
    allowed: Any  # Interval, or a list of values
    is_list: bool = False  # every element has to be allowed


def _whole(text: str) -> Rule:
    return Rule(int, Interval(text))


def _real(text: str) -> Rule:
    return Rule(float, Interval(text))


def _one_of(*values: str) -> Rule:
    return Rule(str, list(values))


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except SyntaxError as error:
        raise ValueError(str(error)) from error


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",")]


FLAG = _whole("[0, 1]")
NOT_NEGATIVE = _real("[0, +inf)")
UNIT = _real("[0, 1]")
SHARE = _real("(0, 1]")
COUNT = _whole("[1, +inf)")
NATURAL = _whole("[0, +inf)")
TRUE_FALSE = _one_of("true", "false")

RULES: Mapping[str, Rule] = {
    "num_round": COUNT,
    "csv_weights": FLAG,
    "early_stopping_rounds": COUNT,
    "booster": _one_of("gbtree", "gblinear", "dart"),
    "verbosity": _whole("[0, 3]"),
    "nthread": COUNT,
    "eta": UNIT,
    "gamma": NOT_NEGATIVE,
    "max_depth": NATURAL,
    "min_child_weight": NOT_NEGATIVE,
    "max_delta_step": NOT_NEGATIVE,
    "subsample": SHARE,
    "sampling_method": _one_of("uniform", "gradient_based"),
    "colsample_bytree": SHARE,
    "colsample_bylevel": SHARE,
    "colsample_bynode": SHARE,
    "lambda": NOT_NEGATIVE,
    "alpha": NOT_NEGATIVE,
    "tree_method": _one_of("auto", "exact", "approx", "hist", "gpu_hist"),
    "sketch_eps": _real("(0, 1)"),
    "scale_pos_weight": _real("(0, +inf)"),
    "updater": Rule(_names, list(UPDATERS), is_list=True),
    "dsplit": _one_of("row", "col"),
    "refresh_leaf": FLAG,
    "process_type": _one_of("default", "update"),
    "grow_policy": _one_of("depthwise", "lossguide"),
    "max_leaves": NATURAL,
    "max_bin": NATURAL,
    "predictor": _one_of("auto", "cpu_predictor", "gpu_predictor"),
    "monotone_constraints": Rule(_literal, [-1, 0, 1], is_list=True),
    "interaction_constraints": Rule(_literal, Interval("[0, +inf)"), is_list=True),
    "sample_type": _one_of("uniform", "weighted"),
    "normalize_type": _one_of("tree", "forest"),
    "rate_drop": UNIT,
    "one_drop": FLAG,
    "skip_drop": UNIT,
    "lambda_bias": UNIT,
    "tweedie_variance_power": _real("(1, 2)"),
    "objective": _one_of(*OBJECTIVES),
    "num_class": _whole("[2, +inf)"),
    "base_score": NOT_NEGATIVE,
    "eval_metric": Rule(_names, [*MAXIMIZED_METRICS, *MINIMIZED_METRICS], is_list=True),
    "seed": _whole("(-2147483648, 2147483647)"),
    "num_parallel_tree": COUNT,
    "save_model_on_termination": TRUE_FALSE,
    "deterministic_histogram": TRUE_FALSE,
    "use_dask_gpu_training": TRUE_FALSE,
    "aft_loss_distribution": _one_of("normal", "logistic", "extreme"),
    "aft_loss_distribution_scale": NOT_NEGATIVE,
    "prob_buffer_row": _real("(1, +inf)"),
    "_kfold": _whole("[2, +inf)"),
    "_num_cv_round": COUNT,
    "_tuning_objective_metric": Rule(str, None),
}

# Valid on AWS, and honestly not available on one machine without a graphics card or a tuning service.
NOT_HERE = {
    "_kfold": "k-fold training",
    "_num_cv_round": "k-fold training",
    "use_dask_gpu_training": "training on GPUs",
}


def validate(given: Mapping[str, str]) -> dict[str, Any]:
    """Hyperparameters as texts -> typed values under their canonical names (`eta`, not `learning_rate`).

    Raises UserError with the image's own text for the first one that is unknown, missing, unreadable,
    out of range, or at odds with another.
    """
    texts = {ALIASES.get(name, name): value for name, value in given.items()}
    if "num_round" not in texts:
        raise UserError("Missing required hyperparameter: num_round")
    values = {name: _parse(name, text) for name, text in texts.items()}
    for name, value in values.items():
        _check_range(name, value)
    _check_dependencies(values)
    for name, what in NOT_HERE.items():
        if name in values and values[name] != "false":
            raise UserError(f"Hyperparameter {name}: {what} is not supported by local AWS")
    return values


def metric_is_maximized(metric: str) -> bool:
    """Whether a larger value of an eval_metric is better. `map@5` is judged by its name."""
    return metric.split("@")[0] in MAXIMIZED_METRICS


def _parse(name: str, text: str) -> Any:
    rule = RULES.get(name)
    if rule is None:
        raise UserError(f"Extraneous hyperparameter found: {name}")
    try:
        return rule.parse(text)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value", caused_by=error) from error


def _check_range(name: str, value: Any) -> None:
    rule = RULES[name]
    if name == "eval_metric":
        value = [metric for metric in value if not _has_valid_threshold(metric)]
    if name == "interaction_constraints":
        value = [element for group in value for element in group]
    if rule.is_list:
        if any(element not in rule.allowed for element in value):
            raise UserError(f"Hyperparameter {name}: value {value} not in range {rule.allowed}")
    elif isinstance(rule.allowed, Interval):
        if value not in rule.allowed:
            raise UserError(f"Hyperparameter {name}: value {value} not in range {rule.allowed}")
    elif rule.allowed is not None and value not in rule.allowed:
        raise UserError(f"Hyperparameter {name}: {value} is not in {rule.allowed}")


def _has_valid_threshold(metric: str) -> bool:
    """True for `error@0.3`, `ndcg@5`, `map@5`; False without an `@`; UserError for any other."""
    name, at, threshold = (part.strip() for part in metric.partition("@"))
    if not at:
        return False
    if name not in ("error", "ndcg", "map"):
        raise UserError(
            f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized threshold should "
            "be one of these options: 'error', 'ndcg', 'map'."
        )
    try:
        float(threshold)
    except ValueError:
        raise UserError(f"Threshold value 't' in '{name}@t' expects float input.") from None
    return True


def _check_dependencies(values: Mapping[str, Any]) -> None:
    objective, metrics = values.get("objective"), values.get("eval_metric", [])
    tree_method = values.get("tree_method")
    if objective in ("multi:softmax", "multi:softprob") and "num_class" not in values:
        raise UserError("Require input for parameter 'num_class' for multi-classification")
    if objective is None and "num_class" in values:
        raise UserError(
            "Do not need to setup parameter 'num_class' for learning task other than multi-classification."
        )
    if "auc" in metrics and not (objective or "").startswith(("binary:", "rank:")):
        raise UserError("Metric 'auc' can only be applied for classification and ranking problems.")
    if "aft-nloglik" in metrics and objective != "survival:aft":
        raise UserError("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.")
    if "monotone_constraints" in values and tree_method not in ("exact", "hist"):
        raise UserError(
            "monotone_constraints can be used only when the tree_method parameter is set to "
            "either 'exact' or 'hist'."
        )
    if "interaction_constraints" in values and tree_method not in ("exact", "hist", "approx"):
        raise UserError(
            "interaction_constraints can be used only when the tree_method parameter is set to "
            "either 'exact', 'hist' or 'approx'."
        )
    if "updater" in values:
        _check_updater(values)


def _check_updater(values: Mapping[str, Any]) -> None:
    updaters = values["updater"]
    if values.get("booster") == "gblinear":
        if len(updaters) != 1 or updaters[0] not in ("shotgun", "coord_descent"):
            raise UserError("Linear updater should be one of these options: 'shotgun', 'coord_descent'.")
    elif values.get("process_type") == "update":
        if not set(updaters) <= {"refresh", "prune"}:
            raise UserError("process_type 'update' can only be used with updater 'refresh' and 'prune'")
    elif {"shotgun", "coord_descent"} & set(updaters):
        raise UserError("Updaters 'shotgun' and 'coord_descent' need the booster 'gblinear'.")
