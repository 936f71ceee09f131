"""Bias: smclarify's values, our counts against them, drift with and without intervals."""

import numpy as np
import pandas as pd
import pytest

from sagemaker_scripts.monitoring import bias
from sagemaker_scripts.monitoring.sources import AnalysisError


def customers(count=3000, seed=1, gap=0.05, wrong=0.1):
    random = np.random.default_rng(seed)
    table = pd.DataFrame({
        "Account Length": random.integers(1, 243, count),
        "Plan": random.choice(["no", "yes"], count, p=[0.7, 0.3]),
        "Area": random.integers(0, 3, count),
    })  # fmt: skip
    rate = 0.2 + gap * (table["Plan"] == "yes")
    table.insert(0, "Churn", (random.random(count) < rate).astype(int))
    flipped = random.random(count) < wrong
    return table, pd.Series(np.where(flipped, 1 - table["Churn"], table["Churn"]))


QUESTION = bias.Question(
    "Churn", (1,), (bias.Facet("Account Length", (100,)), bias.Facet("Plan", ("yes",))), "Area",
    post=("AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE"),
)  # fmt: skip


def values(analysis, section, facet):
    (entry,) = analysis[section]["facets"][facet]
    return {metric["name"]: metric["value"] for metric in entry["metrics"]}, entry["value_or_threshold"]


def test_values_by_hand_and_form():
    table, said = customers()
    analysis = bias.analyse(table, QUESTION, said)
    pre, shown = values(analysis, "pre_training_bias_metrics", "Plan")
    yes = table["Plan"] == "yes"
    assert shown == "yes"
    assert pre["CI"] == pytest.approx(((~yes).sum() - yes.sum()) / len(table))
    assert pre["DPL"] == pytest.approx(table[~yes]["Churn"].mean() - table[yes]["Churn"].mean())
    assert list(pre) == ["CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD"]
    _, shown = values(analysis, "pre_training_bias_metrics", "Account Length")
    assert shown == "(100.0, 242.0]"
    post, _ = values(analysis, "post_training_bias_metrics", "Plan")
    right = said == table["Churn"]
    assert post["AD"] == pytest.approx(right[~yes].mean() - right[yes].mean())
    assert analysis["post_training_bias_metrics"]["label_value_or_threshold"] == "1"


def test_counts_give_the_same_values_as_smclarify():
    table, said = customers(seed=4)
    analysis = bias.analyse(table, QUESTION, said)
    for facet, disadvantaged in (
        ("Plan", table["Plan"] == "yes"),
        ("Account Length", table["Account Length"] > 100),
    ):
        cells = np.zeros((3, 2, 2, 2))
        np.add.at(cells, (table["Area"], disadvantaged.astype(int), table["Churn"], said), 1)
        counted = bias.from_counts(cells, grouped=True)
        for section in ("pre_training_bias_metrics", "post_training_bias_metrics"):
            for name, value in values(analysis, section, facet)[0].items():
                assert counted[name] == pytest.approx(value, abs=1e-9), name


def test_facet_type_does_not_flip_with_the_number_of_rows():
    """Clarify calls integers continuous iff 5 % of them differ.

    242 lengths are, in 3,000 rows, but not in 30,000.
    """
    for count in (3000, 30_000):
        table, said = customers(count)
        shown = values(bias.analyse(table, QUESTION, said), "pre_training_bias_metrics", "Account Length")[1]
        assert shown == "(100.0, 242.0]"


def section(**metrics):
    entry = {"value_or_threshold": "yes", "metrics": [{"name": k, "value": v} for k, v in metrics.items()]}
    return {"post_training_bias_metrics": {"label": "Churn", "label_value_or_threshold": "1",
                                           "facets": {"Plan": [entry]}}}  # fmt: skip


def test_drift_text_and_rule():
    before = section(AD=0.28176563733194276, DCR=0.0279, RD=-0.3, TE=0.1, DI=0.9)
    after = section(AD=0.3748947825295131, DCR=-0.0765, RD=0.2, TE="Infinity", DI=0.95)
    violations = bias.drift(after, before, alarm_rate=None)
    assert [v["metric_name"] for v in violations] == ["AD", "DCR", "TE"]
    assert violations[0] == {
        "facet": "Plan",
        "facet_value": "yes",
        "metric_name": "AD",
        "constraint_check_type": "bias_drift_check",
        "description": "Metric value 0.3748947825295131 doesn't meet the baseline constraint requirement "
        "0.28176563733194276",
    }
    assert violations[2]["description"].startswith("Metric value Infinity doesn't meet")


def test_undrifted_window_alarms_only_without_the_interval():
    baseline = bias.analyse(*_asked(customers(2333, seed=11)))
    window = bias.analyse(*_asked(customers(500, seed=12)))
    assert bias.drift(window, baseline, alarm_rate=None), "the managed rule alarms on noise"
    assert bias.drift(window, baseline) == []


def test_injected_bias_is_found():
    baseline = bias.analyse(*_asked(customers(2333, seed=11)))
    window = bias.analyse(*_asked(customers(2000, seed=13, gap=0.3)))
    found = {(v["facet"], v["metric_name"]) for v in bias.drift(window, baseline)}
    assert ("Plan", "DPL") in found
    assert ("Plan", "DPPL") in found
    assert not any(facet == "Account Length" for facet, _ in found)


def test_cloudwatch_entries():
    analysis = bias.analyse(*_asked(customers(500)))
    entry = next(e for e in bias.metrics_of(analysis) if e["MetricName"] == "bias_metric_DPPL")
    assert entry["Dimensions"] == {
        "BiasStage": "Post-Training", "Label": "Churn", "LabelValue": "1", "Facet": "Account Length",
        "FacetValue": "(100.0, 242.0]",
    }  # fmt: skip


def test_a_column_that_is_not_there():
    table, said = customers(100)
    with pytest.raises(AnalysisError, match="no column 'Plan'"):
        bias.analyse(table.drop(columns="Plan"), QUESTION, said)


def _asked(pair):
    return pair[0], QUESTION, pair[1]
