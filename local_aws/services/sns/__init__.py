"""SNS: topics that deliver to queues and functions, through the durable queue of deliveries.

Filter policies are on attributes (moto's matcher) or on the body (the patterns of EventBridge, whose syntax
it is). An e-mail subscription waits for its confirmation, which nobody can give here, so it receives nothing;
HTTP, SMS, mobile push and Firehose are refused by name.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, ClassVar

from moto.sns.models import SNSBackend, Subscription, Topic, sns_backends

from local_aws import aws_errors, moto_hooks
from local_aws.context import Context
from local_aws.services import delivery
from local_aws.services.events import patterns
from local_aws.services.sns import messages
from local_aws.services.sns.signing import PREFIX, Signer

DELIVERED = ("sqs", "lambda")
UNCONFIRMED = ("email", "email-json")


class Backend(SNSBackend):
    context: ClassVar[Context]
    signer: ClassVar[Signer]

    def subscribe(self, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        if protocol not in (*DELIVERED, *UNCONFIRMED):
            raise aws_errors.unsupported("sns", "Subscribe", f"the protocol {protocol!r}")
        subscription = super().subscribe(topic_arn, endpoint, protocol)
        subscription.attributes["PendingConfirmation"] = protocol in UNCONFIRMED
        return subscription

    def publish(self, message: str, arn: str | None, *args: Any, **kwargs: Any) -> str:
        if arn is None or kwargs.get("phone_number"):
            raise aws_errors.unsupported("sns", "Publish", "text messages to telephones")
        return super().publish(message, arn, *args, **kwargs)


def install(context: Context) -> None:
    Backend.context = context
    Backend.signer = Signer(context.data_dir / "sns" / "signing-key.pem")
    moto_hooks.replace_backend("sns", Backend)
    moto_hooks.replace_attribute("sns", "Topic", "publish", _publish)
    for operation in ("CreatePlatformApplication", "CreatePlatformEndpoint", "OptInPhoneNumber"):
        moto_hooks.not_supported("sns", operation)


def certificate(path: str) -> bytes | None:
    """What SigningCertURL names, for the front door: `path` without its host."""
    name = path.lstrip("/")
    if name.startswith(PREFIX) and name == Backend.signer.certificate_name:
        return Backend.signer.certificate()
    return None


def _publish(
    topic: Topic,
    message: str,
    subject: str | None = None,
    message_attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> str:
    """In the place of moto's Topic.publish: a delivery for each subscription that wants the message."""
    backend = sns_backends[topic.account_id][topic.sns_backend.region_name]
    assert isinstance(backend, Backend)
    message_id = str(uuid.uuid4())
    if topic.fifo_topic and not deduplication_id:
        deduplication_id = hashlib.sha256(message.encode()).hexdigest()
    order = {"group_id": group_id, "deduplication_id": deduplication_id} if group_id else {}
    owed = []
    for subscription in backend.subscriptions.values():
        if subscription.topic.arn != topic.arn or subscription.protocol not in DELIVERED:
            continue
        text = _for_protocol(message, message_structure, subscription.protocol)
        if _wants(subscription, message_attributes, text):
            content = messages.envelope(
                topic.arn,
                subscription.arn,
                backend.region_name,
                message_id,
                text,
                subject,
                message_attributes,
                backend.context.clock(),
                backend.signer,
            )
            owed.append(_delivery(subscription, text, content, message_attributes, order))
    delivery.add(owed)
    return message_id


def _delivery(
    subscription: Subscription,
    text: str,
    content: dict[str, Any],
    attributes: dict[str, Any] | None,
    order: dict[str, Any],
) -> delivery.Delivery:
    options: dict[str, Any] = dict(order)
    if subscription.protocol == "lambda":
        body = json.dumps(messages.lambda_event(content, subscription.arn))
    elif str(subscription.attributes.get("RawMessageDelivery")).lower() == "true":
        body = text
        options["typed_attributes"] = messages.queue_attributes(attributes)
    else:
        body = json.dumps(content, indent=2)
    policy = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
    queue = policy.get("deadLetterTargetArn")
    dead_letter = delivery.DeadLetter(queue, body) if queue else None
    return delivery.Delivery(
        subscription.endpoint, body, subscription.topic.arn, options, dead_letter=dead_letter
    )


def _for_protocol(message: str, structure: str | None, protocol: str) -> str:
    if structure != "json":
        return message
    parts = json.loads(message)
    return str(parts.get(protocol, parts["default"]))


def _wants(subscription: Subscription, attributes: dict[str, Any] | None, message: str) -> bool:
    policy = subscription._filter_policy
    if not policy:
        return True
    if subscription.attributes.get("FilterPolicyScope") != "MessageBody":
        matcher = subscription._filter_policy_matcher
        return matcher is None or bool(matcher.matches(attributes, message))
    try:
        body = json.loads(message)
    except ValueError:
        return False
    return isinstance(body, dict) and patterns.compile_pattern(json.dumps(policy)).matches(body)
