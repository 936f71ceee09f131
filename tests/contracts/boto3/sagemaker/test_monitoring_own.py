"""Our own analyses as plain processing jobs, beside the managed schedules: one hour, the same reports."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from config import load
from mlops.churn import requests as churn
from mlops.monitoring import baselines, requests, schedules
from mlops.monitoring.baselines import MONITORS
from mlops.monitoring.requests import Analysis
from mlops.monitoring.windows import Window, parse

LOCAL = load("local")
POLICY = LOCAL.monitoring.model_copy(update={"facet_threshold": 0.5})
SETTINGS = LOCAL.model_copy(update={"monitoring": POLICY})
FEATURES = [POLICY.facet, "b", "c", "d", "e"]
PREFIX = SETTINGS.s3("runs/churn_training/k1/")
PARAMS = {"code_version": "v1", "threshold": 0.5}
FILES = {
    "data_quality": ("statistics.json", "constraints.json", "constraint_violations.json"),
    "model_quality": ("statistics.json", "constraints.json", "constraint_violations.json"),
    "bias": ("analysis.json", "constraint_violations.json"),
    "attribution": ("analysis.json", "constraint_violations.json"),
}
UNDER_WAY = ("Pending", "InProgress")


@pytest.fixture(scope="module")
def place(s3, pytestconfig):
    """The environment's bucket with the scripts in it: put(key, text) and read(URI)."""
    s3.create_bucket(Bucket=SETTINGS.bucket)
    scripts = pytestconfig.rootpath / "sagemaker_scripts"
    for path in (scripts / "monitoring").iterdir():
        if path.is_file():
            s3.upload_file(str(path), SETTINGS.bucket, f"code/v1/sagemaker_scripts/monitoring/{path.name}")

    def put(key: str, body: str) -> None:
        s3.put_object(Bucket=SETTINGS.bucket, Key=key, Body=body.encode())

    def read(uri: str) -> Any:
        key = uri.removeprefix(f"s3://{SETTINGS.bucket}/")
        listed = s3.list_objects_v2(Bucket=SETTINGS.bucket, Prefix=key).get("Contents")
        return json.load(s3.get_object(Bucket=SETTINGS.bucket, Key=key)["Body"]) if listed else None

    return SimpleNamespace(put=put, read=read)


@pytest.fixture(scope="module")
def work(sm, cases):
    """Runs a request as a job; answers with its description."""

    def run(step: str, request: dict[str, Any], **inputs: str) -> dict[str, Any]:
        name = f"own-{step.replace('_', '-')}"
        more = [churn.processing_input(one, uri) for one, uri in inputs.items()]
        request = {**request, "ProcessingInputs": [*request["ProcessingInputs"], *more]}
        sm.create_processing_job(ProcessingJobName=name, **request)
        job = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
        assert job["ProcessingJobStatus"] == "Completed", job
        return job

    return run


@pytest.fixture(scope="module")
def known(trained, customers, place, cases, work):
    """Baselines of the session's model, made as churn_training makes them."""
    for split, rows in (("train", customers[:400]), ("validation", customers[400:])):
        place.put(f"runs/churn_training/k1/data/{split}/part.csv", cases.csv(rows).decode())
    place.put("runs/churn_training/k1/data/encoder.json", json.dumps({"feature_names": FEATURES}))
    work("baseline", churn.baseline(SETTINGS, PARAMS, PREFIX, "k1"), model=trained.uri)
    checks = baselines.drift_check_baselines(f"{PREFIX}baseline/")
    return baselines.of_package({"DriftCheckBaselines": checks, "ModelPackageArn": "arn"})


@pytest.fixture(scope="module")
def asked(sm, runtime, local_aws, trained, customers, place, cases):
    """The endpoint, asked about customers whose second feature has moved, and the labels of most of them."""
    name = SETTINGS.churn_endpoint
    group = f"{name}-own"
    sm.create_model_package_group(ModelPackageGroupName=group)
    package = sm.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": cases.image, "ModelDataUrl": trained.uri}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    sm.create_model(**churn.model(SETTINGS, name, package))  # out of the registry, as a release makes it
    sm.create_endpoint_config(**churn.endpoint_config(SETTINGS, name))
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    labels = []
    for number, (label, first, second, *rest) in enumerate(customers[400:]):
        body = ",".join(map(str, (first, round(second + 0.4, 6), *rest)))
        runtime.invoke_endpoint(
            EndpointName=name, ContentType="text/csv", Body=body, InferenceId=f"own-{number}"
        )
        truth = {"data": str(label), "encoding": "CSV"}
        labels.append({"groundTruthData": truth, "eventMetadata": {"eventId": f"own-{number}"}})
    key = f"{SETTINGS.ground_truth_prefix(name)}{datetime.now(UTC):%Y/%m/%d/%H}/0001.jsonl"
    place.put(key, "".join(json.dumps(one) + "\n" for one in labels[:90]))
    cases.post(f"{local_aws.runtime_url}/-/flush")
    return name


@pytest.fixture(scope="module")
def managed(sm, asked, known, place):
    """The four schedules, each run once for the last hour: the ended execution's job by monitor."""
    for monitor, baseline in known.items():
        config = None
        if monitor == "attribution":
            config = f"{PREFIX}baseline/attribution/managed/analysis_config.json"
            told = schedules.explainer_config(place.read(str(baseline.config)), SETTINGS, asked)
            place.put(config.removeprefix(f"s3://{SETTINGS.bucket}/"), json.dumps(told))
        wanted = schedules.definition(
            SETTINGS, monitor, f"own-{monitor.replace('_', '-')}", baseline, threshold=0.5, config_uri=config
        )
        now = schedules.schedule(SETTINGS, monitor, wanted["JobDefinitionName"])
        now["MonitoringScheduleConfig"]["ScheduleConfig"] = {
            "ScheduleExpression": "NOW",
            "DataAnalysisStartTime": "-PT1H",
            "DataAnalysisEndTime": "-PT0H",
        }
        assert schedules.ensure(sm, monitor, wanted, now).endswith(": created")
    found = {}
    deadline = time.monotonic() + 240
    for monitor in MONITORS:
        name = requests.schedule_name(asked, monitor)
        while True:
            listed = sm.list_monitoring_executions(MonitoringScheduleName=name)
            ended = [
                one
                for one in listed["MonitoringExecutionSummaries"]
                if one["MonitoringExecutionStatus"] not in UNDER_WAY
            ]
            if ended:
                break
            assert time.monotonic() < deadline, listed
            time.sleep(0.2)
        assert ended[0]["MonitoringExecutionStatus"].startswith("Completed"), ended[0]
        job = ended[0]["ProcessingJobArn"].rsplit("/", 1)[-1]
        found[monitor] = sm.describe_processing_job(ProcessingJobName=job)
    return found


@pytest.fixture(scope="module")
def own(managed, known, asked, trained, work):
    """The same windows as plain processing jobs, by monitor."""
    endpoint = SETTINGS.capture_prefix(asked)
    made: dict[str, dict[str, Any]] = {}

    def analysis(monitor: str) -> tuple[Analysis, list[tuple[str, str]], list[tuple[str, str]]]:
        environment = managed[monitor]["Environment"]
        window = Window(parse(environment["start_time"]), parse(environment["end_time"]))
        what = Analysis(SETTINGS, "v1", SETTINGS.s3(f"runs/monitoring/{monitor}/"), window, "k1")
        labels = SETTINGS.ground_truth_prefix(asked)
        hours = [item["S3Input"]["S3Uri"] for item in managed[monitor]["ProcessingInputs"]]
        taken = [uri.rstrip("/").split("AllTraffic/")[-1] for uri in hours if "AllTraffic/" in uri]
        # What is there: the hour of the requests, or two of them when the clock struck meanwhile.
        taken = taken or [f"{window.end - timedelta(seconds=1):%Y/%m/%d/%H}"]
        captures = [(SETTINGS.s3(f"{endpoint}AllTraffic/{hour}/"), f"AllTraffic/{hour}") for hour in taken]
        return what, captures, [(SETTINGS.s3(labels), "")]

    what, captures, _ = analysis("data_quality")
    made["data_quality"] = work("data_quality", requests.data_quality(what, known["data_quality"], captures))
    what, captures, _ = analysis("attribution")
    made["attribution"] = work(
        "attribution",
        requests.attribution(what, known["attribution"], captures, model_uri=trained.uri),
    )
    what, _, labels = analysis("model_quality")
    merge = work("merge", requests.merge(what, captures, labels))
    assert merge["ExitMessage"].startswith("Completed: 90 records matched, 10 wait for a label")
    made["model_quality"] = work(
        "model_quality",
        requests.model_quality(what, known["model_quality"], threshold="0.5", history=None),
    )
    made["bias"] = work("bias", requests.bias(what, known["bias"], threshold="0.5"))
    return made


@pytest.mark.parametrize("monitor", MONITORS)
def test_the_same_hour_gives_the_same_report(managed, own, place, monitor):
    def report(job: dict[str, Any], name: str) -> Any:
        folder = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
        content = place.read(f"{folder}/{name}")
        if content and "dataset" in content:
            content["dataset"].pop("evaluation_time", None)
        if content:
            content.pop("model_version", None)  # ours, which the managed containers are not told
        return content

    assert own[monitor]["ExitMessage"] == managed[monitor]["ExitMessage"]
    for name in FILES[monitor]:
        assert report(own[monitor], name) == report(managed[monitor], name), name
    assert report(own[monitor], FILES[monitor][0])


def test_the_feature_that_moved_is_named_by_both(managed, own, place):
    for job in (managed["data_quality"], own["data_quality"]):
        folder = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
        violations = place.read(f"{folder}/constraint_violations.json")["violations"]
        assert ("b", "baseline_drift_check") in {
            (one["feature_name"], one["constraint_check_type"]) for one in violations
        }
