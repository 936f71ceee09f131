"""The first task's work: fix everything that could change while the run is under way.

The newest object under raw/ may be replaced a second later, the champion may be another one tomorrow. So the
plan copies the input's current version into the run's own prefix, and writes down champion and previous
table; the tasks that follow, and their retries, see only the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.aws import split_s3
from mlops.champion import find_champion
from mlops.churn import form, requests
from mlops.forms import require_known
from mlops.naming import run_key, table_name

if TYPE_CHECKING:
    from config import Settings

SINGLE_COPY_BYTES = 5 * 1024**3  # S3 copies objects up to this size in one call


class NoInput(ValueError):
    """There is nothing to train on; the message says where it was looked for and what to do."""


class CoolingDown(RuntimeError):
    """A training has just begun or ended, another would tell nothing new; the message says which."""


class Superseded(RuntimeError):
    """A newer file has landed beside the one that this run is for; the message names both."""


def make_plan(
    settings: Settings, params: Mapping[str, Any], run_id: str, *, s3: Any, glue: Any, sagemaker: Any
) -> dict[str, Any]:
    """The plan of one run, all of it JSON. `s3`, `glue`, `sagemaker` are boto3 clients.

    Raises forms.UnknownParams, NoInput, champion.UnknownChampion.
    """
    require_known(params, form.params(settings))
    key = run_key(run_id)
    prefix = settings.s3(settings.run_prefix(key))
    bucket, source = find_input(s3, settings, params["data"])
    head = s3.head_object(Bucket=bucket, Key=source)
    raw = f"{prefix}input/{source.rsplit('/', 1)[-1]}"
    copy_version(s3, bucket, source, head, *split_s3(raw))
    champion = find_champion(sagemaker, settings.churn_endpoint)
    table = table_name(key)
    version = head.get("VersionId")
    return {
        "prefix": prefix,
        "input": raw,
        "table": table,
        "previous_table": previous_table(glue, settings.glue_database, table),
        "champion": champion.as_dict() if champion else None,
        "threshold": f"{params['threshold']:g}",
        "lineage": {
            "run_id": run_id,
            "run_key": key,
            "data": f"s3://{bucket}/{source}",
            "data_version": version if version and version != "null" else head["ETag"].strip('"'),
            "code_version": params["code_version"],
            "split": f"{params['split']} {params['split_seed']}",
            "champion_split": champion.metadata.get("split") if champion else None,
            "reason": params["reason"],
        },
        "etl_script": settings.s3(f"code/{params['code_version']}/glue_scripts/churn_etl.py"),
        "validation": requests.validation(settings, params, prefix, raw),
        "etl": requests.etl_arguments(settings, params, prefix, raw, table),
        "training": requests.training(settings, params, prefix),
        "evaluation": requests.evaluation(settings, params, prefix, champion),
        "baseline": requests.baseline(settings, params, prefix, key),
    }


def check_cooldown(sagemaker: Any, settings: Settings, run_id: str, now: datetime) -> None:
    """Raise CoolingDown when a training of another run began within the cool-down before `now`.

    Asked of SageMaker, not of a table of ours: every run of the pipeline counts, whatever started it.
    """
    since = now - timedelta(seconds=settings.monitoring.cooldown)
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="churn-training-", CreationTimeAfter=since, SortBy="CreationTime", SortOrder="Descending"
    )
    own = f"-{run_key(run_id)}-"
    for job in (job for page in pages for job in page["TrainingJobSummaries"]):
        if own not in job["TrainingJobName"] and job["TrainingJobStatus"] in {"InProgress", "Completed"}:
            raise CoolingDown(
                f"cool-down of {settings.monitoring.cooldown:,} s: training job {job['TrainingJobName']} "
                f"began at {job['CreationTime']:%Y-%m-%d %H:%M:%S} UTC; another would learn nothing new"
            )


def check_newest(s3: Any, data: str) -> None:
    """Raise Superseded when the folder of `data` holds a newer object.

    Runs of one DAG wait for each other. When this one's turn has come, the file that started it may be old
    news: the newer one's own event starts, or has started, the run that matters.
    """
    bucket, key = split_s3(data)
    folder = key[: key.rfind("/") + 1]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
    objects = [item for page in pages for item in page.get("Contents", []) if item["Key"] != folder]
    newest = max(objects, key=lambda item: (item["LastModified"], item["Key"]), default=None)
    if newest and newest["Key"] != key:
        raise Superseded(
            f"{data} is no longer the newest file: s3://{bucket}/{newest['Key']} has landed since, and "
            "starts a run of its own"
        )


def find_input(s3: Any, settings: Settings, data: str | None) -> tuple[str, str]:
    """Bucket and key of the input: the object named, else the newest under the raw prefix. Raises NoInput."""
    if data:
        try:
            bucket, key = split_s3(data)
        except ValueError as error:
            raise NoInput(f"parameter data: {error}") from None
        if not key or key.endswith("/"):
            raise NoInput(f"parameter data: {data} names a prefix, not an object")
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "NoSuchBucket"}:
                raise
            raise NoInput(f"parameter data: there is no object {data}") from None
        return bucket, key
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, Prefix=settings.raw_prefix)
    objects = [item for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    if not objects:
        raise NoInput(
            f"there is no data under {settings.s3(settings.raw_prefix)}: put a file of customers there, "
            "or name one with the parameter data"
        )
    newest = max(objects, key=lambda item: (item["LastModified"], item["Key"]))
    return settings.bucket, newest["Key"]


def copy_version(
    s3: Any, bucket: str, key: str, head: Mapping[str, Any], to_bucket: str, to_key: str
) -> None:
    """Copy exactly the version that `head` describes, within S3: nothing passes through the worker."""
    from boto3.s3.transfer import TransferConfig

    source = {"Bucket": bucket, "Key": key}
    if head.get("VersionId") not in {None, "null"}:
        source["VersionId"] = head["VersionId"]
    s3.copy(source, to_bucket, to_key, Config=TransferConfig(multipart_threshold=SINGLE_COPY_BYTES))


def previous_table(glue: Any, database: str, table: str) -> str | None:
    """The newest customer table but this run's own: what the profile compares with. None on a first run."""
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    tables = [item for page in pages for item in page["TableList"]]
    others = [item for item in tables if item["Name"].startswith("customers_") and item["Name"] != table]
    return max(others, key=lambda item: item["CreateTime"])["Name"] if others else None
