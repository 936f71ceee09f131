"""Lambda's resource types. moto's own read few properties and drop the others."""

from __future__ import annotations

import base64
import json
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.common_models import CloudFormationModel

from local_aws.services.cloudformation.resource import NamedResource, Properties
from local_aws.services.lambda_.backend import LambdaBackend
from local_aws.services.lambda_.errors import NoSuchFunction


def _backend(account: str, region: str) -> LambdaBackend:
    backend = lambda_backends[account][region]
    assert isinstance(backend, LambdaBackend)
    return backend


def _code(block: Properties) -> Properties:
    """A template gives inline code as the text of index.py, the API as an archive."""
    if "ZipFile" not in block:
        return block
    archive = LambdaFunction._create_zipfile_from_plaintext_code(block["ZipFile"])
    return {"ZipFile": base64.b64encode(archive).decode()}


class Function(NamedResource, CloudFormationModel):
    TYPE = "AWS::Lambda::Function"
    NAME_PROPERTY = "FunctionName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        functions = _backend(account, region)
        spec = {**properties, "FunctionName": name, "Code": _code(properties["Code"])}
        if "KmsKeyArn" in spec:
            spec["KMSKeyArn"] = spec.pop("KmsKeyArn")  # the API's spelling
        variables = properties.get("Environment", {}).get("Variables", {})
        spec["Environment"] = {"Variables": {key: str(value) for key, value in variables.items()}}
        spec["Tags"] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        try:
            function = functions.get_function(name)
        except NoSuchFunction:
            function = functions.create_function(spec)
        else:
            settings = {key: value for key, value in spec.items() if key not in ("Code", "FunctionName")}
            function.update_configuration(settings)
            function.update_function_code(spec["Code"])
            function.tags = spec["Tags"]
        reserved = properties.get("ReservedConcurrentExecutions")
        function.reserved_concurrency = None if reserved is None else int(reserved)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        try:
            _backend(account, region).delete_function(name)
        except NoSuchFunction:
            return

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"


class Permission(NamedResource, CloudFormationModel):
    """Known as FUNCTION:STATEMENT."""

    TYPE = "AWS::Lambda::Permission"

    @classmethod
    def name_in(cls, properties: Properties, generated: str) -> str:
        function = properties["FunctionName"].rpartition(":")[2]
        return f"{function}:{generated.rpartition(':')[2]}"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        function, _, statement = name.partition(":")
        Permission.remove(name, account, region)
        policy = {"StatementId": statement, **properties}
        _backend(account, region).get_function(function).policy.add_statement(json.dumps(policy))

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        function, _, statement = name.partition(":")
        try:
            policy = _backend(account, region).get_function(function).policy
        except NoSuchFunction:
            return
        policy.statements = [known for known in policy.statements if known.get("Sid") != statement]


class EventInvokeConfig(NamedResource, CloudFormationModel):
    """Known by its function's name."""

    TYPE = "AWS::Lambda::EventInvokeConfig"
    NAME_PROPERTY = "FunctionName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        named = {key: value for key, value in properties.items() if key not in ("FunctionName", "Qualifier")}
        numbers = {key: int(named[key]) for key in named if key.startswith("Maximum")}
        _backend(account, region).put_function_event_invoke_config(name, named | numbers)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        try:
            _backend(account, region).get_function(name).event_invoke_config = []
        except NoSuchFunction:
            return


class EventSourceMapping(NamedResource, CloudFormationModel):
    """Known by the id that Lambda gives it."""

    TYPE = "AWS::Lambda::EventSourceMapping"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  # moto passes it by name
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> EventSourceMapping:
        properties = dict(cloudformation_json["Properties"])
        properties["Tags"] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        mapping = _backend(account_id, region_name).create_event_source_mapping(_typed(properties))
        return cls(mapping.uuid, account_id, region_name)

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        changeable = {
            key: value for key, value in properties.items() if key not in ("EventSourceArn", "Tags")
        }
        _backend(account, region).update_event_source_mapping(name, _typed(changeable))

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        _backend(account, region).delete_event_source_mapping(name)


class LayerVersion(NamedResource, CloudFormationModel):
    """Known by its ARN; a change publishes another version."""

    TYPE = "AWS::Lambda::LayerVersion"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Properties, account_id: str, region_name: str, **_: Any
    ) -> LayerVersion:
        properties = cloudformation_json["Properties"]
        spec = {"LayerName": properties.get("LayerName", resource_name), **properties}
        version = _backend(account_id, region_name).publish_layer_version(spec)
        return cls(version.arn, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: NamedResource,
        new_resource_name: str,
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
    ) -> LayerVersion:
        made = cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )
        cls.remove(original_resource.name, account_id, region_name)
        return made

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        layer, _, version = name.partition(":layer:")[2].partition(":")
        _backend(account, region).delete_layer_version(layer, version)


def _typed(properties: Properties) -> Properties:
    """A template may give numbers and booleans as text."""
    typed = {
        key: int(value) if key in ("BatchSize", "MaximumBatchingWindowInSeconds") else value
        for key, value in properties.items()
    }
    if "Enabled" in typed:
        typed["Enabled"] = str(typed["Enabled"]).lower() == "true"
    return typed
