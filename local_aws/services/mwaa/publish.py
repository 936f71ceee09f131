"""What an environment is made of in S3: checked when it is named, and its DAGs brought to Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moto.s3.models import s3_backends

from local_aws.context import Context
from local_aws.services.mwaa.errors import ValidationException

MANIFEST = ".published.json"  # in the DAG folder: what the last publication put there
FILES = (
    ("PluginsS3Path", "PluginsS3ObjectVersion"),
    ("RequirementsS3Path", "RequirementsS3ObjectVersion"),
    ("StartupScriptS3Path", "StartupScriptS3ObjectVersion"),
)


def check(account: str, settings: dict[str, Any]) -> None:
    """Raises ValidationException for a bucket that MWAA does not take, or a file that is not there."""
    name = bucket_name(settings)
    bucket = s3_backends[account]["aws"].buckets.get(name)
    if bucket is None:
        raise ValidationException(f"The source bucket {name} does not exist")
    if not bucket.is_versioned:
        raise ValidationException(f"The source bucket {name} must have versioning enabled")
    for path_name, version_name in FILES:
        path, version = settings.get(path_name), settings.get(version_name)
        if not path:
            continue
        versions = {
            str(key.version_id) for key in bucket.keys.getlist(path, []) if hasattr(key, "contentsize")
        }
        if not versions:
            raise ValidationException(f"{path_name}: there is no s3://{name}/{path}")
        if version and version not in versions:
            raise ValidationException(f"{version_name}: s3://{name}/{path} has no version {version}")


def publish_dags(context: Context, settings: dict[str, Any], folder: Path) -> int:
    """Make `folder` hold the DAG files of the environment; return how many. Files that an earlier publication
    brought and that are gone in S3 are removed; what others put there stays. Each file appears whole."""
    bucket = bucket_name(settings)
    prefix = settings["DagS3Path"].strip("/") + "/"
    manifest = folder / MANIFEST
    before = set(json.loads(manifest.read_text())) if manifest.exists() else set()
    now = []
    for info in context.objects.list(bucket, prefix):
        relative = info.key.removeprefix(prefix)
        if not relative or relative.endswith("/"):
            continue
        target = folder / relative
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"s3://{bucket}/{info.key} would leave the DAG folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with context.objects.open(bucket, info.key) as source:
            _replace(target, source.read())
        now.append(relative)
    for gone in before - set(now):
        (folder / gone).unlink(missing_ok=True)
    _replace(manifest, json.dumps(sorted(now)).encode())
    return len(now)


def bucket_name(settings: dict[str, Any]) -> str:
    return str(settings["SourceBucketArn"].rpartition(":")[2])


def _replace(target: Path, content: bytes) -> None:
    if target.is_file() and target.read_bytes() == content:
        return  # unchanged: Airflow need not parse it again
    temporary = target.with_name(f".{target.name}.new")
    temporary.write_bytes(content)
    temporary.replace(target)
