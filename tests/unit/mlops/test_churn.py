"""The churn pipeline's plan, champion, registration and smoke test, against fake clients."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from config import load
from mlops.aws import is_missing, split_s3
from mlops.champion import Champion, UnknownChampion, find_champion
from mlops.churn import release, requests
from mlops.churn.form import params as form
from mlops.churn.plan import (
    NoInput,
    Superseded,
    check_newest,
    find_input,
    make_plan,
    previous_table,
)
from mlops.forms import UnknownParams
from mlops.naming import run_key
from tests.unit.mlops import fakes

SETTINGS = load("local")
PARAMS = {name: param.value for name, param in form(SETTINGS).items()}
CHAMPION = Champion("arn:package/1", "s3://b/old/model.tar.gz", "s3://b/old/encoder.json", {})


def at(minute: int) -> datetime:
    return datetime(2026, 11, 21, 9, minute, tzinfo=UTC)


def pager(pages: dict[str, list[dict[str, Any]]]) -> Any:
    return lambda operation: SimpleNamespace(paginate=lambda **_: iter(pages[operation]))


class FakeS3:
    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, *objects: tuple[str, int]) -> None:
        self.objects = [{"Key": key, "LastModified": at(minute)} for key, minute in objects]
        self.copies: list[tuple[Any, ...]] = []
        # One object a page: the newest is looked for on all of them.
        self.get_paginator = pager(
            {"list_objects_v2": [{"Contents": [item]} for item in self.objects] or [{}]}
        )

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in {item["Key"] for item in self.objects}:
            raise fakes.error("404", "Not Found", "HeadObject")
        return {"ETag": '"e7a6"', "VersionId": "v1", "ContentLength": 10}

    def copy(self, source: dict[str, str], bucket: str, key: str, Config: Any) -> None:
        self.copies.append((source, bucket, key))


def test_the_newest_object_is_the_input() -> None:
    s3 = FakeS3(("raw/churn/a.csv", 1), ("raw/churn/b.csv", 3), ("raw/churn/", 9), ("raw/churn/c.csv", 2))
    assert find_input(s3, SETTINGS, "") == (SETTINGS.bucket, "raw/churn/b.csv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "there is no data under s3://mlops-local-us-east-1-123456789012/raw/churn/: put a file"),
        ("s3://b/x.csv", "parameter data: there is no object s3://b/x.csv"),
        ("s3://b/folder/", "names a prefix, not an object"),
        ("/tmp/x.csv", "parameter data: not an S3 URI"),
    ],
)
def test_no_input_says_what_to_do(data: str, message: str) -> None:
    with pytest.raises(NoInput, match=message):
        find_input(FakeS3(), SETTINGS, data)


def test_of_the_files_that_landed_only_the_newest_counts() -> None:
    s3 = FakeS3(("incoming/churn/a.csv", 1), ("incoming/churn/b.csv", 3), ("incoming/churn/", 9))

    check_newest(s3, "s3://bucket/incoming/churn/b.csv")
    with pytest.raises(
        Superseded, match=r"a\.csv is no longer the newest file: s3://bucket/incoming/churn/b"
    ):
        check_newest(s3, "s3://bucket/incoming/churn/a.csv")
    check_newest(FakeS3(), "s3://bucket/gone.csv")  # that it is not there is another message's business


def test_the_previous_table_is_the_newest_of_another_run() -> None:
    tables = [("customers_a", 1), ("customers_own", 9), ("customers_b", 5), ("orders", 8)]
    pages = [{"TableList": [{"Name": name, "CreateTime": at(minute)}]} for name, minute in tables]
    glue = SimpleNamespace(get_paginator=pager({"get_tables": pages}))
    assert previous_table(glue, "db", "customers_own") == "customers_b"
    nothing = SimpleNamespace(get_paginator=pager({"get_tables": pages[1:2]}))
    assert previous_table(nothing, "db", "customers_own") is None


def served(status: str = "InService", **package: Any) -> Any:
    """A SageMaker client whose endpoint serves a registered model."""
    return SimpleNamespace(
        exceptions=SimpleNamespace(ClientError=ClientError),
        describe_endpoint=lambda **_: {"EndpointStatus": status, "EndpointConfigName": "c"},
        describe_endpoint_config=lambda **_: {"ProductionVariants": [{"ModelName": "m"}]},
        describe_model=lambda **_: {"PrimaryContainer": {"ModelPackageName": "arn:package/1"}},
        describe_model_package=lambda **_: {
            "ModelPackageArn": "arn:package/1",
            "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://b/old/model.tar.gz"}]},
            "CustomerMetadataProperties": {"encoder_uri": "s3://b/old/encoder.json"},
            **package,
        },
    )


def missing_endpoint() -> Any:
    def describe(**_: Any) -> None:
        raise fakes.error("ValidationException", 'Could not find endpoint "e".')

    return SimpleNamespace(exceptions=SimpleNamespace(ClientError=ClientError), describe_endpoint=describe)


def test_the_champion_is_what_the_endpoint_serves() -> None:
    found = find_champion(served(), "e")
    assert found
    assert (found.model_uri, found.encoder_uri) == ("s3://b/old/model.tar.gz", "s3://b/old/encoder.json")
    assert find_champion(served("Updating"), "e") == found
    assert find_champion(served("Creating"), "e") is None
    assert find_champion(missing_endpoint(), "e") is None


def test_a_foreign_champion_is_not_ignored() -> None:
    foreign = served()
    foreign.describe_model = lambda **_: {"PrimaryContainer": {"Image": "i"}}
    with pytest.raises(UnknownChampion, match="serves model m, which is not from the model registry"):
        find_champion(foreign, "e")
    with pytest.raises(UnknownChampion, match="has no encoder_uri"):
        find_champion(served(CustomerMetadataProperties={}), "e")


def test_a_plan_fixes_everything_that_could_change() -> None:
    s3 = FakeS3(("raw/churn/a.csv", 1))
    glue = SimpleNamespace(get_paginator=pager({"get_tables": [{"TableList": []}]}))
    plan = make_plan(
        SETTINGS, PARAMS, "manual__2026-11-21T09:15:00+00:00", s3=s3, glue=glue, sagemaker=served()
    )
    key = run_key("manual__2026-11-21T09:15:00+00:00")
    prefix = f"s3://{SETTINGS.bucket}/runs/churn_training/{key}/"
    assert plan["prefix"] == prefix
    assert plan["lineage"] == {
        "run_id": "manual__2026-11-21T09:15:00+00:00",
        "run_key": key,
        "data": f"s3://{SETTINGS.bucket}/raw/churn/a.csv",
        "data_version": "v1",
        "code_version": PARAMS["code_version"],
        "split": "hash 1729",
        "champion_split": None,
        "reason": PARAMS["reason"],
    }
    assert plan["input"] == f"{prefix}input/a.csv"
    version = {"Bucket": SETTINGS.bucket, "Key": "raw/churn/a.csv", "VersionId": "v1"}
    assert s3.copies == [(version, *split_s3(plan["input"]))]
    assert plan["champion"]["model_uri"] == "s3://b/old/model.tar.gz"
    assert plan["etl"]["--source"] == plan["input"]
    inputs = {item["InputName"]: item["S3Input"]["S3Uri"] for item in plan["evaluation"]["ProcessingInputs"]}
    assert inputs["champion"] == "s3://b/old/model.tar.gz"
    assert inputs["holdout"] == f"{prefix}data/customers/split=holdout/"


def test_a_misspelt_parameter_is_not_ignored() -> None:
    params = {**PARAMS, "max_dept": 3}
    with pytest.raises(UnknownParams, match=r"unknown parameter max_dept: there are data, .*max_depth, "):
        make_plan(SETTINGS, params, "manual__1", s3=FakeS3(), glue=None, sagemaker=None)


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_the_champion_is_judged_when_there_is_one(champion: Champion | None) -> None:
    request = requests.evaluation(SETTINGS, PARAMS, "s3://b/p/", champion)
    arguments = request["AppSpecification"]["ContainerArguments"]
    inputs = {item["InputName"] for item in request["ProcessingInputs"]}
    assert ("--champion" in arguments) is (champion is not None)
    assert ("champion-encoder" in inputs) is (champion is not None)


def test_hyperparameters_are_text_and_early_stopping_can_be_off() -> None:
    reference = requests.hyperparameters(PARAMS)
    assert reference == {
        "objective": "binary:logistic",
        "eval_metric": "auc,error,logloss",
        "max_depth": "5",
        "eta": "0.2",
        "gamma": "4",
        "min_child_weight": "6",
        "subsample": "0.8",
        "num_round": "100",
        "scale_pos_weight": "1",
        "seed": "0",
    }
    stopping = requests.hyperparameters({**PARAMS, "early_stopping_rounds": 10, "gamma": 4.0, "eta": 1e-7})
    assert stopping["early_stopping_rounds"] == "10"
    assert (stopping["gamma"], stopping["eta"]) == ("4", "1e-07")


class FakeRegistry:
    def __init__(self) -> None:
        self.packages: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_model_packages"
        return SimpleNamespace(paginate=lambda **_: [{"ModelPackageSummaryList": self.packages}])

    def create_model_package(self, **request: Any) -> dict[str, str]:
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/churn-local/{len(self.packages) + 1}"
        self.packages.append({"ModelPackageArn": arn, **request})
        return {"ModelPackageArn": arn}


def test_a_model_is_registered_once_whatever_the_number_of_tries() -> None:
    registry = FakeRegistry()
    plan = {
        "prefix": "s3://b/p/",
        "table": "customers_k1",
        "threshold": "0.5",
        "lineage": {
            "run_id": "manual__1",
            "run_key": "k1",
            "data": "s3://b/raw/a.csv",
            "data_version": "v1",
            "code_version": "c1",
            "split": "hash 1729",
            "champion_split": "hash 1",
            "reason": None,
        },
    }

    def register(job: str) -> str:
        return release.register(
            SETTINGS,
            sagemaker=registry,
            model_uri=f"s3://b/{job}/model.tar.gz",
            evaluation_uri="s3://b/p/evaluation/",
            baseline_uri="s3://b/p/baseline/",
            description=f"churn_training, training job {job}",
            metadata=release.lineage(plan, job),
        )

    assert register("job-1") == register("job-1")
    assert register("job-2").endswith("/2")
    metadata = registry.packages[0]["CustomerMetadataProperties"]
    assert metadata == {
        "run_id": "manual__1",
        "run_key": "k1",
        "training_job": "job-1",
        "data": "s3://b/raw/a.csv",
        "data_version": "v1",
        "code_version": "c1",
        "table": "customers_k1",
        "split": "hash 1729",
        "threshold": "0.5",
        "encoder_uri": "s3://b/p/data/encoder.json",
        "evaluation_uri": "s3://b/p/evaluation/evaluation.json",
    }
    assert release.release_name(SETTINGS, "k1", register("job-2")) == "churn-local-k1-v2"


def endpoint(answer: str) -> Any:
    return SimpleNamespace(invoke_endpoint=lambda **request: {"Body": io.BytesIO(answer.encode())})


SAMPLE = "0.25,1,2\n0.5,3,4\n"


@pytest.mark.parametrize("answer", ["0.25\n0.5\n", "0.25,0.5", "0.2500000005\n0.5"])
def test_a_smoke_test_that_passes(answer: str) -> None:
    assert release.smoke_test(endpoint(answer), "e", SAMPLE, 1e-6) <= 1e-6


@pytest.mark.parametrize(
    ("answer", "sample", "message"),
    [
        ("0.25\n0.51\n", SAMPLE, r"1 of 2 scores of endpoint e differ.*1e-06: row 2: 0.51 instead of 0.5"),
        ("nan\n0.5\n", SAMPLE, r"1 of 2 scores.*row 1: nan instead of 0.25"),
        ("0.25\n", SAMPLE, r"answered 1 scores for 2 rows"),
        ("<html>", SAMPLE, r"answered what is not numbers: '<html>'"),
        ("", "", r"smoke_sample.csv has no rows"),
    ],
)
def test_a_smoke_test_that_fails(answer: str, sample: str, message: str) -> None:
    with pytest.raises(release.SmokeTestFailed, match=message):
        release.smoke_test(endpoint(answer), "e", sample, 1e-6)


def test_the_smoke_test_sends_features_without_scores() -> None:
    sent: dict[str, Any] = {}

    def invoke(**request: Any) -> dict[str, Any]:
        sent.update(request)
        return {"Body": io.BytesIO(b"0.25\n0.5\n")}

    release.smoke_test(SimpleNamespace(invoke_endpoint=invoke), "e", SAMPLE, 1e-6)
    assert sent == {"EndpointName": "e", "ContentType": "text/csv", "Accept": "text/csv", "Body": "1,2\n3,4"}


@pytest.mark.parametrize(
    ("code", "message", "missing"),
    [
        ("ValidationException", 'Could not find endpoint "x".', True),
        ("ValidationException", "Requested resource not found.", True),
        ("ValidationException", "ModelPackage arn does not exist", True),
        ("ResourceNotFound", "", True),
        ("ValidationException", "1 validation error detected", False),
        ("AccessDeniedException", "not found", False),
    ],
)
def test_what_counts_as_missing(code: str, message: str, missing: bool) -> None:
    assert is_missing(fakes.error(code, message)) is missing


def test_split_s3() -> None:
    assert split_s3("s3://b/a/c d.csv") == ("b", "a/c d.csv")
    assert split_s3("s3://b/a?x#y") == ("b", "a?x#y")
    for wrong in ("http://b/a", "s3:///a", "b/a"):
        with pytest.raises(ValueError, match="not an S3 URI"):
            split_s3(wrong)
