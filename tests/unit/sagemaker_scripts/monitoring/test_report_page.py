"""The report page: self-contained, escaped, and it shows the values of the files."""

import re
import xml.etree.ElementTree as ET

import numpy as np

from sagemaker_scripts.monitoring import model_constraints, model_quality, report_page
from sagemaker_scripts.monitoring.data_quality import statistics_of
from sagemaker_scripts.monitoring.profile import profile
from sagemaker_scripts.monitoring.tables import Dataset


def answers(shift=0.4, count=500, seed=1):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, count)
    scores = np.clip(shift * truth + random.random(count) * 0.6, 0, 1)
    return model_quality.Answers("BinaryClassification", truth, (scores > 0.5).astype(int), scores)


def model_page(history=()):
    before, now = answers(), answers(0.1, seed=2)
    baseline, statistics = model_quality.statistics_of(before), model_quality.statistics_of(now)
    constraints = model_constraints.suggest(baseline, before, tolerance=3.5)
    violations = model_constraints.check(statistics, constraints)
    return statistics, violations, report_page.page(
        "model",
        {"endpoint": "churn <b>", "records waiting for a label": "61", "empty": ""},
        {"statistics.json": statistics},
        violations,
        baseline=baseline,
        constraints=constraints,
        history=history,
    )  # fmt: skip


def test_model_page_shows_metrics_violations_and_curves():
    statistics, violations, html = model_page()
    value = statistics["binary_classification_metrics"]["auc"]["value"]
    assert f"{value:.4g}" in html
    assert f"{len(violations)} violations" in html
    assert re.search(r"auc is 0\.\d+ ± 0\.\d+, below its threshold of 0\.\d+", html)
    assert "<dt>records waiting for a label</dt><dd>61</dd>" in html
    assert "empty" not in html.split("<section>")[0]
    for title in ("ROC", "Precision and recall", "Calibration"):
        assert f"<figcaption>{title}</figcaption>" in html
    assert "<h2>History</h2>" not in html


def test_page_loads_nothing_and_escapes_everything():
    _, _, html = model_page()
    assert "churn &lt;b&gt;" in html
    assert '<link rel="icon" href="data:,">' in html  # an empty one: else a browser asks the server for it
    assert not re.search(r"https?://|<script|<link(?! rel=.icon. href=.data:)|<img|@import|url\(", html)


def test_charts_are_well_formed():
    history = [{"time": f"2026-11-20T0{i}:00:00Z", "metrics": {"auc": 0.9, "recall": 0.8}} for i in range(5)]
    _, _, html = model_page(history)
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) >= 5
    for chart in charts:
        ET.fromstring(chart)
        assert "nan" not in chart
    assert "<h2>History</h2>" in html
    assert 'class="forbidden"' in html


def test_data_page_draws_drifted_features(tmp_path):
    def statistics(name, rows):
        (tmp_path / name).write_text("mins,plan,same\n" + "".join(f"{a},{b},1\n" for a, b in rows))
        return statistics_of(profile(Dataset(tmp_path / name, "csv", header=True)))

    before = statistics("a.csv", [(i, "no") for i in range(100)])
    now = statistics("b.csv", [(i + 50, "<yes>") for i in range(100)])
    drifts = [
        {
            "feature_name": n,
            "constraint_check_type": "baseline_drift_check",
            "description": "Numerical distance: 0.5",
        }
        for n in ("mins", "plan", "same")
    ]
    html = report_page.page("data", {}, {"statistics.json": now}, drifts, baseline=before)
    assert html.count("<figure>") == 3
    assert "&lt;yes&gt;" in html
    assert "baseline: 8.0%" in html, "0..149 in 20 bins of 7.45: seven or eight of the hundred in a bin"
    for chart in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ET.fromstring(chart)


def test_clarify_page_lists_metrics_and_attribution():
    metric = {"name": "DPL", "description": "Difference (DPL)", "value": 0.3, "standard_error": 0.02}
    facets = {"Plan": [{"value_or_threshold": "yes", "metrics": [metric]}]}
    shap = {"label0": {"global_shap_values": {"a": 0.4, "b": 0.1}, "expected_value": 0}}
    analysis = {
        "explanations": {"kernel_shap": shap},
        "pre_training_bias_metrics": {"label": "y", "label_value_or_threshold": "1", "facets": facets},
    }
    violation = {"facet": "Plan", "metric_name": "DPL"}
    violation |= {"constraint_check_type": "bias_drift_check", "description": "x"}
    html = report_page.page("clarify", {}, {"analysis.json": analysis}, [violation], baseline=analysis)
    assert "Difference (DPL)" in html
    assert "<td>violation</td>" in html
    assert html.count('class="bar now"') == 2
