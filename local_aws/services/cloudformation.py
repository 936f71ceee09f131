"""CloudFormation: the resource types that moto lacks, and a refusal of those that nobody here has.

moto owns the templates, stacks, events and most types. A type that it does not know it skips with a warning,
so that the stack is "complete" without the resource; here that is the error AWS gives for an unknown type.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from moto.athena.models import AthenaBackend, athena_backends
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.glue.models import GlueBackend, glue_backends
from moto.s3.models import S3Backend, s3_backends
from moto.utilities.utils import get_partition

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services import sagemaker

Properties = dict[str, Any]


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    moto_hooks.refuse_unknown_resource_types()
    moto_hooks.leave_conditional_bucket_statements()  # which the types below are the first to write


class NamedResource:
    """What the types below share: a resource that is known by its name and written by create-or-update.

    A subclass is also a *direct* subclass of CloudFormationModel, which is how moto finds it, and says how
    its properties reach the service: `put` (create or update), `remove`, and the ARN where it has one.
    """

    TYPE: ClassVar[str]
    NAME_PROPERTY: ClassVar[str] = ""

    def __init__(self, name: str, account: str, region: str) -> None:
        self.name, self.account, self.region = name, account, region

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        raise NotImplementedError

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        raise NotImplementedError

    @property
    def arn(self) -> str | None:
        return None

    @classmethod
    def name_in(cls, properties: Properties, generated: str) -> str:
        return properties.get(cls.NAME_PROPERTY) or generated

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Properties, account_id: str, region_name: str, **_: Any
    ) -> NamedResource:
        properties = cloudformation_json["Properties"]
        name = cls.name_in(properties, resource_name)
        cls.put(name, properties, account_id, region_name)
        return cls(name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: NamedResource,
        new_resource_name: str,  # noqa: ARG003  # moto passes it by name
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
    ) -> NamedResource:
        """A changed name replaces the resource, as on AWS: the new one is made before the old one goes.
        Without a name in the template the generated one is kept."""
        properties = cloudformation_json["Properties"]
        name = cls.name_in(properties, original_resource.name)
        cls.put(name, properties, account_id, region_name)
        if name != original_resource.name:
            cls.remove(original_resource.name, account_id, region_name)
        return cls(name, account_id, region_name)

    def delete(self, account_id: str, region_name: str) -> None:
        self.remove(self.name, account_id, region_name)

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        if attribute_name == "Arn" and self.arn:
            return self.arn
        raise UnformattedGetAttTemplateException()

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn" and cls.arn is not NamedResource.arn

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.TYPE

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.NAME_PROPERTY

    def is_created(self) -> bool:
        return True


class BucketPolicy(NamedResource, CloudFormationModel):
    """Known by its bucket's name."""

    TYPE = "AWS::S3::BucketPolicy"
    NAME_PROPERTY = "Bucket"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        s3: S3Backend = s3_backends[account][get_partition(region)]
        s3.put_bucket_policy(name, json.dumps(properties["PolicyDocument"]).encode())

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        s3_backends[account][get_partition(region)].delete_bucket_policy(name)


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


class CloudWatchAlarm(NamedResource, CloudFormationModel):
    TYPE = "AWS::CloudWatch::Alarm"
    NAME_PROPERTY = "AlarmName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        if "Metrics" in properties:
            raise ValidationError(
                message=f"AWS::CloudWatch::Alarm {name}: local AWS does not support `Metrics` (metric math); "
                "name one metric by Namespace and MetricName"
            )
        cloudwatch: CloudWatchBackend = cloudwatch_backends[account][region]
        cloudwatch.put_metric_alarm(
            name=name,
            namespace=properties["Namespace"],
            metric_name=properties["MetricName"],
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=int(properties["EvaluationPeriods"]),
            datapoints_to_alarm=_integer(properties.get("DatapointsToAlarm")),
            period=int(properties["Period"]),
            threshold=float(properties["Threshold"]),
            statistic=properties.get("Statistic"),
            extended_statistic=properties.get("ExtendedStatistic"),
            description=properties.get("AlarmDescription"),
            dimensions=properties.get("Dimensions", []),
            alarm_actions=properties.get("AlarmActions", []),
            ok_actions=properties.get("OKActions", []),
            insufficient_data_actions=properties.get("InsufficientDataActions", []),
            unit=properties.get("Unit"),
            actions_enabled=str(properties.get("ActionsEnabled", True)).lower() == "true",
            treat_missing_data=properties.get("TreatMissingData"),
            tags=properties.get("Tags"),
        )

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        cloudwatch_backends[account][region].delete_alarms([name])

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{self.name}"


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
