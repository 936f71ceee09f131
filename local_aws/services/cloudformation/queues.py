"""Policies of queues and topics as CloudFormation resources: stored, as IAM's are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.core.common_models import CloudFormationModel
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_aws.services.cloudformation.resource import NamedResource, Properties


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


def _queues(urls: str, account: str, region: str) -> Iterable[Any]:
    names = [url.rpartition("/")[2] for url in urls.split(",")]
    known = sqs_backends[account][region].queues
    return [known[name] for name in names if name in known]
