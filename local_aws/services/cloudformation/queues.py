"""Policies of queues and topics (stored, as IAM's are) and subscriptions, as CloudFormation resources."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_aws.services.cloudformation.resource import NamedResource, Properties, ReplacedResource


class QueuePolicy(NamedResource, CloudFormationModel):
    """Known by the URLs of its queues."""

    TYPE = "AWS::SQS::QueuePolicy"

    @classmethod
    def name_in(cls, properties: Properties, generated: str) -> str:  # noqa: ARG003
        return ",".join(properties["Queues"])

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        for queue in _queues(name, account, region):
            queue.policy = json.dumps(properties["PolicyDocument"])

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        for queue in _queues(name, account, region):
            queue._policy_json = {}


class TopicPolicy(NamedResource, CloudFormationModel):
    """Known by the ARNs of its topics."""

    TYPE = "AWS::SNS::TopicPolicy"

    @classmethod
    def name_in(cls, properties: Properties, generated: str) -> str:  # noqa: ARG003
        return ",".join(properties["Topics"])

    @staticmethod
    def put(name: str, properties: Properties, account: str, region: str) -> None:
        for arn in name.split(","):
            sns_backends[account][region].topics[arn].policy = json.dumps(properties["PolicyDocument"])

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        for arn in name.split(","):
            if topic := sns_backends[account][region].topics.get(arn):
                topic.policy = json.dumps(topic._create_default_topic_policy(region, account, topic.name))


class Subscription(ReplacedResource, CloudFormationModel):
    """Known by its ARN, which subscribing to the same endpoint again gives again."""

    TYPE = "AWS::SNS::Subscription"

    @staticmethod
    def subscribe(properties: Properties, account: str, region: str) -> str:
        sns = sns_backends[account][region]
        found = sns.subscribe(properties["TopicArn"], properties["Endpoint"], properties["Protocol"])
        # The scope first: it decides how a policy is read.
        for name in ("FilterPolicyScope", "FilterPolicy", "RawMessageDelivery", "RedrivePolicy"):
            if name in properties:
                value = properties[name]
                text = json.dumps(value) if isinstance(value, dict) else str(value)
                sns.set_subscription_attributes(found.arn, name, text)
        return str(found.arn)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  # moto passes it by name
        cloudformation_json: Properties,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> NamedResource:
        arn = cls.subscribe(cloudformation_json["Properties"], account_id, region_name)
        return cls(arn, account_id, region_name)

    @staticmethod
    def remove(name: str, account: str, region: str) -> None:
        sns_backends[account][region].unsubscribe(name)


def _queues(urls: str, account: str, region: str) -> Iterable[Any]:
    names = [url.rpartition("/")[2] for url in urls.split(",")]
    known = sqs_backends[account][region].queues
    return [known[name] for name in names if name in known]
