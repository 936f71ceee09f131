"""Whom IAM trusts and what they may do, as CloudFormation resources: stored, as all of IAM here is."""

from __future__ import annotations

import json

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.iam.models import IAMBackend, iam_backends
from moto.utilities.utils import get_partition

from local_aws.services.cloudformation.resource import NamedResource, Properties, ReplacedResource


class ManagedPolicy(NamedResource, CloudFormationModel):
    """moto makes them, and neither changes nor deletes them."""

    TYPE = "AWS::IAM::ManagedPolicy"
    NAME_PROPERTY = "ManagedPolicyName"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        for unsupported in ("Groups", "Users", "Path"):
            if unsupported in properties:
                message = f"{ManagedPolicy.TYPE} {name}: local AWS does not support {unsupported}"
                raise ValidationError(message=message)
        iam, arn = _iam(account, region), ManagedPolicy(name, account, region).arn
        document = json.dumps(properties["PolicyDocument"])
        if arn in iam.managed_policies:
            policy = iam.managed_policies[arn]
            earlier = str(policy.default_version_id)
            iam.create_policy_version(arn, document, set_as_default=True)
            iam.delete_policy_version(arn, earlier)
        else:
            iam.create_policy(properties.get("Description", ""), "/", document, name, [])
        ManagedPolicy._detach(iam, arn)
        for role in properties.get("Roles", []):
            iam.attach_role_policy(arn, role)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        iam, arn = _iam(account, region), ManagedPolicy(name, account, region).arn
        ManagedPolicy._detach(iam, arn)
        iam.managed_policies.pop(arn, None)

    @staticmethod
    def _detach(iam: IAMBackend, arn: str) -> None:
        for role in iam.roles.values():
            if arn in role.managed_policies:
                iam.detach_role_policy(arn, role.name)

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @property
    def arn(self) -> str:
        return f"arn:{get_partition(self.region)}:iam::{self.account}:policy/{self.name}"


class OIDCProvider(ReplacedResource, CloudFormationModel):
    """Whose tokens IAM takes. An account has one for each URL: a second one is a conflict, as on AWS."""

    TYPE = "AWS::IAM::OIDCProvider"
    NAME_PROPERTY = "Url"

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        # AWS reads the certificate itself where no thumbprint is given.
        _iam(account, region).create_open_id_connect_provider(
            name,
            properties.get("ThumbprintList", []),
            properties.get("ClientIdList", []),
            properties.get("Tags", []),
        )

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        _iam(account, region).delete_open_id_connect_provider(OIDCProvider(name, account, region).arn)

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @property
    def arn(self) -> str:
        host = self.name.removeprefix("https://")
        return f"arn:{get_partition(self.region)}:iam::{self.account}:oidc-provider/{host}"


def _iam(account: str, region: str) -> IAMBackend:
    backend: IAMBackend = iam_backends[account][get_partition(region)]
    return backend
