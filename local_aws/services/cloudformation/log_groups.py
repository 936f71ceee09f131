"""Log groups as CloudFormation resources: jobs may have made one before, and a deleted stack leaves it."""

from __future__ import annotations

from moto.core.common_models import CloudFormationModel
from moto.logs.models import LogsBackend, logs_backends

from local_aws.services.cloudformation.resource import NamedResource, Properties


class LogGroup(NamedResource, CloudFormationModel):
    TYPE = "AWS::Logs::LogGroup"
    NAME_PROPERTY = "LogGroupName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        logs: LogsBackend = logs_backends[account][region]
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        if name not in logs.groups:
            logs.create_log_group(name, tags, kmsKeyId=properties.get("KmsKeyId"))
        if days := properties.get("RetentionInDays"):
            logs.put_retention_policy(name, int(days))
        elif logs.groups[name].retention_in_days:
            logs.delete_retention_policy(name)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        logs: LogsBackend = logs_backends[account][region]
        if name in logs.groups:
            logs.delete_log_group(name)

    @property
    def arn(self) -> str:
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{self.name}:*"
