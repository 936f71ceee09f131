"""What SNS sends to subscribers: the signed envelope, and the record of a Lambda function.

Shapes: docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html and
docs.aws.amazon.com/lambda/latest/dg/with-sns.html.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local_aws.services.sns.signing import Signer

SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


def envelope(
    topic: str,
    subscription: str,
    region: str,
    message_id: str,
    message: str,
    subject: str | None,
    attributes: Mapping[str, Any] | None,
    moment: datetime,
    signer: Signer,
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Subject": subject,
        "Message": message,
        "Timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if not subject:
        del content["Subject"]
    text = "".join(f"{name}\n{content[name]}\n" for name in SIGNED if name in content)
    address = f"https://sns.{region}.amazonaws.com"
    content |= {
        "SignatureVersion": "2",
        "Signature": signer.sign(text),
        "SigningCertURL": f"{address}/{signer.certificate_name}",
        "UnsubscribeURL": f"{address}/?Action=Unsubscribe&SubscriptionArn={subscription}",
    }
    if attributes:
        content["MessageAttributes"] = {
            name: {"Type": value["Type"], "Value": _text(value["Value"])}
            for name, value in attributes.items()
        }
    return content


def lambda_event(content: Mapping[str, Any], subscription: str) -> dict[str, Any]:
    """The event of a function. Lambda spells two names in its own way."""
    sns = {name: value for name, value in content.items() if not name.endswith("URL")}
    sns |= {
        "Subject": content.get("Subject"),
        "SigningCertUrl": content["SigningCertURL"],
        "UnsubscribeUrl": content["UnsubscribeURL"],
        "MessageAttributes": content.get("MessageAttributes", {}),
    }
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription,
                "Sns": sns,
            }
        ]
    }


def queue_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Message attributes of a raw delivery, as SQS has them. Binary values are base64 text here."""
    typed = {}
    for name, value in (attributes or {}).items():
        kind = "BinaryValue" if value["Type"].startswith("Binary") else "StringValue"
        typed[name] = {"DataType": value["Type"], kind: _text(value["Value"])}
    return typed


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
