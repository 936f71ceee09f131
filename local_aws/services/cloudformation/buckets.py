"""S3 buckets and their policies as CloudFormation resources.

moto's own bucket type reads encryption and tags, and drops every other property without a word. Here a
property is applied or refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.s3.cloud_formation import cfn_to_api_encryption
from moto.s3.models import S3Backend, s3_backends
from moto.utilities.utils import get_partition

from local_aws.services import notifications
from local_aws.services.cloudformation.resource import NamedResource, Properties


def _backend(account: str, region: str) -> S3Backend:
    return s3_backends[account][get_partition(region)]


def _lifecycle(rule: Properties) -> Properties:
    """A rule of the template in the form of S3's own API."""
    known = {
        "Id",
        "Status",
        "Prefix",
        "ExpirationInDays",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
    }
    if unknown := rule.keys() - known:
        raise _unsupported("lifecycle rule", unknown)
    api: Properties = {
        "ID": rule.get("Id"),
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ExpirationInDays" in rule:
        api["Expiration"] = {"Days": str(rule["ExpirationInDays"])}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            api[name] = {key: str(value) for key, value in rule[name].items()}
    return api


def _unsupported(where: str, properties: Iterable[str]) -> ValidationError:
    return ValidationError(
        message=f"AWS::S3::Bucket, {where}: local AWS does not support {', '.join(sorted(properties))}"
    )


def _flags(block: Properties) -> Properties:
    return {name: str(value).lower() for name, value in block.items()}


APPLY: dict[str, Callable[[S3Backend, str, Any], None]] = {
    "BucketEncryption": lambda s3, name, value: s3.put_bucket_encryption(name, cfn_to_api_encryption(value)),
    "VersioningConfiguration": lambda s3, name, value: s3.put_bucket_versioning(name, value["Status"]),
    "PublicAccessBlockConfiguration": lambda s3, name, value: s3.put_public_access_block(name, _flags(value)),
    "OwnershipControls": lambda s3, name, value: s3.put_bucket_ownership_controls(
        name, value["Rules"][0]["ObjectOwnership"]
    ),
    "LifecycleConfiguration": lambda s3, name, value: s3.put_bucket_lifecycle_configuration(
        name, [_lifecycle(rule) for rule in value["Rules"]]
    ),
    "NotificationConfiguration": lambda s3, name, value: s3.put_bucket_notification_configuration(
        name, notifications.from_template(value)
    ),
    "Tags": lambda s3, name, value: s3.put_bucket_tagging(name, {tag["Key"]: tag["Value"] for tag in value}),
}


class Bucket(NamedResource, CloudFormationModel):
    """Made when it is not there; a retained bucket of an earlier stack is taken over with what is in it."""

    TYPE = "AWS::S3::Bucket"
    NAME_PROPERTY = "BucketName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        if unknown := properties.keys() - {"BucketName", *APPLY}:
            raise _unsupported(name, unknown)
        s3 = _backend(account, region)
        if name not in s3.buckets:
            s3.create_bucket(name, region)
        for key, value in properties.items():
            if key in APPLY:
                APPLY[key](s3, name, value)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        s3 = _backend(account, region)
        if name in s3.buckets and s3.delete_bucket(name) is None:
            raise ValidationError(message=f"Bucket {name} is not empty: delete what is in it first")

    @property
    def arn(self) -> str:
        return f"arn:{get_partition(self.region)}:s3:::{self.name}"


class BucketPolicy(NamedResource, CloudFormationModel):
    """Known by its bucket's name."""

    TYPE = "AWS::S3::BucketPolicy"
    NAME_PROPERTY = "Bucket"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        _backend(account, region).put_bucket_policy(name, json.dumps(properties["PolicyDocument"]).encode())

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        _backend(account, region).delete_bucket_policy(name)
