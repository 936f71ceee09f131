"""MWAA environments as CloudFormation resources."""

from __future__ import annotations

from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.core.utils import get_service_model

from local_aws.services.cloudformation.resource import NamedResource, Properties
from local_aws.services.mwaa.backend import mwaa_backends


class Environment(NamedResource, CloudFormationModel):
    """Complete as soon as the environment is on its way: on AWS a stack waits until it is available."""

    TYPE = "AWS::MWAA::Environment"
    NAME_PROPERTY = "Name"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        mwaa = mwaa_backends[account][region]
        settings = {**_typed(properties, _shape("CreateEnvironment")), "Name": name}
        if name not in mwaa.environments:
            mwaa.create(settings)
            return
        tags = settings.pop("Tags", None)
        known = get_service_model("mwaa").operation_model("UpdateEnvironment").input_shape.members
        changes = {key: value for key, value in settings.items() if key in known and key != "Name"}
        mwaa.update(name, changes)
        if tags is not None:
            mwaa.environments[name]["Tags"] = tags

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        mwaa = mwaa_backends[account][region]
        if name in mwaa.environments:
            mwaa.delete(name)

    @property
    def arn(self) -> str:
        return f"arn:aws:airflow:{self.region}:{self.account}:environment/{self.name}"


def _shape(operation: str) -> Any:
    return get_service_model("mwaa").operation_model(operation).input_shape


def _typed(value: Any, shape: Any) -> Any:
    """A template's values in the types of the API: CloudFormation lets numbers and booleans be text."""
    if shape.type_name == "structure":
        return {key: _typed(item, shape.members[key]) for key, item in value.items() if key in shape.members}
    if shape.type_name == "map":
        return {key: _typed(item, shape.value) for key, item in value.items()}
    if shape.type_name == "list":
        return [_typed(item, shape.member) for item in value]
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    return int(value) if shape.type_name == "integer" else str(value)
