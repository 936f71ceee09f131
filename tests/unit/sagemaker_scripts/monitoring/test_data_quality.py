"""Data quality: the published baseline, the six checks, and bad records by name."""

import csv
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sagemaker_scripts.monitoring import jobs
from sagemaker_scripts.monitoring.data_quality import statistics_of, suggest_constraints
from sagemaker_scripts.monitoring.profile import profile
from sagemaker_scripts.monitoring.sources import AnalysisError
from sagemaker_scripts.monitoring.tables import Dataset

CAPTURE = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
CSV_HEADER = '{"csv":{"header":true,"output_columns_position":"START"}}'
HOUR = "s3://bucket/capture/churn/AllTraffic/2026/11/20/10"


def run_baseline(tmp_path, rows, header):
    file = tmp_path / "baseline.csv"
    file.write_text("\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)]) + "\n")
    found = profile(Dataset(file, "csv", header=True))
    statistics = statistics_of(found)
    return statistics, suggest_constraints(statistics)


@pytest.fixture
def baseline(tmp_path):
    """500 customers: score, minutes, calls, plan."""
    random = np.random.default_rng(3)
    rows = [
        (
            round(random.random(), 4),
            round(random.normal(180, 50), 1),
            random.poisson(4),
            random.choice(["no", "yes"]),
        )
        for _ in range(500)
    ]
    return run_baseline(tmp_path, rows, ["score", "Day Mins", "Calls", "Plan"])


@pytest.fixture
def window(job, baseline):
    """``window(lines, **env) -> exit code`` of a scheduled data-quality execution over capture lines."""

    def run(lines, statistics=baseline[0], constraints=baseline[1], **env):
        hour = job.input("/opt/ml/processing/input_data/churn/AllTraffic/2026/11/20/10", HOUR)
        (hour / "20-48-871-a.jsonl").write_text("".join(lines))
        for name, content in (("stats", statistics), ("constraints", constraints)):
            folder = job.input(f"/opt/ml/processing/baseline/{name}", f"s3://bucket/baseline/{name}")
            (folder / f"{name}.json").write_text(json.dumps(content))
        job.env |= {
            "dataset_format": CAPTURE,
            "dataset_source": "/opt/ml/processing/input_data",
            "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
            "baseline_statistics": "/opt/ml/processing/baseline/stats/stats.json",
            "start_time": "2026-11-20T10:00:00Z",
            "end_time": "2026-11-20T11:00:00Z",
            "sagemaker_endpoint_name": "churn",
            "sagemaker_monitoring_schedule_name": "churn-data",
            "publish_cloudwatch_metrics": "Enabled",
        } | env
        return jobs.main(["analyzer"], job.env)

    return run


@pytest.fixture
def traffic(capture):
    """``traffic(n) -> lines`` from the baseline's own population."""

    def build(count, shift=0.0, seed=5):
        random = np.random.default_rng(seed)
        return [
            capture(
                f"{random.normal(180 + shift, 50):.1f},{random.poisson(4)},{random.choice(['no', 'yes'])}\n",
                f"{random.random():.4f}",
                event=str(i),
            )
            for i in range(count)
        ]

    return build


def test_published_baseline(shared_data):
    found = profile(Dataset(shared_data / "mm_training-dataset-with-header.csv", "csv", header=True))
    statistics = statistics_of(found)
    features = {entry["name"]: entry for entry in statistics["features"]}
    assert statistics["dataset"]["item_count"] == 2333
    assert len(features) == 70
    churn = features["Churn"]["numerical_statistics"]
    assert churn["mean"] == pytest.approx(0.139306, abs=5e-7)
    assert churn["std_dev"] == pytest.approx(0.346265, abs=5e-7)  # population: the sample one is 0.346339
    account = features["Account Length"]["numerical_statistics"]
    assert account["mean"] == pytest.approx(101.276897, abs=5e-7)
    assert account["std_dev"] == pytest.approx(39.552442, abs=5e-7)
    assert features["Account Length"]["inferred_type"] == "Integral"
    buckets = account["distribution"]["kll"]["buckets"]
    assert len(buckets) == 10
    assert (buckets[0]["lower_bound"], buckets[0]["upper_bound"]) == (1.0, 25.2)
    assert buckets[-1]["upper_bound"] == 243.0
    assert sum(bucket["count"] for bucket in buckets) == 2333
    with (shared_data / "mm_training-dataset-with-header.csv").open() as stream:
        lengths = [float(row["Account Length"]) for row in csv.DictReader(stream)]
    assert buckets[0]["count"] == sum(length < 25.2 for length in lengths)
    assert features["Day Mins"]["numerical_statistics"]["mean"] == pytest.approx(180.226489, abs=5e-7)
    assert features["Day Mins"]["inferred_type"] == "Fractional"
    constraints = suggest_constraints(statistics)
    assert constraints["features"][0] == {
        "name": "Churn",
        "inferred_type": "Integral",
        "completeness": 1.0,
        "num_constraints": {"is_non_negative": True},
    }
    assert constraints["monitoring_config"]["distribution_constraints"]["comparison_method"] == "Robust"


def test_baseline_job_writes_the_two_files_and_the_message(job):
    folder = job.input("/opt/ml/processing/input/baseline_dataset_input", "s3://bucket/baseline")
    (folder / "train.csv").write_text("a,b\n1,x\n2,y\n-3,\n")
    job.env |= {
        "dataset_format": CSV_HEADER,
        "dataset_source": "/opt/ml/processing/input/baseline_dataset_input",
        "publish_cloudwatch_metrics": "Disabled",
    }
    assert jobs.main(["analyzer"], job.env) == 0
    assert job.outputs == ["constraints.json", "statistics.json"]
    assert job.message == "Completed: Job completed successfully with no violations."
    statistics, constraints = job.output("statistics.json"), job.output("constraints.json")
    assert [entry["inferred_type"] for entry in statistics["features"]] == ["Integral", "String"]
    text = statistics["features"][1]["string_statistics"]
    assert text["common"] == {"num_present": 2, "num_missing": 1}
    assert text["distinct_count"] == 2
    assert constraints["features"][0]["num_constraints"] == {"is_non_negative": False}
    assert constraints["features"][1]["completeness"] == pytest.approx(2 / 3)
    assert constraints["features"][1]["string_constraints"] == {"domains": ["x", "y"]}
    assert job.metrics == []


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2", "+3", "- 4"], "Integral"),
        (["1", "2.5"], "Fractional"),
        (["1e-5", "2"], "Fractional"),
        ([".5", "5."], "Fractional"),
        (["1", "x"], "String"),
        (["true", "false"], "String"),
        (["2020-01-01", "2020-01-02"], "String"),
        (["nan", "1.5"], "String"),
        (["", ""], "Unknown"),
    ],
)
def test_types_are_inferred_as_deequ_does(tmp_path, cells, kind):
    statistics, _ = run_baseline(tmp_path, [(1, cell) for cell in cells], ["k", "c"])
    assert statistics["features"][1]["inferred_type"] == kind


def test_undrifted_window_has_no_violation(window, traffic, job):
    assert window(traffic(400)) == 0
    assert job.message == "Completed: Job completed successfully with no violations."
    assert job.outputs == [
        "constraint_violations.json",
        "constraints.json",
        "report.html",
        "statistics.json",
    ]
    assert job.output("constraint_violations.json") == {"violations": []}
    names = {metric["MetricName"] for metric in job.metrics}
    assert {"feature_data_Day Mins", "feature_non_null_Plan", "feature_baseline_drift_Calls"} <= names
    metric = next(m for m in job.metrics if m["MetricName"] == "feature_non_null_Plan")
    assert metric == {
        "MetricName": "feature_non_null_Plan",
        "Timestamp": "2026-11-20T10:00:00Z",
        "Dimensions": [
            {"Name": "Endpoint", "Value": "churn"},
            {"Name": "MonitoringSchedule", "Value": "churn-data"},
        ],
        "Value": 1.0,
    }


def test_drift_is_found_with_a_distance_readers_can_parse(window, traffic, job):
    assert window(traffic(400, shift=60)) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["feature_name"] == "Day Mins"
    assert violation["constraint_check_type"] == "baseline_drift_check"
    before, after = violation["description"].split("distance: ")[1].split(" exceeds numerical threshold: ")
    assert 0.2 < float(before) < 0.5
    assert float(after) == 0.1
    assert job.message == "CompletedWithViolations: Job completed successfully with 1 violations."


def test_one_mangled_row_is_one_violation_that_names_row_and_cells(window, traffic, capture, job):
    lines = traffic(99)
    lines.insert(41, "")
    lines[41] = capture("n/a,.1,no", "oops")
    assert window(lines) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["constraint_check_type"] == "data_type_check"
    assert violation["description"].startswith(
        "Data type match requirement is not met. Expected data type: Fractional, Expected match: 100.0%. "
        "Observed: Only 99.0% of data is Fractional. "
    )
    assert (
        f"{HOUR}/20-48-871-a.jsonl line 42: column 1 (score) = 'oops', column 2 (Day Mins) = 'n/a', "
        "column 3 (Calls) = '.1'" in violation["description"]
    )


def test_the_managed_way_counts_every_column_of_a_mangled_row(window, traffic, capture, job):
    lines = [*traffic(99), capture("n/a,.1,no", "oops")]
    assert window(lines, mangled_rows="count") == 0
    found = {v["feature_name"] for v in job.output("constraint_violations.json")["violations"]}
    assert found == {"score", "Day Mins", "Calls"}


def test_published_sixty_violations_come_from_one_corrupt_row(shared_data, job, capture):
    """The original's capture.

    59 integer cells mangled in one row (7 of 1977), a probability where the label was.
    """
    statistics = statistics_of(
        profile(Dataset(shared_data / "mm_training-dataset-with-header.csv", "csv", header=True))
    )
    kinds = {entry["name"]: entry["inferred_type"] for entry in statistics["features"]}
    with (shared_data / "mm_test-dataset.csv").open() as stream:
        rows = [row[1:] for row in csv.reader(stream)]
    integers = [i for i, kind in enumerate(list(kinds.values())[1:]) if kind == "Integral"][-59:]
    corrupt = [f".{i}" if i in integers else cell for i, cell in enumerate(rows[0])]
    sent = [(corrupt if i % 300 == 1 else rows[i % len(rows)]) for i in range(1977)]
    assert sum(row is corrupt for row in sent) == 7
    constraints = suggest_constraints(statistics)
    constraints["monitoring_config"]["distribution_constraints"]["perform_comparison"] = "Disabled"
    found = {}
    for mode in ("count", "name"):
        folder = job.input("/opt/ml/processing/input_data", "s3://bucket/capture")
        (folder / "a.jsonl").write_text("".join(capture(",".join(row), "0.01") for row in sent))
        baseline = job.input("/opt/ml/processing/baseline/constraints", "s3://bucket/constraints")
        (baseline / "constraints.json").write_text(json.dumps(constraints))
        env = job.env | {
            "dataset_format": CAPTURE,
            "dataset_source": "/opt/ml/processing/input_data",
            "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
            "mangled_rows": mode,
        }
        assert jobs.main(["analyzer"], env) == 0
        found[mode] = {
            v["feature_name"]: v["description"]
            for v in job.output("constraint_violations.json")["violations"]
        }
    assert len(found["count"]) == 60
    assert "Only 0.0% of data is Integral." in found["count"]["Churn"]
    state = found["count"]["State_WY"]
    assert float(state.split("Only ")[1].split("%")[0]) == pytest.approx(99.64592817400101)
    # Ours: the label that is a probability, and the one corrupt row, by line.
    assert set(found["name"]) - {"Churn"} <= {name for name in kinds if name != "Churn"}
    assert len(found["name"]) == 2
    assert any("s3://bucket/capture/a.jsonl line 2: " in text for text in found["name"].values())


def test_single_broken_cell_is_named(window, traffic, capture, job):
    assert window([*traffic(50), capture("181.5,none,no", "0.5")]) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["feature_name"] == "Calls"
    assert violation["description"].endswith(
        f"First: {HOUR}/20-48-871-a.jsonl line 51: column 3 (Calls) = 'none'."
    )


def test_unknown_category_and_missing_cells(window, traffic, capture, job):
    lines = [*traffic(98), capture("181.5,4,maybe", "0.5"), capture(",4,no", "0.5")]
    assert window(lines) == 0
    found = {v["constraint_check_type"]: v for v in job.output("constraint_violations.json")["violations"]}
    assert set(found) == {"categorical_values_check", "completeness_check"}
    value = found["categorical_values_check"]["description"].split("Value: ")[1].split(" does not meet")[0]
    assert float(value) == pytest.approx(0.99)
    assert "'maybe'" in found["categorical_values_check"]["description"]
    assert found["completeness_check"]["feature_name"] == "Day Mins"
    assert found["completeness_check"]["description"].startswith(
        "Value: 0.99 does not meet the constraint requirement!"
    )


@pytest.mark.parametrize(
    ("given", "check", "counts"),
    [
        (
            "181.5,4",
            "missing_column_check",
            "current dataset: 3, Number of columns in baseline constraints: 4",
        ),
        (
            "181.5,4,no,7",
            "extra_column_check",
            "current dataset: 5, Number of columns in baseline constraints: 4",
        ),
    ],
)
def test_another_number_of_columns(window, capture, job, given, check, counts):
    assert window([capture(given, "0.5")] * 30) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["constraint_check_type"] == check
    assert counts in violation["description"]


def test_one_record_with_another_number_of_columns_is_refused_by_name(window, traffic, capture, job):
    assert window([*traffic(30), capture("181.5,4", "0.5")]) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["constraint_check_type"] == "record_check"
    assert f"first: {HOUR}/20-48-871-a.jsonl line 31, another number of columns" in violation["description"]
    refused = job.output("statistics.json")["dataset"]["refused"]
    assert refused["reasons"] == {"another number of columns": 1}
    assert job.output("statistics.json")["dataset"]["item_count"] == 30


def test_truncated_line_is_refused_and_the_rest_analysed(window, traffic, job):
    lines = traffic(30)
    lines[6] = lines[6][:60] + "\n"
    assert window(lines) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert "1 record refused (truncated JSON: 1)" in violation["description"]
    assert f"{HOUR}/20-48-871-a.jsonl line 7" in violation["description"]
    assert job.output("statistics.json")["dataset"]["item_count"] == 29


def test_base64_record_is_refused(window, traffic, capture, job):
    assert window([*traffic(30), capture("MTgx", "MC41", encoding="BASE64")]) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert "BASE64 record" in violation["description"]


def test_only_base64_records_fail(window, capture, job):
    assert window([capture("MTgx", "MC41", encoding="BASE64")]) == 1
    assert job.message.startswith("No readable record: 1 record refused (BASE64 record")


def test_encodings_that_differ_fail_with_the_managed_text(window, capture, job, capsys):
    assert window([capture("181.5,4,no", '{"score":0.5}', output_encoding="JSON")]) == 1
    expected = (
        "Error: Encoding mismatch: Encoding is CSV for endpointInput, but Encoding is JSON for "
        "endpointOutput. "
        "We currently only support the same type of input and output encoding at the moment."
    )
    assert job.message.startswith(expected)
    assert f"{HOUR}/20-48-871-a.jsonl line 1" in job.message
    assert capsys.readouterr().err.splitlines()[-1] == job.message


def test_no_captures_fail(window, job):
    assert window([]) == 1
    assert job.message.startswith("Job inputs had no data")


def test_several_records_in_one_request(window, capture, job):
    assert window([capture("181.5,4,no\n170.1,3,yes\n", "0.5\n0.25")] * 20) == 0
    assert job.output("statistics.json")["dataset"]["item_count"] == 40
    assert job.output("statistics.json")["features"][0]["numerical_statistics"]["mean"] == pytest.approx(
        0.375
    )


def test_input_and_output_of_different_length_are_refused(window, traffic, capture, job):
    assert window([*traffic(30), capture("181.5,4,no\n170.1,3,yes", "0.5")]) == 0
    assert "input and output differ in number of records" in json.dumps(
        job.output("constraint_violations.json")
    )


def test_json_capture_is_flattened(window, capture, job, tmp_path):
    statistics, constraints = run_baseline(
        tmp_path, [(0.5, 3, "no"), (0.7, 4, "yes")], ["score", "x_calls", "x_plan"]
    )
    lines = [
        capture('{"x":{"calls":3,"plan":"no"}}', '{"score":0.6}', encoding="JSON"),
        capture('{"x":{"calls":"many","plan":"no"}}', '{"score":0.6}', encoding="JSON"),
    ]
    assert window(lines * 10, statistics, constraints) == 0
    types = {e["name"]: e["inferred_type"] for e in job.output("statistics.json")["features"]}
    assert types == {"score": "Fractional", "x_calls": "String", "x_plan": "String"}
    found = [v["feature_name"] for v in job.output("constraint_violations.json")["violations"]]
    assert "x_calls" in found


def test_clock_that_jumps(window, traffic, capture, job):
    assert window([*traffic(30), capture("181.5,4,no", "0.5", time="2026-12-24T10:00:00Z")]) == 0
    assert "inference time outside the window: 1" in json.dumps(job.output("constraint_violations.json"))
    assert window(traffic(30), start_time="2026-11-20T12:00:00Z") == 1
    assert "before it starts" in job.message


def test_a_window_within_an_hour_leaves_its_neighbours_records_to_them(window, traffic, capture, job):
    def at(time):
        return capture("181.5,4,no", "0.5", time=time)

    lines = [at("2026-11-20T10:29:59Z"), *traffic(30), at("2026-11-20T10:30:00Z"), at("2026-11-20T10:45:00Z")]
    assert window(lines, start_time="2026-11-20T10:30:00Z", end_time="2026-11-20T10:45:00Z") == 0
    assert job.output("statistics.json")["dataset"] == {"item_count": 1}
    assert window(lines, start_time="2026-11-20T10:50:00Z", end_time="2026-11-20T10:55:00Z") == 1
    assert job.message == "Job inputs had no data: no readable record."


def test_baseline_of_another_model_version_fails(window, traffic, baseline, job):
    stale = baseline[1] | {"model_version": "3"}
    assert window(traffic(30), constraints=stale, model_version="4") == 1
    assert job.message.startswith("The baseline is of model version 3, the endpoint serves version 4")


def test_preprocessor_and_postprocessor_scripts(window, capture, job, tmp_path):
    """The documented hooks: decode a BASE64 record, drop one, and a word after the analysis."""
    before, after, done = tmp_path / "before.py", tmp_path / "after.py", tmp_path / "done"
    before.write_text(
        "import base64\n"
        "def preprocess_handler(inference_record, logger):\n"
        "    if inference_record.event_metadata.event_id == 'skip':\n"
        "        return []\n"
        "    cells = base64.b64decode(inference_record.endpoint_input.data).decode().split(',')\n"
        "    score = base64.b64decode(inference_record.endpoint_output.data).decode()\n"
        "    return {str(i).zfill(20): cell for i, cell in enumerate([score, *cells])}\n"
    )
    after.write_text(f"def postprocess_handler():\n    open({str(done)!r}, 'w').write('after')\n")
    lines = [capture("MTgxLjUsNCxubw==", "MC41", event=e, encoding="BASE64") for e in ("a", "b", "skip")]
    scripts = {"record_preprocessor_script": str(before), "post_analytics_processor_script": str(after)}
    assert window(lines, **scripts) == 0
    statistics = job.output("statistics.json")
    assert statistics["dataset"] == {"item_count": 2}
    assert statistics["features"][0]["name"] == "score"
    assert statistics["features"][0]["numerical_statistics"]["mean"] == 0.5
    assert done.read_text() == "after"


def test_preprocessor_that_fails_names_the_record(window, capture, job, tmp_path):
    script = tmp_path / "before.py"
    script.write_text("def preprocess_handler(record):\n    return record.nothing\n")
    assert window([capture("181.5,4,no", "0.5")], record_preprocessor_script=str(script)) == 1
    assert job.message.startswith(
        f"preprocess_handler failed on {HOUR}/20-48-871-a.jsonl line 1: AttributeError"
    )


def test_disabled_evaluation_writes_no_violations(window, traffic, baseline, job):
    off = json.loads(json.dumps(baseline[1]))
    off["monitoring_config"]["evaluate_constraints"] = "Disabled"
    assert window(traffic(400, shift=100), constraints=off) == 0
    assert job.output("constraint_violations.json") == {"violations": []}


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_override_per_feature_in_both_spellings(window, traffic, baseline, job, place):
    edited = json.loads(json.dumps(baseline[1]))
    feature = next(f for f in edited["features"] if f["name"] == "Day Mins")
    override = {"evaluate_constraints": "Disabled"}
    if place == "beside":
        feature["monitoringConfigOverrides"] = override
    else:
        feature["string_constraints"] = {"monitoring_config_overrides": override}
    assert window(traffic(400, shift=100), constraints=edited) == 0
    assert job.output("constraint_violations.json") == {"violations": []}


def test_window_calibrated_check_sees_what_the_robust_distance_does_not(window, traffic, baseline, job):
    shifted = traffic(200, shift=20)
    assert window(shifted) == 0
    assert job.output("constraint_violations.json") == {"violations": []}
    edited = json.loads(json.dumps(baseline[1]))
    edited["monitoring_config"]["window_alarm_rate"] = 0.01
    assert window(shifted, constraints=edited) == 0
    (violation,) = job.output("constraint_violations.json")["violations"]
    assert violation["feature_name"] == "Day Mins"
    assert math.isfinite(float(violation["description"].split("distance: ")[1].split(" exceeds")[0]))


def test_windows_line_ends_inside_a_request(window, capture, job):
    assert window([capture("181.5,4,no\r\n170.1,3,yes\r\n", "0.5\r\n0.25\r\n")] * 20) == 0
    plan = job.output("statistics.json")["features"][3]["string_statistics"]
    assert {bucket["value"] for bucket in plan["distribution"]["categorical"]["buckets"]} == {"no", "yes"}


def test_bytes_that_are_not_text_are_named(window, traffic, capture, job, tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"a,b\n1,x\n2,\xe9\n")
    with pytest.raises(AnalysisError, match=r"latin\.csv line 3: byte 0xe9 is not UTF-8 text"):
        profile(Dataset(tmp_path / "latin.csv", "csv", header=True))


def test_parquet_and_json_lines_read_the_same(tmp_path):
    table = pa.table({"n": [1, 2, None], "x": [0.5, None, 1.5], "s": ["a", "b", "a"]})
    (tmp_path / "p").mkdir()
    (tmp_path / "j").mkdir()
    pq.write_table(table, tmp_path / "p" / "part.parquet")
    (tmp_path / "j" / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    parquet = statistics_of(profile(Dataset(tmp_path / "p", "parquet")))
    lines = statistics_of(profile(Dataset(tmp_path / "j", "json")))
    assert parquet == lines
    assert [entry["inferred_type"] for entry in parquet["features"]] == ["Integral", "Fractional", "String"]
    assert parquet["features"][0]["numerical_statistics"]["common"] == {"num_present": 2, "num_missing": 1}


def test_large_window_in_many_blocks_equals_one_block(tmp_path):
    random = np.random.default_rng(8)
    rows = [f"{random.normal(180, 50):.2f},{random.poisson(4)}" for _ in range(20_000)]
    (tmp_path / "a.csv").write_text("x,n\n" + "\n".join(rows) + "\n")
    small, whole = (
        statistics_of(profile(Dataset(tmp_path, "csv", header=True, block_bytes=size)))["features"]
        for size in (10_000, 1 << 24)
    )
    exact = [features[1]["numerical_statistics"]["distribution"] for features in (small, whole)]
    assert exact[0] == exact[1]
    one, other = (features[0]["numerical_statistics"] for features in (small, whole))
    assert one["mean"] == pytest.approx(other["mean"])
    assert one["std_dev"] == pytest.approx(other["std_dev"])
    counts = [[b["count"] for b in body["distribution"]["kll"]["buckets"]] for body in (one, other)]
    np.testing.assert_allclose(counts[0], counts[1], atol=0.005 * 20_000)


def test_profile_fails_without_data(tmp_path):
    with pytest.raises(AnalysisError, match="Job inputs had no data"):
        profile(Dataset(tmp_path / "nothing", "csv"))
