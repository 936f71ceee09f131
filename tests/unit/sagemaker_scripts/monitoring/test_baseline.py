"""The four baselines of a model in one job, and a window of the same customers judged against each."""

import io
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost

from sagemaker_scripts.monitoring import attribution
from sagemaker_scripts.monitoring.jobs import main
from sagemaker_scripts.monitoring.predictor import load_model
from sagemaker_scripts.monitoring.sources import Locations

FEATURES = ["Account Length", "Day Mins", "CustServ Calls", "VMail Plan_no", "VMail Plan_yes"]
ENV = {
    "constraint_tolerance": "3.5",
    "window_alarm_rate": "0.01",
    "expected_window_rows": "400",
    "facet": "Account Length",
    "facet_threshold": "100",
    "explained_rows": "400",
    "shap_samples": "64",
    "model_version": "7",
}


def people(rows, seed):
    """Label and features; churn depends on daytime minutes and on service calls."""
    draw = np.random.default_rng(seed)
    plan = draw.random(rows) < 0.3
    day, calls = np.round(draw.normal(180, 54, rows), 1), draw.poisson(1.5, rows)
    length = np.clip(np.rint(draw.normal(101, 40, rows)), 1, 243)
    logit = (day - 230) / 15 * ~plan + 1.5 * (calls - 3)
    churn = draw.random(rows) < 1 / (1 + np.exp(-logit))
    return np.column_stack([churn, length, day, calls, ~plan, plan]).astype(float)


def line(row):
    return ",".join(f"{value:g}" for value in row)


@pytest.fixture(scope="module")
def model():
    rows = people(3000, 1)
    matrix = xgboost.DMatrix(rows[:, 1:], rows[:, 0])
    return xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "seed": 0, "nthread": 1}, matrix, num_boost_round=30
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, model):
    """A finished baseline job."""
    base = tmp_path_factory.mktemp("baseline")
    folder = base / "processing" / "input"
    for name, rows in (("train", people(3000, 1)), ("validation", people(900, 2))):
        (folder / name).mkdir(parents=True)
        (folder / name / "part-0.csv").write_text("".join(line(row) + "\n" for row in rows))
    (folder / "encoder").mkdir()
    (folder / "encoder" / "encoder.json").write_text(json.dumps({"feature_names": FEATURES}))
    put_model(folder / "model", model)
    code = main(["baseline"], ENV | {"SAGEMAKER_BASE_DIR": str(base)})
    output = base / "processing" / "output"
    files = {path.relative_to(output).as_posix(): path for path in output.rglob("*.json")}
    read = {name: json.loads(path.read_text()) for name, path in files.items()}
    message = (base / "output" / "message").read_text()
    return SimpleNamespace(code=code, output=output, files=read, message=message)


def put_model(folder, model):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        content = bytes(model.save_raw("ubj"))
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def window(job, capture, label, model, rows, *, merged=False):
    """Captured (or merged) records of the rows, as the jobs of a window find them."""
    scores = model.predict(xgboost.DMatrix(rows[:, 1:]))
    folder = job.input("/opt/ml/processing/input/captures", "s3://b/capture")
    lines = []
    for number, (row, score) in enumerate(zip(rows, scores, strict=True)):
        record = json.loads(capture(line(row[1:]), f"{score:.9g}", event=f"e{number}"))
        if merged:
            truth = {"groundTruthData": {"data": f"{row[0]:g}", "encoding": "CSV"}}
            record = {"eventVersion": "0", **truth, **record}
        lines.append(json.dumps(record) + "\n")
    (folder / "a.jsonl").write_text("".join(lines))
    job.env |= {"dataset_source": "/opt/ml/processing/input/captures"}


def baseline_input(job, made, kind):
    folder = job.input("/opt/ml/processing/input/baseline", "s3://b/baseline")
    for path in (made.output / kind).iterdir():
        (folder / path.name).write_text(path.read_text())
    return "/opt/ml/processing/input/baseline"


def judge(job, made, kind, entry, **env):
    folder = baseline_input(job, made, kind)
    constraints = "constraints.json" if "quality" in kind else "analysis.json"
    job.env |= {"baseline_constraints": f"{folder}/{constraints}", **env}
    if "quality" in kind:
        job.env["baseline_statistics"] = f"{folder}/statistics.json"
    else:
        job.env["analysis_config"] = f"{folder}/analysis_config.json"
    assert main([entry], job.env) == 0, job.message
    return job.message


def test_the_files_are_those_that_the_registry_names(made):
    assert made.code == 0
    assert made.message == "Completed: baselines of 3000 training and 900 validation rows."
    assert sorted(made.files) == [
        "attribution/analysis.json",
        "attribution/analysis_config.json",
        "bias/analysis.json",
        "bias/analysis_config.json",
        "data_quality/constraints.json",
        "data_quality/statistics.json",
        "model_quality/constraints.json",
        "model_quality/statistics.json",
    ]
    assert {content["model_version"] for content in made.files.values()} == {"7"}


def test_data_quality_has_the_columns_of_a_capture_and_validation_scores(made, model):
    features = made.files["data_quality/statistics.json"]["features"]
    assert [entry["name"] for entry in features] == ["probability", *FEATURES]
    held, fit = people(900, 2), people(3000, 1)
    probability, length = (entry["numerical_statistics"] for entry in features[:2])
    assert probability["common"]["num_present"] == 900
    assert probability["mean"] == pytest.approx(
        float(model.predict(xgboost.DMatrix(held[:, 1:])).mean()), rel=1e-6
    )
    assert length["common"]["num_present"] == 3000
    assert length["mean"] == pytest.approx(fit[:, 1].mean())
    kinds = [entry["inferred_type"] for entry in made.files["data_quality/constraints.json"]["features"]]
    assert kinds == ["Fractional", "Integral", "Fractional", "Integral", "Integral", "Integral"]


def test_model_quality_is_of_validation_rows_with_the_stated_tolerance(made, model):
    held = people(900, 2)
    said = model.predict(xgboost.DMatrix(held[:, 1:])) > 0.5
    metrics = made.files["model_quality/statistics.json"]["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx((said == held[:, 0]).mean())
    constraint = made.files["model_quality/constraints.json"]["binary_classification_constraints"]["auc"]
    properties = constraint["additional_properties"]
    slack = 3.5 * properties["standard_error"] * (1 + 900 / 400) ** 0.5
    assert constraint["threshold"] == pytest.approx(metrics["auc"]["value"] - slack)
    assert constraint["threshold"] < metrics["auc"]["value"] - 0.01


def test_attribution_finds_what_the_model_uses(made):
    label = made.files["attribution/analysis.json"]["explanations"]["kernel_shap"]["label0"]
    values = label["global_shap_values"]
    assert max(values, key=values.get) == "CustServ Calls"
    assert values["Day Mins"] > 3 * values["Account Length"]
    assert 0.9 < label["undrifted_ndcg"] <= 1


@pytest.mark.parametrize(
    ("kind", "entry", "env"),
    [
        ("data_quality", "analyzer", {"dataset_format": '{"sagemakerCaptureJson":{}}'}),
        (
            "model_quality",
            "analyzer",
            {
                "dataset_format": '{"sagemakerMergeJson":{}}',
                "analysis_type": "MODEL_QUALITY",
                "probability_attribute": "0",
                "probability_threshold_attribute": "0.5",
            },
        ),
        ("bias", "clarify", {"dataset_format": '{"sagemakerMergeJson":{}}'}),
        ("attribution", "clarify", {"dataset_format": '{"sagemakerCaptureJson":{}}'}),
    ],
)
def test_a_window_of_the_same_people_has_no_violation(job, capture, label, made, model, kind, entry, env):
    window(job, capture, label, model, people(400, 3), merged="Merge" in env["dataset_format"])
    if kind == "attribution":
        put_model(job.input("/opt/ml/processing/input/model", "s3://b/model"), model)
    message = judge(job, made, kind, entry, **env, model_version="7")
    assert message == "Completed: Job completed successfully with no violations."


def test_a_shifted_feature_is_found_by_data_quality(job, capture, label, made, model):
    rows = people(400, 3)
    rows[:, 2] += 40
    window(job, capture, label, model, rows)
    judge(job, made, "data_quality", "analyzer", dataset_format='{"sagemakerCaptureJson":{}}')
    violations = job.output("constraint_violations.json")["violations"]
    found = {(v["feature_name"], v["constraint_check_type"]) for v in violations}
    assert ("Day Mins", "baseline_drift_check") in found
    assert ("Account Length", "baseline_drift_check") not in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facet": "Age"}, "facet='Age' is not a feature; there are Account Length, Day Mins"),
        ({"shap_samples": "many"}, "The environment variable shap_samples='many'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path, model, change, message):
    folder = tmp_path / "processing" / "input"
    for name in ("train", "validation"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part-0.csv").write_text("".join(line(row) + "\n" for row in people(300, 4)))
    (folder / "encoder").mkdir()
    (folder / "encoder" / "encoder.json").write_text(json.dumps({"feature_names": FEATURES}))
    put_model(folder / "model", model)
    assert main(["baseline"], ENV | change | {"SAGEMAKER_BASE_DIR": str(tmp_path)}) == 1
    assert (tmp_path / "output" / "message").read_text().startswith(message)


def test_a_model_that_is_none_is_named(job):
    folder = job.input("/opt/ml/processing/input/model", "s3://b/model/model.tar.gz")
    (folder / "model.tar.gz").write_bytes(b"not an archive")
    encoder = job.input("/opt/ml/processing/input/encoder", "s3://b/encoder.json")
    (encoder / "encoder.json").write_text(json.dumps({"feature_names": FEATURES}))
    assert main(["baseline"], job.env | ENV) == 1
    assert job.message.startswith("s3://b/model/model.tar.gz cannot be read as a model: ")


def test_a_model_that_explains_itself_says_what_kernel_shap_converges_to(tmp_path, model):
    put_model(tmp_path, model)
    trees = load_model(tmp_path, Locations())
    rows = pd.DataFrame(people(60, 5)[:, 1:], columns=FEATURES)
    reference = [list(rows.mean())]
    exact = attribution.explain(rows, trees, baseline=reference, use_logit=True)
    sampled = attribution.explain(rows, trees.__call__, baseline=reference, use_logit=True, samples=2000)
    assert np.allclose(exact.values[0], sampled.values[0], atol=1e-3)
    assert exact.expected == pytest.approx(sampled.expected, abs=1e-4)
    # What the features add up to is the score's log odds.
    total = exact.values[0].sum(axis=1) + exact.expected[0]
    assert np.allclose(1 / (1 + np.exp(-total)), exact.scores, atol=1e-5)
