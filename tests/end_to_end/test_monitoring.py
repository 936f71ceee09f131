"""The loop that closes: no drift, drift, an alarm, a retraining that nobody started, the end of the alarm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from config import load
from tests.end_to_end.support import DAG, Pipeline, Run, eventually
from workbench import environments
from workbench.programs import code_version
from workbench.settings import ROOT

pytestmark = pytest.mark.timeout(900)
SETTINGS = load("local")
MONITORS = ("data_quality", "model_quality", "bias", "attribution")
ROWS = 300
PATIENCE = 300.0


def client(settings: Any, module: str, **options: Any) -> None:
    """Run a program of `clients/` as a user would."""
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    subprocess.run(
        [str(environments.require("jobs")), "-m", f"clients.{module}", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={"PATH": "", **settings.aws_environment()},
    )


@dataclass
class Watched:
    """The endpoint of the shared stack with customers who ask it, each once."""

    pipeline: Pipeline
    folder: Path
    asked: int = 0

    def window(self, customers: Path) -> Run:
        """Customers ask, their labels come in (some twice, some for nobody), the window is analysed."""
        settings, ledger = self.pipeline.settings, self.folder / f"asked-{self.asked}.jsonl"
        endpoint = self.pipeline.endpoint
        start = datetime.now(UTC).replace(microsecond=0)
        client(
            settings, "traffic",
            endpoint=endpoint, customers=customers, first=self.asked, rows=ROWS, ledger=ledger,
        )  # fmt: skip
        self.asked += ROWS
        truth = SETTINGS.s3(SETTINGS.ground_truth_prefix(endpoint))
        client(settings, "labels", ledger=ledger, destination=truth, repeated=0.1, withheld=0.1, unknown=5)
        httpx.post(f"{settings.runtime_url}/-/flush", timeout=60, trust_env=False).raise_for_status()
        return self.analyse(start, datetime.now(UTC) + timedelta(seconds=1))

    def analyse(self, start: datetime, end: datetime) -> Run:
        conf = {
            "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "code_version": code_version(),
        }
        return self.pipeline.wait(self.pipeline.airflow.trigger("monitoring", conf), "monitoring")

    def alarm(self, name: str) -> str:
        found = self.pipeline.aws("cloudwatch").describe_alarms(
            AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        [one] = found["MetricAlarms"] + found["CompositeAlarms"]
        return str(one["StateValue"])

    def retrainings(self) -> list[dict[str, Any]]:
        """Runs of churn_training that an alarm asked for."""
        runs = self.pipeline.airflow.runs(DAG, limit=50)
        return [run for run in runs if str((run["conf"] or {}).get("reason")).startswith("alarm ")]

    def wait_for_cooldown(self) -> None:
        """Until a training that an earlier test began is no reason to leave out the next."""

        def cooled() -> bool:
            jobs = self.pipeline.aws("sagemaker").list_training_jobs(SortOrder="Descending", MaxResults=1)
            began = jobs["TrainingJobSummaries"][0]["CreationTime"]
            return bool(datetime.now(UTC) - began > timedelta(seconds=SETTINGS.monitoring.cooldown))

        eventually(cooled, "the end of the cool-down", SETTINGS.monitoring.cooldown + 10)


def pages(run: Run) -> dict[str, str]:
    """The addresses behind the links of a run: the monitors' reports, and the endpoint's page."""
    tasks = {monitor: f"analyse.{monitor}" for monitor in MONITORS} | {"endpoint": "summarise"}
    links = run.pipeline.airflow.links
    return {name: links("monitoring", run.run_id, task)["Report"] for name, task in tasks.items()}


def look_at(run: Run) -> None:
    """Open the pages of a run in Chromium, where there is one: Playwright has a set of its own."""
    if not any(map(shutil.which, ("chromium", "google-chrome"))):
        return
    done = subprocess.run(
        [str(environments.require("browser")), "-m", "pytest", "-q", "tests/browser/test_monitoring.py"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "UI_MONITORING": json.dumps(pages(run))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def watched(pipeline: Pipeline, first: Run, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    assert first.state == "success", first
    return Watched(pipeline, tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def world(watched: Watched) -> Callable[[str], Path]:
    """The file `callers`, its drifted twin `drifted`, or the drifted `export` of other customers."""
    folder, settings = watched.folder, watched.pipeline.settings
    for name, seed in (("callers", 9), ("others", 8)):
        client(settings, "churn_customers", rows=3000, seed=seed, output=folder / f"{name}.csv")
    for source, output in (("callers", "drifted"), ("others", "export")):
        client(
            settings, "drift",
            kind="shifted_feature", size=60, input=folder / f"{source}.csv", output=folder / f"{output}.csv",
        )  # fmt: skip
    return lambda name: folder / f"{name}.csv"


@pytest.fixture(scope="module")
def quiet(watched: Watched, world: Callable[[str], Path]) -> Run:
    return watched.window(world("callers"))


def test_the_model_is_registered_with_its_baselines(watched: Watched, first: Run) -> None:
    sagemaker = watched.pipeline.aws("sagemaker")
    package = sagemaker.describe_model_package(
        ModelPackageName=first.xcom("release.register", "model_package")
    )
    data = package["DriftCheckBaselines"]["ModelDataQuality"]
    assert data["Statistics"]["S3Uri"].endswith(f"/{first.key}/baseline/data_quality/statistics.json")
    statistics = json.loads(first.read("baseline/data_quality/statistics.json"))
    encoder = json.loads(first.read("data/encoder.json"))
    assert [one["name"] for one in statistics["features"]] == ["probability", *encoder["feature_names"]]
    quality = json.loads(first.read("baseline/model_quality/statistics.json"))
    assert quality["dataset"]["item_count"] == pytest.approx(600, abs=60)  # 20 % of 3,000 customers
    assert quality["binary_classification_metrics"]["auc"]["value"] > 0.85


def test_customers_as_before_are_no_drift(watched: Watched, quiet: Run) -> None:
    assert quiet.state == "success", str(quiet)
    found = quiet.xcom("summarise")
    assert found["drift"] == dict.fromkeys(MONITORS, 0)
    assert (found["broken_data"], found["no_data"]) == (0, [])
    assert watched.alarm(SETTINGS.drift_alarm) != "ALARM"


def test_every_label_is_matched_awaited_or_counted(quiet: Run) -> None:
    records = quiet.xcom("summarise")["records"]
    assert records["captures"] == ROWS
    assert records["matched"] + records["waiting"] == ROWS
    assert 0.8 * ROWS < records["matched"] < ROWS  # a tenth is withheld
    assert records["repeated_labels"] > 0
    assert records["labels_without_capture"] >= 5


def test_each_analysis_has_its_page_and_the_endpoint_has_one(quiet: Run) -> None:
    for name, address in pages(quiet).items():
        answer = httpx.get(address, timeout=30, trust_env=False)
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith("text/html"), name
        assert "violation" in answer.text, name


def test_a_window_without_requests_is_no_data(watched: Watched, quiet: Run) -> None:
    since = datetime.now(UTC) - timedelta(days=1)  # nothing was deployed then
    run = watched.analyse(since, since + timedelta(minutes=1))
    assert run.state == "success", str(run)
    assert run.states(*(f"analyse.{monitor}" for monitor in MONITORS)) == ["skipped"] * 4
    assert run.xcom("summarise")["no_data"] == list(MONITORS)
    assert "NO_DATA: the endpoint's model was deployed after the window" in run.log("analyse.data_quality")


def test_drift_is_found_a_model_is_trained_on_it_and_the_alarm_ends(
    watched: Watched, world: Callable[[str], Path], quiet: Run
) -> None:
    pipeline = watched.pipeline
    served = pipeline.endpoint_config()
    export = pipeline.put(world("export"))
    watched.wait_for_cooldown()
    before = {run["dag_run_id"] for run in watched.retrainings()}

    drifted = watched.window(world("drifted"))
    assert drifted.state == "success", str(drifted)
    assert drifted.xcom("summarise")["drift"]["data_quality"] > 0
    assert "Day Mins: Numerical distance" in drifted.log("summarise")

    def asked() -> list[dict[str, Any]]:
        return [run for run in watched.retrainings() if run["dag_run_id"] not in before]

    [begun] = eventually(asked, "a retraining", PATIENCE)
    assert begun["conf"]["reason"].startswith(f"alarm {SETTINGS.drift_alarm}: ")
    assert watched.alarm(SETTINGS.drift_alarm) == "ALARM"
    retrained = pipeline.wait(begun["dag_run_id"])
    assert retrained.state == "success", str(retrained)
    assert retrained.xcom("prepare.plan", "lineage")["data"] == export
    assert retrained.xcom("gate", "verdict")["approved"] is True
    assert pipeline.endpoint_config() != served

    look_at(drifted)
    again = watched.window(world("drifted"))
    assert again.state == "success", str(again)
    assert again.xcom("summarise")["drift"]["data_quality"] == 0
    eventually(lambda: watched.alarm(SETTINGS.drift_alarm) == "OK", "the end of the alarm", PATIENCE)
    assert len(asked()) == 1
