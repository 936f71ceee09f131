"""Every request of the pipeline, against botocore's own model of the service: typos are found here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from config import Settings, load
from mlops.champion import Champion
from mlops.churn import release, requests
from mlops.churn.form import params as form
from mlops.churn.plan import make_plan
from mlops.jobs import processing_input, signed
from mlops.monitoring.baselines import MONITORS, of_package
from mlops.naming import job_name, run_key
from mlops.operators import ProcessingOperator

ENVIRONMENTS = ("local", "dev", "prod")
RUN_ID = "manual__2026-11-21T09:15:00+00:00"
CHAMPION = Champion("arn:package/1", "s3://b/old/model.tar.gz", "s3://b/old/encoder.json", {})


@cache
def service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def check(name: str, operation: str, request: dict[str, Any]) -> None:
    """Types and names as botocore checks them, and the upper limits and patterns that only AWS does."""
    shape = service(name).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert list(excesses(request, shape, operation)) == []


def excesses(value: Any, shape: Any, where: str) -> Iterator[str]:
    limit = shape.metadata.get("max")
    if limit is not None:
        size = value if shape.type_name in {"integer", "long", "float", "double"} else len(value)
        if size > limit:
            yield f"{where}: {size} > {limit}"
    pattern = shape.metadata.get("pattern")
    pattern = re.sub(r"\$\{[\d,]+\}$", "", pattern or "")  # as botocore's text has it, with a stray length
    if "\\p" in pattern:  # Unicode classes, which Python's re does not know
        pattern = re.sub(r"(\\p\{\w\})+", r"\\w\\s", pattern)
    if pattern and "\\u" not in pattern and not re.fullmatch(pattern, value):
        yield f"{where}: {value!r} does not match {pattern}"
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from excesses(item, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for number, item in enumerate(value):
            yield from excesses(item, shape.member, f"{where}[{number}]")
    elif shape.type_name == "map":
        for name, item in value.items():
            yield from excesses(name, shape.key, f"{where} key {name}")
            yield from excesses(item, shape.value, f"{where}.{name}")


@pytest.fixture(params=ENVIRONMENTS)
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(request.param)


@pytest.fixture
def params(settings: Settings) -> dict[str, Any]:
    return {name: param.value for name, param in form(settings).items()} | {"early_stopping_rounds": 10}


def named(request: dict[str, Any], field: str, step: str) -> dict[str, Any]:
    return {**signed(request), field: job_name("churn-training", run_key(RUN_ID), step, 1)}


def test_validation(settings: Settings, params: Any) -> None:
    request = requests.validation(settings, params, "s3://b/p/", "s3://b/p/input/a.csv")
    check("sagemaker", "CreateProcessingJob", named(request, "ProcessingJobName", "validate"))


def test_training(settings: Settings, params: Any) -> None:
    request = requests.training(settings, params, "s3://b/p/")
    check("sagemaker", "CreateTrainingJob", named(request, "TrainingJobName", "train"))
    assert len(request["HyperParameters"]) <= 100
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]  # SageMaker refuses them here


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_evaluation(settings: Settings, params: Any, champion: Champion | None) -> None:
    operator = ProcessingOperator(
        task_id="evaluate",
        step="evaluate",
        config=requests.evaluation(settings, params, "s3://b/p/", champion),
        inputs={"challenger": "s3://b/p/model/j/output/model.tar.gz"},
        arguments={"--profile": {f"q{n}": "0" * 36 for n in range(7)}, "--lineage": {"reason": "x" * 200}},
        poll_interval=1,
        deferrable=True,
    )
    request = operator.request()
    check("sagemaker", "CreateProcessingJob", named(request, "ProcessingJobName", "evaluate"))
    assert len(request["ProcessingInputs"]) <= 10
    names = [item["InputName"] for item in request["ProcessingInputs"]]
    assert len(set(names)) == len(names)


def test_baseline(settings: Settings, params: Any) -> None:
    operator = ProcessingOperator(
        task_id="baseline",
        step="baseline",
        config=requests.baseline(settings, params, "s3://b/p/", run_key(RUN_ID)),
        inputs={"model": "s3://b/p/model/j/output/model.tar.gz"},
    )
    request = operator.request()
    check("sagemaker", "CreateProcessingJob", named(request, "ProcessingJobName", "baseline"))
    places = {i["InputName"]: i["S3Input"]["LocalPath"] for i in request["ProcessingInputs"]}
    assert places["code"] == "/opt/ml/processing/input/code/monitoring"
    assert request["AppSpecification"]["ContainerEntrypoint"][1] == places["code"]
    assert request["Environment"]["model_version"] == run_key(RUN_ID)
    metadata = {"reason": "r"}
    package = requests.model_package(
        settings, "s3://b/m", "s3://b/p/evaluation/", "s3://b/p/baseline/", "d", metadata
    )
    check("sagemaker", "CreateModelPackage", package)
    found = of_package({**package, "ModelPackageArn": "a"})
    assert {name: one.prefix for name, one in found.items()} == {
        name: f"s3://b/p/baseline/{name}/" for name in MONITORS
    }


def test_an_input_is_where_the_scripts_look() -> None:
    assert processing_input("raw", "s3://b/a.csv")["S3Input"]["LocalPath"] == "/opt/ml/processing/input/raw"


def test_release(settings: Settings) -> None:
    lineage = {
        "run_id": RUN_ID,
        "run_key": run_key(RUN_ID),
        "data": "s3://b/" + "k" * 1000,
        "data_version": "v",
        "code_version": "c",
        "split": "hash 1729",
        "champion_split": None,
        "reason": 'because, "he" said: it\'s time!',
    }
    plan = {"prefix": "s3://b/p/", "table": "t", "threshold": "0.5", "lineage": lineage}
    metadata = release.lineage(plan, "job")
    package = requests.model_package(settings, "s3://b/m.tar.gz", "s3://b/p/evaluation/", None, "d", metadata)
    check("sagemaker", "CreateModelPackage", package)
    assert "DriftCheckBaselines" not in package
    assert metadata["reason"] == "because he said: it s time"
    unexplained = {**plan, "lineage": {**lineage, "reason": None}}
    assert "reason" not in release.lineage(unexplained, "job")
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{settings.churn_model_group}/12345"
    name = release.release_name(settings, run_key(RUN_ID), arn)
    assert len(name) <= 63
    check("sagemaker", "CreateModel", requests.model(settings, name, arn))
    check("sagemaker", "CreateEndpointConfig", requests.endpoint_config(settings, name))
    update = {
        "EndpointName": settings.churn_endpoint,
        "EndpointConfigName": name,
        "DeploymentConfig": requests.deployment(settings),
    }
    check("sagemaker", "UpdateEndpoint", update)
    policy = requests.deployment(settings)["BlueGreenUpdatePolicy"]
    waits = (
        policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] + policy["TerminationWaitInSeconds"]
    )
    assert policy["MaximumExecutionTimeoutInSeconds"] > waits


def test_etl(settings: Settings, params: Any) -> None:
    arguments = requests.etl_arguments(settings, params, "s3://b/p/", "s3://b/p/input/a.csv", "t")
    check("glue", "StartJobRun", {"JobName": "j", "Arguments": arguments})
    job = requests.etl_job(settings)
    command = {"Name": "glueetl", "ScriptLocation": "s3://b/churn_etl.py"}
    check("glue", "CreateJob", {"Name": "j", "Role": settings.role_arn("glue"), "Command": command, **job})
    assert job["GlueVersion"] == "5.0"


def test_a_plan_is_plain_json(settings: Settings, params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops.churn.plan.find_champion", lambda *_: CHAMPION)
    monkeypatch.setattr("mlops.churn.plan.find_input", lambda *_: ("b", "raw/churn/a.csv"))
    monkeypatch.setattr("mlops.churn.plan.previous_table", lambda *_: None)
    s3 = SimpleNamespace(head_object=lambda **_: {"ETag": '"e"'}, copy=lambda *_, **__: None)
    plan = make_plan(settings, params, RUN_ID, s3=s3, glue=None, sagemaker=None)

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in {str, int, float, bool}

    assert plain(plan)
