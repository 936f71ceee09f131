"""Firehose delivery streams as CloudFormation resources."""

from __future__ import annotations

from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.firehose.models import FirehoseBackend, firehose_backends

from local_aws.services.cloudformation.resource import NamedResource, Properties

DESTINATIONS = ("extended_s3_destination_configuration", "s3_destination_configuration")
# Every argument of moto's methods is positional there, so all are named.
CREATE = (
    "delivery_stream_type", "kinesis_stream_source_configuration",
    "delivery_stream_encryption_configuration_input", "s3_destination_configuration",
    "extended_s3_destination_configuration", "redshift_destination_configuration",
    "elasticsearch_destination_configuration", "splunk_destination_configuration",
    "http_endpoint_destination_configuration", "snowflake_destination_configuration",
    "iceberg_destination_configuration", "tags",
)  # fmt: skip
UPDATE = (
    "s3_destination_update", "extended_s3_destination_update", "s3_backup_mode",
    "redshift_destination_update", "elasticsearch_destination_update", "splunk_destination_update",
    "http_endpoint_destination_update", "snowflake_destination_configuration", "iceberg_destination_update",
)  # fmt: skip


class DeliveryStream(NamedResource, CloudFormationModel):
    TYPE = "AWS::KinesisFirehose::DeliveryStream"
    NAME_PROPERTY = "DeliveryStreamName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        firehose: FirehoseBackend = firehose_backends[account][region]
        given = {
            _snake(key): _typed(value) for key, value in properties.items() if key != "DeliveryStreamName"
        }
        stream = firehose.delivery_streams.get(name)
        if stream is None:
            arguments = {**dict.fromkeys(CREATE), **given}
            firehose.create_delivery_stream(region=region, delivery_stream_name=name, **arguments)
            return
        update = {key.replace("configuration", "update"): given.get(key) for key in DESTINATIONS}
        firehose.update_destination(
            delivery_stream_name=name,
            current_delivery_stream_version_id=stream.version_id,
            destination_id=stream.destinations[0]["destination_id"],
            **{**dict.fromkeys(UPDATE), **update},
        )
        if tags := properties.get("Tags"):
            firehose.tag_delivery_stream(name, tags)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        firehose: FirehoseBackend = firehose_backends[account][region]
        if name in firehose.delivery_streams:
            firehose.delete_delivery_stream(name)

    @property
    def arn(self) -> str:
        return f"arn:aws:firehose:{self.region}:{self.account}:deliverystream/{self.name}"


def _snake(name: str) -> str:
    """ExtendedS3DestinationConfiguration -> extended_s3_destination_configuration."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _typed(value: Any) -> Any:
    """Templates may write booleans as text."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
