"""Model quality.

The published baseline, the metrics against scikit-learn, constraints with and without tolerance.
"""

import json
import math

import numpy as np
import pytest
from sklearn import metrics as reference

from sagemaker_scripts.monitoring import jobs, model_constraints
from sagemaker_scripts.monitoring.answers import Attributes, read_answers
from sagemaker_scripts.monitoring.model_quality import (
    Answers,
    calibration,
    metrics,
    standard_errors,
    statistics_of,
)
from sagemaker_scripts.monitoring.tables import Dataset

MERGED = '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}'
HOUR = "s3://bucket/merge/churn/AllTraffic/2026/11/20/10"


@pytest.fixture
def published(shared_data):
    attributes = Attributes("BinaryClassification", "prediction", "probability", None, "label")
    return read_answers(
        Dataset(shared_data / "mm_validation_with_predictions.csv", "csv", header=True), attributes
    )


def test_published_baseline(published):
    statistics = statistics_of(published)
    body = statistics["binary_classification_metrics"]
    assert statistics["dataset"]["item_count"] == 201
    assert body["confusion_matrix"] == {"0": {"0": 173, "1": 0}, "1": {"0": 12, "1": 16}}
    value = {name: entry["value"] for name, entry in body.items() if "value" in entry}
    assert value["recall"] == pytest.approx(0.571429, abs=5e-7)
    assert value["precision"] == 1.0
    assert value["accuracy"] == pytest.approx(0.940299, abs=5e-7)
    assert value["auc"] == pytest.approx(0.9395127993393898, abs=1e-12)
    assert value["f0_5"] == pytest.approx(0.869565, abs=5e-7)
    assert value["f1"] == pytest.approx(0.727273, abs=5e-7)
    assert value["f2"] == pytest.approx(0.625)
    assert value["true_positive_rate"] == value["recall"]
    assert value["false_negative_rate"] == pytest.approx(12 / 28)
    assert value["true_negative_rate"] == 1.0
    assert value["false_positive_rate"] == 0.0
    assert value["recall_best_constant_classifier"] == 1.0
    assert value["precision_best_constant_classifier"] == pytest.approx(28 / 201)
    assert value["accuracy_best_constant_classifier"] == pytest.approx(28 / 201)
    roc = body["receiver_operating_characteristic_curve"]
    assert (roc["false_positive_rates"][0], roc["true_positive_rates"][-1]) == (0.0, 1.0)
    assert np.trapezoid(roc["true_positive_rates"], roc["false_positive_rates"]) == pytest.approx(
        value["auc"]
    )


def test_published_standard_deviations_are_of_that_size(published):
    """Five random samples: one draw says little, so the mean over many seeds is compared."""
    draws = [statistics_of(published, seed=seed)["binary_classification_metrics"] for seed in range(60)]
    mean = {
        name: float(np.mean([draw[name]["standard_deviation"] for draw in draws]))
        for name in ("recall", "accuracy", "auc")
    }
    assert mean["recall"] == pytest.approx(0.0418, rel=0.25)
    assert mean["accuracy"] == pytest.approx(0.0082, rel=0.25)
    assert mean["auc"] == pytest.approx(0.0108, rel=0.5)


def test_published_constraints(published):
    constraints = model_constraints.suggest(statistics_of(published), published)
    found = {
        name: (round(entry["threshold"], 6), entry["comparison_operator"])
        for name, entry in constraints["binary_classification_constraints"].items()
    }
    less, greater = "LessThanThreshold", "GreaterThanThreshold"
    assert found == {
        "recall": (0.571429, less),
        "precision": (1.0, less),
        "accuracy": (0.940299, less),
        "true_positive_rate": (0.571429, less),
        "true_negative_rate": (1.0, less),
        "false_positive_rate": (0.0, greater),
        "false_negative_rate": (0.428571, greater),
        "auc": (0.939513, less),
        "f0_5": (0.869565, less),
        "f1": (0.727273, less),
        "f2": (0.625, less),
    }


def test_binary_metrics_equal_scikit_learn():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 5000)
    scores = np.round(np.clip(0.3 * truth + random.random(5000) * 0.7, 0, 1), 2)  # with many ties
    found = metrics(Answers("BinaryClassification", truth, (scores > 0.5).astype(int), scores))
    said = scores > 0.5
    assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, scores))
    assert found["au_prc"] == pytest.approx(reference.average_precision_score(truth, scores))
    assert found["f0_5"] == pytest.approx(reference.fbeta_score(truth, said, beta=0.5))
    assert found["f2"] == pytest.approx(reference.fbeta_score(truth, said, beta=2))


def test_multiclass_metrics_equal_scikit_learn():
    random = np.random.default_rng(2)
    truth = random.choice(["1", "4", "5"], 3000, p=[0.8, 0.15, 0.05])
    said = np.where(random.random(3000) < 0.9, truth, "1")
    answers = Answers("MulticlassClassification", truth, said)
    found = metrics(answers)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, said))
    for name, beta in (("f0_5", 0.5), ("f1", 1), ("f2", 2)):
        expected = reference.fbeta_score(truth, said, beta=beta, average="weighted")
        assert found[f"weighted_{name}"] == pytest.approx(expected)
    share = float(np.mean(truth == "5"))
    assert found["accuracy_best_constant_classifier"] == pytest.approx(share)
    assert found["weighted_precision_best_constant_classifier"] == pytest.approx(share**2)
    statistics = statistics_of(answers)
    matrix = statistics["multiclass_classification_metrics"]["confusion_matrix"]
    assert matrix["4"]["4"] == np.sum((truth == "4") & (said == "4"))
    assert matrix["4"]["1"] == np.sum((truth == "4") & (said == "1"))
    constraints = model_constraints.suggest(statistics, answers)
    assert constraints["classes"] == ["1", "4", "5"]


def test_documented_multiclass_constant_classifier():
    """The documentation's sample: 1690 zeros and 406 ones."""
    truth = np.array(["0"] * 1690 + ["1"] * 406)
    found = metrics(Answers("MulticlassClassification", truth, truth))
    assert found["accuracy_best_constant_classifier"] == pytest.approx(0.1937, abs=5e-5)
    assert found["weighted_precision_best_constant_classifier"] == pytest.approx(0.03752, abs=5e-6)


def test_regression_metrics_equal_scikit_learn():
    random = np.random.default_rng(3)
    truth = random.normal(10, 3, 1000)
    said = truth + random.normal(0, 1, 1000)
    answers = Answers("Regression", truth, said)
    found = metrics(answers)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, said))
    assert found["mse"] == pytest.approx(reference.mean_squared_error(truth, said))
    assert found["rmse"] == pytest.approx(math.sqrt(found["mse"]))
    assert found["r2"] == pytest.approx(reference.r2_score(truth, said))
    suggested = model_constraints.suggest(statistics_of(answers), answers)["regression_constraints"]
    assert {name: entry["comparison_operator"] for name, entry in suggested.items()} == {
        "mae": "GreaterThanThreshold",
        "mse": "GreaterThanThreshold",
        "rmse": "GreaterThanThreshold",
        "r2": "LessThanThreshold",
    }


def test_no_standard_deviation_below_200_rows():
    random = np.random.default_rng(4)
    truth = random.integers(0, 2, 199)
    body = statistics_of(Answers("BinaryClassification", truth, truth))["binary_classification_metrics"]
    assert body["recall"] == {"value": 1.0, "standard_deviation": "NaN"}
    assert "auc" not in body


def test_undefined_metric_is_nan_and_not_judged():
    truth = np.zeros(50, dtype=int)
    statistics = statistics_of(Answers("BinaryClassification", truth, truth))
    assert statistics["binary_classification_metrics"]["recall"]["value"] == "NaN"
    constraints = {"binary_classification_constraints": {
        "recall": {"threshold": 0.9, "comparison_operator": "LessThanThreshold"}}}  # fmt: skip
    assert model_constraints.check(statistics, constraints) == []


def test_calibration_bins():
    answers = Answers("BinaryClassification", np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]),
                      np.array([0.05, 0.05, 0.95, 1.0]))  # fmt: skip
    assert calibration(answers) == [
        {"mean_score": pytest.approx(0.05), "observed": 0.5, "count": 2},
        {"mean_score": pytest.approx(0.975), "observed": 1.0, "count": 2},
    ]


def test_standard_errors_of_many_rows_come_from_a_sample():
    """An accuracy of p over n rows varies by sqrt(p (1 - p) / n), whatever is drawn from."""
    random = np.random.default_rng(6)
    truth = random.integers(0, 2, 100_000)
    said = np.where(random.random(len(truth)) < 0.9, truth, 1 - truth)
    for count in (2000, 100_000):
        answers = Answers("BinaryClassification", truth[:count], said[:count])
        expected = math.sqrt(0.9 * 0.1 / count)
        assert standard_errors(answers)["accuracy"] == pytest.approx(expected, rel=0.15)


def test_tolerance_follows_the_rows_of_the_window():
    properties = {
        "baseline": 0.6,
        "standard_error": 0.02,
        "rows": 600,
        "tolerance": 3.0,
        "expected_rows": 600,
    }
    limit = 0.6 - 0.06 * math.sqrt(2)
    constraint = {
        "threshold": limit,
        "comparison_operator": "LessThanThreshold",
        "additional_properties": properties,
    }
    assert model_constraints.threshold(constraint, 600) == pytest.approx(limit)
    assert model_constraints.threshold(constraint, 200) == pytest.approx(0.6 - 0.06 * 2)
    assert model_constraints.threshold(constraint, 10**9) == pytest.approx(0.54)
    edited = constraint | {"threshold": 0.55}
    assert model_constraints.threshold(edited, 200) == 0.55


@pytest.fixture
def window(job):
    def run(lines, constraints, **env):
        hour = job.input("/opt/ml/processing/input_data/churn/AllTraffic/2026/11/20/10", HOUR)
        (hour / "part-00000-a.c000.jsonl").write_text("".join(lines))
        folder = job.input("/opt/ml/processing/baseline/constraints", "s3://bucket/baseline/constraints.json")
        (folder / "constraints.json").write_text(json.dumps(constraints))
        job.env |= {
            "dataset_format": MERGED,
            "dataset_source": "/opt/ml/processing/input_data",
            "analysis_type": "MODEL_QUALITY",
            "problem_type": "BinaryClassification",
            "probability_attribute": "0",
            "probability_threshold_attribute": "0.5",
            "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
            "start_time": "2026-11-20T10:00:00Z",
            "end_time": "2026-11-20T11:00:00Z",
            "metric_time": "2026-11-20T10:00:00Z",
            "sagemaker_endpoint_name": "churn",
            "sagemaker_monitoring_schedule_name": "churn-model",
            "publish_cloudwatch_metrics": "Enabled",
        } | env
        return jobs.main(["analyzer"], job.env)

    return run


@pytest.fixture
def merged(capture):
    def build(score, truth, event="e", encoding="CSV"):
        record = json.loads(capture("1,2,3", score, event=event, encoding=encoding))
        return json.dumps({"groundTruthData": {"data": truth, "encoding": "CSV"}} | record) + "\n"

    return build


STRICT = {"version": 0.0, "binary_classification_constraints": {
    "f2": {"threshold": 0.625, "comparison_operator": "LessThanThreshold"},
    "true_positive_rate": {"threshold": 0.9, "comparison_operator": "LessThanThreshold"},
    "false_positive_rate": {"threshold": 0.9, "comparison_operator": "GreaterThanThreshold"},
}}  # fmt: skip


def test_window_judged_against_constraints(window, merged, job):
    lines = [merged("0.9", "1"), merged("0.2", "1"), merged("0.1", "1"), merged("0.1", "0")] * 60
    assert window(lines, STRICT) == 0
    violations = {v["metric_name"]: v for v in job.output("constraint_violations.json")["violations"]}
    assert set(violations) == {"f2", "truePositiveRate"}
    text = violations["f2"]["description"]
    assert text.startswith("Metric f2 with 0.384615384615384")
    assert " +/- 0.0" in text
    assert text.endswith(" was LessThanThreshold '0.625'")
    assert violations["f2"]["constraint_check_type"] == "LessThanThreshold"
    assert job.message == "CompletedWithViolations: Job completed successfully with 2 violations."
    names = {metric["MetricName"] for metric in job.metrics}
    assert len(names) == 17
    assert names == {
        "recall", "precision", "accuracy", "auc", "f0_5", "f1", "f2", "true_positive_rate",
        "true_negative_rate", "false_positive_rate", "false_negative_rate",
        "recall_best_constant_classifier", "precision_best_constant_classifier",
        "accuracy_best_constant_classifier", "f0_5_best_constant_classifier",
        "f1_best_constant_classifier", "f2_best_constant_classifier",
    }  # fmt: skip
    f2 = next(metric for metric in job.metrics if metric["MetricName"] == "f2")
    assert f2["Value"] == pytest.approx(5 / 13)
    assert f2["Timestamp"] == "2026-11-20T10:00:00Z"


def test_bad_labels_and_probabilities_are_named(window, merged, job):
    lines = [merged("0.9", "1"), merged("0.1", "0"), merged("1.7", "1"), merged("0.3", "2"), merged("?", "0")]
    assert window(lines, STRICT) == 0
    statistics = job.output("statistics.json")
    assert statistics["dataset"]["item_count"] == 2
    assert statistics["dataset"]["refused"]["reasons"] == {
        "label outside the classes": 1,
        "probability is not a number": 1,
        "probability outside [0,1]": 1,
    }
    examples = {e["reason"]: (e["where"], e["detail"]) for e in statistics["dataset"]["refused"]["examples"]}
    file = f"{HOUR}/part-00000-a.c000.jsonl"
    assert examples["probability outside [0,1]"] == (f"{file} line 3", "1.7")
    assert examples["label outside the classes"] == (f"{file} line 4", "2")
    (violation,) = [
        v for v in job.output("constraint_violations.json")["violations"] if v["metric_name"] == "records"
    ]
    assert violation["description"].startswith("3 records refused (label outside the classes: 1, ")


def test_only_bad_labels_fail(window, merged, job):
    assert window([merged("0.9", "yes")], STRICT) == 1
    assert job.message.startswith(
        "No record with a usable label and prediction: 1 record refused (label outside"
    )


def test_json_output_by_path(window, merged, job):
    lines = [
        merged('{"score":{"p":0.9}}', "1", encoding="JSON"),
        merged('{"score":{"p":0.2}}', "0", encoding="JSON"),
    ]
    assert window(lines, STRICT, probability_attribute="$.score.p") == 0
    assert job.output("statistics.json")["binary_classification_metrics"]["accuracy"]["value"] == 1.0


def test_multiclass_label_that_the_baseline_does_not_know(window, merged, job):
    constraints = {
        "version": 0.0,
        "multiclass_classification_constraints": {
            "accuracy": {"threshold": 0.9, "comparison_operator": "LessThanThreshold"}
        },
        "classes": ["1", "4", "5"],
    }
    lines = [merged("1", "1"), merged("4", "5"), merged("5", "5.0"), merged("1", "7")]
    env = {"problem_type": "MulticlassClassification", "inference_attribute": "0"}
    for name in ("probability_attribute", "probability_threshold_attribute"):
        env[name] = ""
    assert window(lines, constraints, **env) == 0
    statistics = job.output("statistics.json")
    assert statistics["dataset"]["refused"]["reasons"] == {"label outside the classes": 1}
    accuracy = statistics["multiclass_classification_metrics"]["accuracy"]["value"]
    assert accuracy == pytest.approx(2 / 3)
    names = [v["metric_name"] for v in job.output("constraint_violations.json")["violations"]]
    assert names == ["accuracy", "records"]


def test_regression_window(window, merged, job):
    constraints = {"regression_constraints": {
        "rmse": {"threshold": 0.5, "comparison_operator": "GreaterThanThreshold"}}}  # fmt: skip
    lines = [merged("2.0", "1"), merged("5", "5.0"), merged("3", "three")]
    env = {"problem_type": "Regression", "inference_attribute": "0", "probability_attribute": ""}
    assert window(lines, constraints, **env) == 0
    assert job.output("statistics.json")["regression_metrics"]["mae"]["value"] == 0.5
    rmse, records = job.output("constraint_violations.json")["violations"]
    assert rmse["description"] == f"Metric rmse with {math.sqrt(0.5)} was GreaterThanThreshold '0.5'"
    assert "label is not a number: 1" in records["description"]


def test_attribute_that_names_no_column(window, merged, job):
    assert window([merged("0.9", "1")], STRICT, probability_attribute="3") == 1
    assert job.message == (
        "probability_attribute='3' names no column; found: 0, ground_truth. Correct the setting."
    )


def test_baseline_job(shared_data, job):
    folder = job.input("/opt/ml/processing/input/baseline_dataset_input", "s3://bucket/baseline")
    (folder / "v.csv").write_bytes((shared_data / "mm_validation_with_predictions.csv").read_bytes())
    job.env |= {
        "dataset_format": '{"csv":{"header":true}}',
        "dataset_source": "/opt/ml/processing/input/baseline_dataset_input",
        "analysis_type": "MODEL_QUALITY",
        "problem_type": "BinaryClassification",
        "inference_attribute": "prediction",
        "probability_attribute": "probability",
        "ground_truth_attribute": "label",
        "publish_cloudwatch_metrics": "Disabled",
        "constraint_tolerance": "3",
        "expected_window_rows": "2000",
    }
    assert jobs.main(["analyzer"], job.env) == 0
    constraint = job.output("constraints.json")["binary_classification_constraints"]["f2"]
    assert 0.2 < constraint["threshold"] < 0.55
    properties = constraint["additional_properties"]
    assert properties["baseline"] == pytest.approx(0.625)
    # An 80 % sample without replacement varies half as much as the metric itself does.
    spread = job.output("statistics.json")["binary_classification_metrics"]["f2"]["standard_deviation"]
    assert spread < properties["standard_error"] < 6 * spread
    precision = job.output("constraints.json")["binary_classification_constraints"]["precision"]
    assert precision["threshold"] < 0.99, (
        "16 right answers do not promise that there will never be a wrong one"
    )
