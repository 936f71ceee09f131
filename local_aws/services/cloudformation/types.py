"""Resource types of the catalog, of alarms and of the model registry."""

from __future__ import annotations

from typing import Any

from moto.athena.models import AthenaBackend, athena_backends
from moto.cloudformation.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.glue.models import GlueBackend, glue_backends

from local_aws.services import sagemaker
from local_aws.services.cloudformation.resource import NamedResource, Properties
from local_aws.services.cloudwatch.data import moto_queries


class GlueDatabase(NamedResource, CloudFormationModel):
    TYPE = "AWS::Glue::Database"

    @classmethod
    def name_in(cls, properties: Properties, generated: str) -> str:
        return properties["DatabaseInput"].get("Name") or generated.lower()

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        glue: GlueBackend = glue_backends[account][region]
        database_input = {**properties["DatabaseInput"], "Name": name}
        if name in glue.databases:
            glue.update_database(name, database_input)
        else:
            glue.create_database(name, database_input)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        glue_backends[account][region].databases.pop(name, None)


class AthenaWorkGroup(NamedResource, CloudFormationModel):
    TYPE = "AWS::Athena::WorkGroup"
    NAME_PROPERTY = "Name"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        athena: AthenaBackend = athena_backends[account][region]
        configuration = properties.get("WorkGroupConfiguration", {})
        description = properties.get("Description", "")
        tags = properties.get("Tags", [])
        athena.create_work_group(name, configuration, description, tags)  # None when there is one already
        group = athena.work_groups[name]
        group.configuration, group.description = configuration, description
        group.state = properties.get("State", "ENABLED")

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        athena_backends[account][region].delete_work_group(name)


class Alarm(NamedResource):
    """What both kinds of alarm share."""

    NAME_PROPERTY = "AlarmName"

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        cloudwatch_backends[account][region].delete_alarms([name])

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{self.name}"


def _common_to_alarms(properties: Properties) -> dict[str, Any]:
    return {
        "description": properties.get("AlarmDescription"),
        "actions_enabled": str(properties.get("ActionsEnabled", True)).lower() == "true",
        "alarm_actions": properties.get("AlarmActions", []),
        "ok_actions": properties.get("OKActions", []),
        "insufficient_data_actions": properties.get("InsufficientDataActions", []),
        "tags": properties.get("Tags"),
    }


class CloudWatchAlarm(Alarm, CloudFormationModel):
    TYPE = "AWS::CloudWatch::Alarm"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        cloudwatch: CloudWatchBackend = cloudwatch_backends[account][region]
        cloudwatch.put_metric_alarm(
            name=name,
            namespace=properties.get("Namespace"),
            metric_name=properties.get("MetricName"),
            metric_data_queries=moto_queries(properties.get("Metrics", [])),
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=int(properties["EvaluationPeriods"]),
            datapoints_to_alarm=_integer(properties.get("DatapointsToAlarm")),
            period=_integer(properties.get("Period")),
            threshold=float(properties["Threshold"]),
            statistic=properties.get("Statistic"),
            extended_statistic=properties.get("ExtendedStatistic"),
            dimensions=properties.get("Dimensions", []),
            unit=properties.get("Unit"),
            treat_missing_data=properties.get("TreatMissingData"),
            **_common_to_alarms(properties),
        )


class CompositeAlarm(Alarm, CloudFormationModel):
    TYPE = "AWS::CloudWatch::CompositeAlarm"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        cloudwatch: CloudWatchBackend = cloudwatch_backends[account][region]
        if "ActionsSuppressor" in properties:
            raise ValidationError(
                message=f"{CompositeAlarm.TYPE} {name}: local AWS does not support ActionsSuppressor"
            )
        # What PutCompositeAlarm gives moto: an alarm without a metric.
        cloudwatch.put_metric_alarm(
            name=name,
            namespace="",
            metric_name="",
            metric_data_queries=[],
            comparison_operator="",
            evaluation_periods=0,
            period=0,
            threshold=0,
            statistic="",
            dimensions=[],
            rule=properties["AlarmRule"],
            **_common_to_alarms(properties),
        )


class ModelPackageGroup(NamedResource, CloudFormationModel):
    TYPE = "AWS::SageMaker::ModelPackageGroup"
    NAME_PROPERTY = "ModelPackageGroupName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        tags, description = properties.get("Tags", []), properties.get("ModelPackageGroupDescription", "")
        sagemaker.put_model_package_group(account, region, name, description, tags)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        sagemaker.remove_model_package_group(account, region, name)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account}:model-package-group/{self.name}"


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
