"""DynamoDB tables as CloudFormation resources, with the properties that moto's own type leaves out."""

from __future__ import annotations

from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

from local_aws.services.cloudformation.resource import NamedResource, Properties

# Property -> argument of moto's create_table.
CREATE = {
    "KeySchema": "schema",
    "AttributeDefinitions": "attr",
    "ProvisionedThroughput": "throughput",
    "GlobalSecondaryIndexes": "global_indexes",
    "LocalSecondaryIndexes": "indexes",
    "StreamSpecification": "streams",
    "BillingMode": "billing_mode",
    "SSESpecification": "sse_specification",
    "Tags": "tags",
    "DeletionProtectionEnabled": "deletion_protection_enabled",
    "WarmThroughput": "warm_throughput",
}
OTHERS = {"TableName", "TimeToLiveSpecification", "PointInTimeRecoverySpecification", "TableClass"}


class Table(NamedResource, CloudFormationModel):
    """An existing table, which a deleted stack may have retained, is taken over with its items."""

    TYPE = "AWS::DynamoDB::Table"
    NAME_PROPERTY = "TableName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        if unknown := properties.keys() - CREATE.keys() - OTHERS:
            refused = ", ".join(sorted(unknown))
            raise ValidationError(
                message=f"AWS::DynamoDB::Table, {name}: local AWS does not support {refused}"
            )
        dynamodb: DynamoDBBackend = dynamodb_backends[account][region]
        given = {argument: properties.get(key) for key, argument in CREATE.items()}
        given["billing_mode"] = given["billing_mode"] or "PROVISIONED"
        if sse := given["sse_specification"]:
            given["sse_specification"] = {**sse, "Enabled": _flag(sse.get("SSEEnabled"))}
        given["deletion_protection_enabled"] = _flag(given["deletion_protection_enabled"])
        table: Any = dynamodb.tables.get(name)
        if table is None:
            table = dynamodb.create_table(name=name, **given)
        elif table.schema != given["schema"]:
            raise ValidationError(message=f"table {name} exists with another key schema; delete it first")
        else:
            table.billing_mode, table.tags = given["billing_mode"], given["tags"] or []
            table.sse_specification = given["sse_specification"]
            table.deletion_protection_enabled = given["deletion_protection_enabled"]
        if expiry := properties.get("TimeToLiveSpecification"):
            dynamodb.update_time_to_live(name, {**expiry, "Enabled": _flag(expiry.get("Enabled"))})
        if recovery := properties.get("PointInTimeRecoverySpecification"):
            enabled = _flag(recovery.get("PointInTimeRecoveryEnabled"))
            dynamodb.update_continuous_backups(name, {"PointInTimeRecoveryEnabled": enabled})

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        dynamodb: DynamoDBBackend = dynamodb_backends[account][region]
        if name in dynamodb.tables:
            dynamodb.delete_table(name)

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}"


def _flag(value: Any) -> bool:
    return str(value).lower() == "true"
