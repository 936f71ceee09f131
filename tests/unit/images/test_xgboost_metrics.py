"""The image's own metrics equal scikit-learn's."""

import numpy as np
import pytest
import xgboost as xgb
from sklearn import metrics as sk

from local_aws.images.xgboost.errors import UserError
from local_aws.images.xgboost.metrics import CLASSIFICATION, REGRESSION, predicted_classes, split_metrics

RNG = np.random.default_rng(11)
TRUE = RNG.integers(0, 2, 500)
PREDICTED = np.where(RNG.random(500) < 0.2, 1 - TRUE, TRUE)
TRUE_3 = RNG.integers(0, 3, 500)
PREDICTED_3 = np.where(RNG.random(500) < 0.3, RNG.integers(0, 4, 500), TRUE_3)  # 3: never true


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", sk.accuracy_score),
        ("balanced_accuracy", sk.balanced_accuracy_score),
        ("f1", lambda t, p: sk.f1_score(t, p, average="macro", zero_division=0)),
        ("f1_macro", lambda t, p: sk.f1_score(t, p, average="macro", zero_division=0)),
        ("precision_macro", lambda t, p: sk.precision_score(t, p, average="macro", zero_division=0)),
        ("precision_micro", lambda t, p: sk.precision_score(t, p, average="micro")),
        ("recall_macro", lambda t, p: sk.recall_score(t, p, average="macro", zero_division=0)),
        ("recall_micro", lambda t, p: sk.recall_score(t, p, average="micro")),
    ],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_multiclass_and_binary(name, reference):
    assert CLASSIFICATION[name](TRUE, PREDICTED) == pytest.approx(reference(TRUE, PREDICTED), abs=1e-12)
    assert CLASSIFICATION[name](TRUE_3, PREDICTED_3) == pytest.approx(
        reference(TRUE_3, PREDICTED_3), abs=1e-12
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [("f1_binary", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)],
)
def test_binary_only(name, reference):
    assert CLASSIFICATION[name](TRUE, PREDICTED) == pytest.approx(reference(TRUE, PREDICTED), abs=1e-12)
    assert CLASSIFICATION[name](np.zeros(4, int), np.zeros(4, int)) == 0.0
    assert CLASSIFICATION[name](np.ones(4, int), np.ones(4, int)) == 1.0
    with pytest.raises(UserError, match="Target is multiclass but average='binary'"):
        CLASSIFICATION[name](TRUE_3, PREDICTED_3)


def test_regression():
    labels, predictions = RNG.normal(size=200), RNG.normal(size=200)
    assert REGRESSION["mse"](labels, predictions) == pytest.approx(sk.mean_squared_error(labels, predictions))
    assert REGRESSION["r2"](labels, predictions) == pytest.approx(sk.r2_score(labels, predictions))
    assert REGRESSION["r2"](np.ones(3), np.ones(3)) == 1.0
    assert REGRESSION["r2"](np.ones(3), np.zeros(3)) == 0.0


@pytest.mark.parametrize(
    ("objective", "predictions", "classes"),
    [
        ("binary:logistic", [0.2, 0.5, 0.51], [0, 0, 1]),
        ("binary:logitraw", [-0.2, 0.2, 3.0], [0, 1, 1]),
        ("binary:hinge", [0.0, 1.0], [0, 1]),
        ("multi:softmax", [2.0, 0.0], [2, 0]),
        ("multi:softprob", [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], [1, 0]),
    ],
)
def test_predictions_become_classes_as_the_objective_means_them(objective, predictions, classes):
    assert predicted_classes(np.array(predictions), objective).tolist() == classes


def test_only_unknown_metrics_are_computed_here():
    native, compute = split_metrics(["auc", "f1", "logloss", "mse"], "binary:logistic")
    assert native == ["auc", "logloss"]
    assert compute is not None
    data = xgb.DMatrix(np.zeros((2, 1)), label=[0, 1])
    assert compute(np.array([0.4, 0.8]), data) == [("f1", 1.0), ("mse", pytest.approx(0.1))]
    assert split_metrics(["auc"], "binary:logistic") == (["auc"], None)
