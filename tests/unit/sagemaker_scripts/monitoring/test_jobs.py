"""Three ways to run: as a package, as a copied folder, as a function; and what a failure leaves behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_scripts import monitoring
from sagemaker_scripts.monitoring import jobs, publish
from sagemaker_scripts.monitoring.publish import MESSAGE_BYTES, stamped, write_message

PACKAGE = Path(monitoring.__file__).parent
ROOT = PACKAGE.parents[1]


@pytest.fixture
def data(job):
    folder = job.input("/opt/ml/processing/input/data", "s3://bucket/data")
    (folder / "a.csv").write_text("a,b\n1,x\n2,y\n")
    job.env |= {
        "dataset_format": '{"Csv":{"Header":true}}',
        "dataset_source": "/opt/ml/processing/input/data",
    }
    return job


def run(command, env, cwd):
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **env}, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_as_a_package(data):
    done = run([sys.executable, "-m", "sagemaker_scripts.monitoring", "analyzer"], data.env, ROOT)
    assert done.returncode == 0, done.stderr
    assert data.outputs == ["constraints.json", "statistics.json"]


def test_as_a_folder_beside_other_code(data, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "code" / "monitoring", ignore=shutil.ignore_patterns("__pycache__"))
    done = run([sys.executable, str(tmp_path / "code" / "monitoring"), "analyzer"], data.env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert data.output("statistics.json")["dataset"]["item_count"] == 2


def test_failure_is_one_sentence_and_nothing_half_written(data):
    data.env["dataset_source"] = "/opt/ml/processing/input/nothing"
    done = run([sys.executable, "-m", "sagemaker_scripts.monitoring", "analyzer"], data.env, ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [data.message]
    assert data.message.startswith("Job inputs had no data")
    assert data.outputs == []


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"dataset_format": "csv"}, "dataset_format='csv' is not an object with one format in it."),
        ({"dataset_format": '{"xml":{}}'}, "dataset_format: 'xml' is not supported"),
        ({"problem_type": "Ranking"}, "problem_type='Ranking' is not one of"),
        ({"dataset_source": ""}, "The environment variable dataset_source is not set."),
        ({"baseline_constraints": "/opt/ml/none.json"}, "baseline_constraints: cannot read"),
    ],
)
def test_settings_that_make_no_sense(data, env, message):
    assert jobs.main(["analyzer"], data.env | env) == 1
    assert data.message.startswith(message)


def test_a_plain_processing_job_sends_its_metrics_itself(data, monkeypatch):
    sent = []

    class CloudWatch:
        def put_metric_data(self, **request):
            sent.append(request)

    monkeypatch.setattr("boto3.client", {"cloudwatch": CloudWatch()}.get)
    report = publish.Report({}, [{}, {}], metrics=[{"MetricName": str(i)} for i in range(1000)])
    env = {
        "cloudwatch_namespace": "churn",
        "sagemaker_endpoint_name": "e",
        "metric_time": "2026-11-20T10:00:00Z",
    }
    publish.publish(report, data.base / "out", data.base, env)
    assert [(r["Namespace"], len(r["MetricData"])) for r in sent] == [("churn", 1000), ("churn", 1)]
    assert sent[1]["MetricData"] == [
        {
            "MetricName": "violations",
            "Timestamp": "2026-11-20T10:00:00Z",
            "Dimensions": [{"Name": "Endpoint", "Value": "e"}],
            "Value": 2.0,
            "Unit": "Count",
        }
    ]


def test_what_the_image_lacks_is_installed_for_those_who_need_it(data, monkeypatch):
    def refuse(path):
        raise RuntimeError(f"cannot install {path.name}: no network")

    monkeypatch.setattr(jobs, "install_missing", refuse)
    assert jobs.main(["clarify"], data.env) == 1
    assert data.message.startswith("cannot install requirements.txt: no network. Use an image that has it")
    assert jobs.main(["analyzer"], data.env) == 0
    # Each folder is uploaded by itself, so each has the module.
    assert (PACKAGE / "installing.py").read_bytes() == (PACKAGE.parent / "churn/installing.py").read_bytes()


def test_unknown_job(capsys):
    assert jobs.main(["rebalance"], {}) == 2
    assert "analyzer|merger|clarify" in capsys.readouterr().err


def test_message_is_cut_at_a_character(tmp_path):
    write_message(tmp_path, "ü" * MESSAGE_BYTES)
    written = (tmp_path / "output" / "message").read_bytes()
    assert len(written) == MESSAGE_BYTES
    assert written.decode() == "ü" * (MESSAGE_BYTES // 2)


def test_metrics_that_are_infinite_or_undefined():
    entries = [
        {"MetricName": n, "Value": v} for n, v in (("a", float("-inf")), ("b", float("nan")), ("c", 1.5))
    ]
    assert [(line["MetricName"], line["Value"]) for line in stamped(entries, "t", {"Endpoint": "e"})] == [
        ("a", -2.348543e108),
        ("c", 1.5),
    ]
