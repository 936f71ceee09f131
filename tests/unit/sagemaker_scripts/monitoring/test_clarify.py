"""The Clarify job's contract.

Analysis.json, violations only when there are any, predictions from an endpoint.
"""

import io
import json
import tarfile

import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError

from sagemaker_scripts.monitoring import jobs, predictor

MERGED = '{"sagemakerMergeJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
HEADERS = ["Churn", "Mins", "Calls", "Plan"]
CONFIG = {
    "version": "1.0",
    "dataset_type": "text/csv",
    "headers": HEADERS,
    "label": "Churn",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "Plan", "value_or_threshold": [1]}],
    "predictor": {"endpoint_name": "churn", "content_type": "text/csv"},
}
BIAS = {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": ["AD", "DPPL", "DI"]}}
SHAP = {"shap": {"baseline": [[180.0, 4.0, 0.0]], "num_samples": 50, "agg_method": "mean_abs", "seed": 5}}


def table(count=400, seed=2, shift=0.0):
    random = np.random.default_rng(seed)
    mins, calls = random.normal(180 + shift, 50, count).round(1), random.poisson(4, count)
    plan = random.integers(0, 2, count)
    churn = (score(np.column_stack([mins, calls, plan])) > random.random(count)).astype(int)
    return np.column_stack([churn, mins, calls, plan])


def score(rows):
    return 1 / (1 + np.exp(-(0.02 * (rows[:, 0] - 220) + 0.3 * (rows[:, 1] - 4) - 0.5 * rows[:, 2])))


@pytest.fixture
def endpoint(monkeypatch):
    """A runtime client that scores like the model; answers with the calls made."""
    calls = []

    class Runtime:
        def invoke_endpoint(self, EndpointName, ContentType, Accept, Body):
            calls.append((EndpointName, ContentType, Body.count("\n") + 1))
            rows = np.array([[float(cell) for cell in line.split(",")] for line in Body.splitlines()])
            return {"Body": io.BytesIO("\n".join(map(str, score(rows))).encode())}

    class Control:
        def __init__(self):
            self.made, self.deleted, self.calls = [], [], []
            self.container = {"Image": "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2"}
            self.packages = {}

        def describe_model(self, ModelName):
            return {"PrimaryContainer": self.container}

        def describe_model_package(self, ModelPackageName):
            return {"InferenceSpecification": {"Containers": [self.packages[ModelPackageName]]}}

        def create_endpoint_config(self, **request):
            self.made.append(
                ("config", request["EndpointConfigName"], request["ProductionVariants"][0]["ModelName"])
            )

        def create_endpoint(self, **request):
            self.made.append(("endpoint", request["EndpointName"]))

        def get_waiter(self, name):
            assert name == "endpoint_in_service"
            return type("Waiter", (), {"wait": lambda self, **kwargs: None})()

        def delete_endpoint(self, EndpointName):
            self.deleted.append(("endpoint", EndpointName))

        def delete_endpoint_config(self, EndpointConfigName):
            self.deleted.append(("config", EndpointConfigName))

    control = Control()
    clients = {"sagemaker-runtime": Runtime(), "sagemaker": control}
    monkeypatch.setattr(predictor.boto3, "client", lambda name: clients[name])
    control.calls = calls
    return control


@pytest.fixture
def baseline_job(job, endpoint):
    def run(methods, **changes):
        (
            job.input("/opt/ml/processing/input/config", "s3://bucket/config") / "analysis_config.json"
        ).write_text(json.dumps(CONFIG | {"methods": methods} | changes))
        data = job.input("/opt/ml/processing/input/data", "s3://bucket/data")
        (data / "validation.csv").write_text(
            "\n".join(",".join(f"{v:g}" for v in row) for row in table()) + "\n"
        )
        return jobs.main(["clarify"], job.env)

    return run


def test_bias_baseline_is_analysis_json_alone(baseline_job, job, endpoint):
    assert baseline_job(BIAS) == 0
    assert job.outputs == ["analysis.json", "report.html"]
    analysis = job.output("analysis.json")
    (entry,) = analysis["post_training_bias_metrics"]["facets"]["Plan"]
    found = {metric["name"]: metric["value"] for metric in entry["metrics"]}
    rows = table()
    said = score(rows[:, 1:]) > 0.5
    plan = rows[:, 3] == 1
    assert found["DPPL"] == pytest.approx(said[~plan].mean() - said[plan].mean())
    assert entry["value_or_threshold"] == "1"
    assert endpoint.calls == [("churn", "text/csv", 400)]
    assert job.message == "Completed: Job completed successfully with no violations."


def test_attribution_baseline(baseline_job, job):
    methods = {"shap": SHAP["shap"] | {"save_local_shap_values": True}}
    assert baseline_job(methods) == 0
    body = job.output("analysis.json")["explanations"]["kernel_shap"]["label0"]
    assert set(body["global_shap_values"]) == {"Mins", "Calls", "Plan"}
    assert body["expected_value"] == pytest.approx(score(np.array([[180.0, 4.0, 0.0]]))[0])
    assert body["global_shap_values"]["Mins"] > body["global_shap_values"]["Calls"]
    lines = (job.base / "processing/output/explanations_shap/out.csv").read_text().splitlines()
    assert lines[0] == "Mins_label0,Calls_label0,Plan_label0,label0_score"
    assert len(lines) == 401


def test_the_shap_baseline_may_be_a_file_in_s3(baseline_job, job, monkeypatch):
    assert baseline_job(SHAP) == 0
    given = job.output("analysis.json")
    objects = {"rows.csv": b"180,4,0\n", "words.csv": b"many,few,none\n"}

    class S3:
        def get_object(self, Bucket, Key):
            if Key not in objects:
                raise ClientError({"Error": {"Code": "NoSuchKey", "Message": f"no {Key}"}}, "GetObject")
            return {"Body": io.BytesIO(objects[Key])}

    clients = {"s3": S3(), "sagemaker-runtime": predictor.boto3.client("sagemaker-runtime")}
    monkeypatch.setattr(predictor.boto3, "client", clients.get)

    def run(key):
        return baseline_job({"shap": SHAP["shap"] | {"baseline": f"s3://bucket/{key}"}})

    assert run("rows.csv") == 0
    assert job.output("analysis.json") == given
    for key, reason in (
        ("words.csv", "could not convert string to float: 'many'"),
        ("none.csv", "no none.csv"),
    ):
        assert run(key) == 1
        assert job.message.startswith(f"analysis_config: shap.baseline s3://bucket/{key} cannot be read: ")
        assert reason in job.message


def test_shadow_endpoint_is_made_and_deleted(baseline_job, job, endpoint):
    assert baseline_job(SHAP, predictor={"model_name": "churn-7", "instance_type": "ml.m5.large"}) == 0
    (config, made) = endpoint.made
    assert config[2] == "churn-7"
    assert made[1].startswith("sm-clarify-")
    assert endpoint.deleted == [("endpoint", made[1]), ("config", config[1])]


def test_shadow_endpoint_is_deleted_when_the_analysis_fails(baseline_job, job, endpoint):
    broken = {"shap": {"baseline": [[1.0]]}}
    assert baseline_job(broken, predictor={"model_name": "churn-7"}) == 1
    assert job.message == "The SHAP baseline has 1 values a row, the data 3 features."
    assert [kind for kind, _ in endpoint.deleted] == ["endpoint", "config"]


@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize("script", [{}, {"SAGEMAKER_PROGRAM": "inference.py"}])
def test_a_built_in_xgboost_model_needs_no_shadow_endpoint(
    baseline_job, job, endpoint, monkeypatch, script, registered
):
    container = {
        "Image": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
        "ModelDataUrl": "s3://bucket/churn/model.tar.gz",
        "Environment": script,
    }
    endpoint.container = {"ModelPackageName": "arn:churn/7"} if registered else container
    endpoint.packages = {"arn:churn/7": container}
    rows = table()
    model = xgboost.train({"max_depth": 2}, xgboost.DMatrix(rows[:, 1:], rows[:, 0]), 5)
    clients = {
        "sagemaker": endpoint,
        "s3": endpoint,
        "sagemaker-runtime": predictor.boto3.client("sagemaker-runtime"),
    }

    def download_file(bucket, key, path):
        assert (bucket, key) == ("bucket", "churn/model.tar.gz")
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("xgboost-model")
            member.size = len(content := bytes(model.save_raw("ubj")))
            archive.addfile(member, io.BytesIO(content))

    endpoint.download_file = download_file
    monkeypatch.setattr(predictor.boto3, "client", clients.get)
    assert baseline_job(SHAP, predictor={"model_name": "churn-7"}) == 0, job.message
    assert [kind for kind, *_ in endpoint.made] == (["config", "endpoint"] if script else [])
    expected = (
        model.predict(xgboost.DMatrix(np.array([[180.0, 4.0, 0.0]])))[0]
        if not script
        else score(np.array([[180.0, 4.0, 0.0]]))[0]
    )
    found = job.output("analysis.json")["explanations"]["kernel_shap"]["label0"]["expected_value"]
    assert found == pytest.approx(float(expected), abs=1e-6)


@pytest.fixture
def window(job, capture, endpoint, baseline_job):
    """``window(methods, rows, merged) -> exit code`` of an execution against the baseline job's result."""

    def run(methods, rows, dataset_format, lines=None, **env):
        assert baseline_job(methods) == 0
        baseline = job.input("/opt/ml/processing/baseline/constraints", "s3://bucket/analysis.json")
        (baseline / "analysis.json").write_text(json.dumps(job.output("analysis.json")))
        hour = job.input("/opt/ml/processing/input_data", "s3://bucket/merge")
        lines = lines or []
        for i, row in enumerate(rows):
            record = json.loads(
                capture(",".join(f"{v:g}" for v in row[1:]), f"{score(row[None, 1:])[0]:.6f}", str(i))
            )
            lines.append(
                json.dumps({"groundTruthData": {"data": f"{row[0]:g}", "encoding": "CSV"}} | record) + "\n"
            )
        (hour / "a.jsonl").write_text("".join(lines))
        job.env |= {
            "dataset_format": dataset_format,
            "dataset_source": "/opt/ml/processing/input_data",
            "baseline_constraints": "/opt/ml/processing/baseline/constraints/analysis.json",
            "start_time": "2026-11-20T10:00:00Z",
            "end_time": "2026-11-20T11:00:00Z",
            "sagemaker_endpoint_name": "churn",
            "sagemaker_monitoring_schedule_name": "churn-bias",
            "publish_cloudwatch_metrics": "Enabled",
            "probability_threshold_attribute": "0.5",
        } | env
        return jobs.main(["clarify"], job.env)

    return run


def test_bias_window_without_drift_has_no_violations_file(window, job, endpoint):
    assert window(BIAS, table(seed=9), MERGED) == 0
    assert job.outputs == ["analysis.json", "report.html"]
    assert job.message.startswith("Completed: ")
    assert len(endpoint.calls) == 1, (
        "predictions of the window were captured; only the baseline asked the endpoint"
    )
    metric = next(m for m in job.metrics if m["MetricName"] == "bias_metric_DPPL")
    assert {d["Name"] for d in metric["Dimensions"]} == {
        "Endpoint", "MonitoringSchedule", "BiasStage", "Label", "LabelValue", "Facet", "FacetValue",
    }  # fmt: skip


def test_bias_window_with_drift(window, job):
    rows = table(seed=9)
    rows[:, 1] += np.where(rows[:, 3] == 1, -120, 120)
    assert window(BIAS, rows, MERGED) == 0
    content = job.output("constraint_violations.json")
    assert content["version"] == "1.0"
    assert "DPPL" in {v["metric_name"] for v in content["violations"]}
    assert job.message.startswith("CompletedWithViolations: Job completed successfully with ")


def test_the_sdks_bias_monitor_names_the_question_only(window, job):
    """Its configuration has no methods, and its answer may have more values than the probability."""
    assert window(BIAS, table(seed=9), MERGED) == 0
    expected = job.output("analysis.json")["post_training_bias_metrics"]["facets"]["Plan"][0]["metrics"]
    config = job.base / "processing/input/config/analysis_config.json"
    config.write_text(json.dumps({key: CONFIG[key] for key in CONFIG if key not in ("version", "predictor")}))
    hour = job.base / "processing/input_data/a.jsonl"
    lines = [json.loads(line) for line in hour.read_text().splitlines()]
    for line in lines:
        said = line["captureData"]["endpointOutput"]
        said["data"] = f"{int(float(said['data']) > 0.5)},x,{said['data']}"
    hour.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for attributes in ({"inference_attribute": "0"}, {"probability_attribute": "2"}):
        assert jobs.main(["clarify"], job.env | attributes) == 0, job.message
        analysis = job.output("analysis.json")
        assert analysis.keys() >= {"pre_training_bias_metrics", "post_training_bias_metrics"}
        found = {m["name"]: m for m in analysis["post_training_bias_metrics"]["facets"]["Plan"][0]["metrics"]}
        assert {m["name"]: m["value"] for m in expected} == {
            m["name"]: found[m["name"]]["value"] for m in expected
        }
    assert jobs.main(["clarify"], job.env | {"probability_attribute": "3"}) == 1
    assert job.message == "probability_attribute='3' names none of the 3 values of an answer; count from 0."


def test_attribution_window(window, job):
    rows = table(60, seed=9)
    assert window(SHAP, rows, CAPTURE) == 0
    assert job.outputs == ["analysis.json", "report.html"]
    names = {m["MetricName"] for m in job.metrics}
    assert names == {"feature_Mins", "feature_Calls", "feature_Plan", "ExpectedValue"}


def test_attribution_drift(window, job):
    rows = table(60, seed=9)
    rows[:, 1] = 180.0  # minutes no longer differ: what mattered most does not matter at all
    assert window(SHAP, rows, CAPTURE) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["constraint_check_type"] == "feature_attribution_drift_check"
    value = float(violation["description"].split("drift ")[1].split(" exceeds")[0])
    assert 0.5 < value < 0.9


def test_bad_records_are_counted_in_the_analysis(window, job, capture):
    assert window(BIAS, table(seed=9), MERGED, lines=["{oops\n"]) == 0
    refused = job.output("analysis.json")["refused"]
    assert refused["reasons"] == {"truncated JSON": 1}
    assert refused["examples"][0]["where"] == "s3://bucket/merge/a.jsonl line 1"
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["description"].startswith(
        "1 record refused (truncated JSON: 1); first: s3://bucket/merge/a.jsonl"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2.0"}, "analysis_config version '2.0' is not supported"),
        ({"methods": {"pdp": {}}}, "method 'pdp' is not supported"),
        ({"facet": []}, "bias needs label, label_values_or_threshold and facet"),
        ({"headers": ["Churn", "Mins"]}, "headers has 2 names, the data 4 columns"),
        ({"label": "Lost"}, "The data has no column 'Lost'"),
    ],
)
def test_configurations_that_cannot_be_honoured(baseline_job, job, changes, message):
    assert baseline_job(**({"methods": BIAS} | changes)) == 1
    assert message in job.message


def test_scores_out_of_json():
    text = '{"predictions":[{"score":0.1},{"score":0.7}]}'
    found = predictor.parse_scores(text, "application/json", {"probability": "predictions[].score"})
    assert found.tolist() == [0.1, 0.7]
    lines = '{"score":0.1}\n{"score":0.7}\n'
    assert predictor.parse_scores(lines, "application/jsonlines", {"probability": "score"}).tolist() == [
        0.1,
        0.7,
    ]
    assert predictor.parse_scores("0.1,0.7", "text/csv", {}).tolist() == [0.1, 0.7]
    assert predictor.parse_scores("a,0.1\nb,0.7\n", "text/csv", {"probability": 1}).tolist() == [0.1, 0.7]
