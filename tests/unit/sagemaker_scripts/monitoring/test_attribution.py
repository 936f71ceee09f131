"""Attribution: kernel SHAP of a linear model is known exactly; nDCG by the documented example."""

import numpy as np
import pandas as pd
import pytest

from sagemaker_scripts.monitoring import attribution
from sagemaker_scripts.monitoring.sources import AnalysisError

WEIGHTS = np.array([2.0, -1.0, 0.5, 0.0])


def predict(rows):
    return rows @ WEIGHTS


@pytest.fixture
def rows():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(40, 4)), columns=list("abcd"))


def test_documented_ndcg_example():
    """Training (.70, .50, .05), live (.10, .20, .70): the documentation says .69."""
    before = dict(zip("abc", (0.70, 0.50, 0.05), strict=True))
    live = dict(zip("abc", (0.10, 0.20, 0.70), strict=True))
    gains = 0.05 / np.log2(2) + 0.50 / np.log2(3) + 0.70 / np.log2(4)
    ideal = 0.70 / np.log2(2) + 0.50 / np.log2(3) + 0.05 / np.log2(4)
    assert attribution.ndcg(before, live) == pytest.approx(gains / ideal)
    assert round(attribution.ndcg(before, live), 2) == 0.69
    assert attribution.ndcg(before, before) == pytest.approx(1.0)


def test_shap_of_a_linear_model_is_weight_times_deviation(rows):
    found = attribution.explain(rows, predict, baseline=[[0.0] * 4])
    assert found.expected == (0.0,)
    np.testing.assert_allclose(found.values[0], rows.to_numpy() * WEIGHTS, atol=1e-6)
    body = found.to_json()["label0"]
    assert body["global_shap_values"]["a"] == pytest.approx(2 * np.abs(rows["a"]).mean())
    assert body["expected_value"] == 0.0
    squares = found.to_json("mean_sq")["label0"]["global_shap_values"]
    assert squares["b"] == pytest.approx((rows["b"] ** 2).mean())
    local = found.local()
    assert list(local.columns) == ["a_label0", "b_label0", "c_label0", "d_label0", "label0_score"]


def test_drift_text():
    def body(values):
        return {
            "explanations": {"kernel_shap": {"label0": {"global_shap_values": values, "expected_value": 0.1}}}
        }

    before, live = body({"a": 0.7, "b": 0.5, "c": 0.05}), body({"a": 0.1, "b": 0.2, "c": 0.7})
    (violation,) = attribution.drift(live, before)
    assert violation["label"] == "label0"
    assert violation["metric_name"] == "shap"
    assert violation["constraint_check_type"] == "feature_attribution_drift_check"
    assert violation["description"].startswith("Feature attribution drift 0.68")
    assert violation["description"].endswith(" exceeds threshold 0.9")
    assert attribution.drift(before, before) == []
    names = {(e["MetricName"], e["Dimensions"]["ValueType"]) for e in attribution.metrics_of(live)}
    assert ("feature_a", "GlobalShapValues") in names
    assert ("ExpectedValue", "ExpectedValue") in names


def test_without_a_baseline_centres_of_the_data_stand_in(rows):
    found = attribution.explain(rows, predict, clusters=3)
    assert found.expected[0] != 0.0
    total = found.values[0].sum(axis=1) + found.expected[0]
    np.testing.assert_allclose(total, predict(rows.to_numpy()), atol=1e-6)


def test_same_seed_same_values(rows):
    wide = pd.DataFrame(np.random.default_rng(1).normal(size=(5, 20)), columns=[f"f{i}" for i in range(20)])
    weights = np.arange(20.0)
    runs = [
        attribution.explain(
            wide, lambda x: np.tanh(x @ weights), samples=60, baseline=[[0.0] * 20], seed=3
        ).values[0]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*runs)


def test_bad_input(rows):
    with pytest.raises(AnalysisError, match="3 values a row, the data 4 features"):
        attribution.explain(rows, predict, baseline=[[0.0] * 3])
    with pytest.raises(AnalysisError, match="numeric features"):
        attribution.explain(rows.assign(a="x"), predict)
    with pytest.raises(AnalysisError, match="are not those of the window: b, c"):
        attribution.ndcg({"a": 1.0, "b": 0.5}, {"a": 1.0, "c": 0.5})


def test_threshold_from_the_baseline_sees_the_second_feature_vanish():
    """nDCG stays above 0.9 when the second of many features sinks.

    The baseline knows that chance does not do it.
    """
    random = np.random.default_rng(0)
    weights = np.array([0.068, 0.042, 0.038, 0.036, 0.030, 0.025, 0.010, 0.005])
    values = random.normal(size=(1000, 8)) * weights
    names = tuple("abcdefgh")
    section = attribution.Explanation(names, (values,), (0.0,), np.zeros(1000)).to_json(window_rows=200)
    baseline = {"explanations": {"kernel_shap": section}}
    limit = section["label0"]["undrifted_ndcg"]
    assert 0.93 < limit < 1.0

    def window(factors):
        drawn = random.normal(size=(200, 8)) * weights * factors
        body = attribution.Explanation(names, (drawn,), (0.0,), np.zeros(200)).to_json()
        return {"explanations": {"kernel_shap": body}}

    alarms = [bool(attribution.drift(window(1.0), baseline)) for _ in range(100)]
    assert sum(alarms) <= 2
    sunk = window(np.array([1, 0, 1, 1, 1, 1, 1, 1]))
    (violation,) = attribution.drift(sunk, baseline)
    assert violation["description"].endswith(f" exceeds threshold {limit}")
    assert attribution.scores(sunk, baseline)["label0"] > 0.9
