"""What SNS sends to subscribers: the signed envelope, and the record of a Lambda function.

Shapes: docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html and
docs.aws.amazon.com/lambda/latest/dg/with-sns.html.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def key_name() -> str:
    der = (
        signing_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return hashlib.sha256(der).hexdigest()[:32]


def certificate(key: rsa.RSAPrivateKey, now: datetime) -> bytes:
    """PEM of a self-signed certificate, with which a receiver can check signatures."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def envelope(
    topic: str,
    subscription: str,
    region: str,
    message_id: str,
    message: str,
    subject: str | None,
    attributes: Mapping[str, Any] | None,
    moment: datetime,
    certificate_name: str,
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
    signature = signing_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    address = f"https://sns.{region}.amazonaws.com"
    content |= {
        "SignatureVersion": "2",
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": f"{address}/{certificate_name}",
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
