"""Every hyperparameter rule, with the text a job on AWS would fail with."""

# ruff: noqa: E501 - the tables read better with one case a line

import pytest

from local_aws.images.xgboost.errors import UserError
from local_aws.images.xgboost.hyperparameters import RULES, metric_is_maximized, validate

GOOD = {"num_round": "10", "objective": "binary:logistic"}


def test_texts_become_values_and_aliases_their_canonical_names():
    given = {
        **GOOD,
        "learning_rate": "0.2",
        "reg_lambda": "2",
        "max_depth": "5",
        "eval_metric": "auc, error@0.3,logloss",
        "monotone_constraints": "(1, 0, -1)",
        "tree_method": "hist",
    }
    assert validate(given) == {
        "num_round": 10,
        "objective": "binary:logistic",
        "eta": 0.2,
        "lambda": 2.0,
        "max_depth": 5,
        "eval_metric": ["auc", "error@0.3", "logloss"],
        "monotone_constraints": (1, 0, -1),
        "tree_method": "hist",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_round": None}, "Missing required hyperparameter: num_round"),
        ({"num_rounds": "3"}, "Extraneous hyperparameter found: num_rounds"),
        ({"max_depth": "deep"}, "Hyperparameter max_depth: could not parse value (caused by ValueError)"),
        ({"max_depth": "5.0"}, "Hyperparameter max_depth: could not parse value (caused by ValueError)"),
        ({"num_round": "0"}, "Hyperparameter num_round: value 0 not in range [1, +inf)"),
        ({"eta": "2.0"}, "Hyperparameter eta: value 2.0 not in range [0, 1]"),
        ({"learning_rate": "-1"}, "Hyperparameter eta: value -1.0 not in range [0, 1]"),
        ({"eta": "nan"}, "Hyperparameter eta: value nan not in range [0, 1]"),
        ({"subsample": "0"}, "Hyperparameter subsample: value 0.0 not in range (0, 1]"),
        ({"scale_pos_weight": "0"}, "Hyperparameter scale_pos_weight: value 0.0 not in range (0, +inf)"),
        ({"tweedie_variance_power": "2"}, "Hyperparameter tweedie_variance_power: value 2.0 not in range (1, 2)"),
        ({"verbosity": "4"}, "Hyperparameter verbosity: value 4 not in range [0, 3]"),
        ({"seed": "2147483647"}, "Hyperparameter seed: value 2147483647 not in range (-2147483648, 2147483647)"),
        ({"booster": "forest"}, "Hyperparameter booster: forest is not in ['gbtree', 'gblinear', 'dart']"),
        ({"save_model_on_termination": "True"}, "Hyperparameter save_model_on_termination: True is not in ['true', 'false']"),
        ({"objective": "reg:quantileerror"}, "Hyperparameter objective: reg:quantileerror is not in ["),
        ({"eval_metric": "auc,gini"}, "Hyperparameter eval_metric: value ['auc', 'gini'] not in range ["),
        ({"eval_metric": "auc@0.5"}, "Metric 'auc@0.5' is not supported. Parameter 'eval_metric' with customized threshold"),
        ({"eval_metric": "error@half"}, "Threshold value 't' in 'error@t' expects float input."),
        ({"objective": "multi:softprob"}, "Require input for parameter 'num_class' for multi-classification"),
        ({"objective": None, "num_class": "3"}, "Do not need to setup parameter 'num_class'"),
        ({"objective": "reg:squarederror", "eval_metric": "auc"}, "Metric 'auc' can only be applied for classification and ranking problems."),
        ({"objective": None, "eval_metric": "auc"}, "Metric 'auc' can only be applied"),
        ({"eval_metric": "aft-nloglik"}, "Metric 'aft-nloglik' can only be applied for 'survival:aft' objective."),
        ({"monotone_constraints": "(1,0)"}, "monotone_constraints can be used only when the tree_method parameter is set to either 'exact' or 'hist'."),
        ({"monotone_constraints": "(2,0)", "tree_method": "hist"}, "Hyperparameter monotone_constraints: value (2, 0) not in range [-1, 0, 1]"),
        ({"monotone_constraints": "__import__('os')", "tree_method": "hist"}, "Hyperparameter monotone_constraints: could not parse value (caused by ValueError)"),
        ({"interaction_constraints": "[[0,1]]", "tree_method": "auto"}, "interaction_constraints can be used only when"),
        ({"updater": "shotgun,prune", "booster": "gblinear"}, "Linear updater should be one of these options: 'shotgun', 'coord_descent'."),
        ({"updater": "grow_colmaker", "process_type": "update"}, "process_type 'update' can only be used with updater 'refresh' and 'prune'"),
        ({"_kfold": "3"}, "Hyperparameter _kfold: k-fold training is not supported by local AWS"),
        ({"use_dask_gpu_training": "true"}, "Hyperparameter use_dask_gpu_training: training on GPUs is not supported"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_on_aws(change, message):
    given = {name: value for name, value in (GOOD | change).items() if value is not None}
    with pytest.raises(UserError) as error:
        validate(given)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "edges"),
    [
        ("eta", ["0", "1"]),
        ("subsample", ["1"]),
        ("max_depth", ["0"]),
        ("csv_weights", ["0", "1"]),
        ("seed", ["-2147483647", "2147483646"]),
        ("sketch_eps", ["0.5"]),
    ],
)
def test_closed_ends_of_ranges_are_allowed(name, edges):
    for edge in edges:
        assert validate({**GOOD, name: edge})[name] == RULES[name].parse(edge)


def test_direction_of_metrics():
    assert [metric_is_maximized(name) for name in ("auc", "map@5", "error@0.3", "logloss", "mape")] == [
        True, True, False, False, False,
    ]  # fmt: skip
