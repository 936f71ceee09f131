"""Small things about AWS that several modules need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


def client(service: str) -> Any:
    """A boto3 client with the credentials and region that Airflow's provider would use.

    Built through the provider's hook, so that an Airflow connection can be put in its place; without one
    (`aws_conn_id=None`) it is boto3's default behaviour: the worker's role, or the environment.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(aws_conn_id=None, client_type=service).get_conn()


def split_s3(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b.csv` -> ("bucket", "a/b.csv"). Raises ValueError for anything else."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"not an S3 URI (s3://bucket/key): {uri!r}")
    return parts.netloc, parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


def is_missing(error: ClientError) -> bool:
    """Whether a SageMaker describe call failed because the thing does not exist.

    SageMaker has no error code of its own for that: it answers ValidationException for jobs, models and
    endpoints ("Could not find ...", "Requested resource not found.", "... does not exist").
    """
    details = error.response["Error"]
    text = details.get("Message", "").lower()
    return details.get("Code") in {"ResourceNotFound", "ResourceNotFoundException"} or (
        details.get("Code") == "ValidationException"
        and any(words in text for words in ("could not find", "not found", "does not exist"))
    )


def delete_prefix(s3: Any, uri: str) -> int:
    """Delete every object under an S3 prefix; returns their number. In a versioned bucket versions remain.

    Raises ValueError for a prefix that is a whole bucket, or does not end in a slash: it would reach further
    than it says.
    """
    bucket, prefix = split_s3(uri)
    if not prefix.strip("/") or not prefix.endswith("/"):
        raise ValueError(f"refusing to delete {uri!r}: name a prefix in the bucket, with a slash at its end")
    deleted = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            if answer.get("Errors"):
                error = answer["Errors"][0]
                raise RuntimeError(f"s3://{bucket}/{error['Key']}: {error['Code']}: {error.get('Message')}")
            deleted += len(keys)
    return deleted
