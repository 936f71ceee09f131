"""What the resource types of this package share."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

Properties = dict[str, Any]


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


class ReplacedResource(NamedResource):
    """One that cannot be written over: a change removes it and makes it anew."""

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: NamedResource,
        new_resource_name: str,
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
    ) -> NamedResource:
        cls.remove(original_resource.name, account_id, region_name)
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )
