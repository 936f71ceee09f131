"""SNS through boto3: queues and functions receive, filters filter, dead letters are kept."""

from __future__ import annotations

import base64
import http.client
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.contracts.boto3.queues import TestQueue


@pytest.fixture(scope="module")
def sns(local_aws: Any) -> Any:
    return local_aws.client("sns")


@pytest.fixture(scope="module")
def sqs(local_aws: Any) -> Any:
    return local_aws.client("sqs")


@pytest.fixture
def topic(sns: Any) -> str:
    return str(sns.create_topic(Name=f"t-{uuid.uuid4().hex[:12]}")["TopicArn"])


def subscribe(sns: Any, topic: str, queue: TestQueue, **attributes: Any) -> str:
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in attributes.items()}
    answer = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=texts, ReturnSubscriptionArn=True
    )
    return str(answer["SubscriptionArn"])


def attribute(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def test_a_queue_receives_a_signed_envelope(local_aws: Any, sns: Any, sqs: Any, topic: str) -> None:
    queue = TestQueue(sqs)
    subscription = subscribe(sns, topic, queue)
    answer = sns.publish(
        TopicArn=topic, Message="hello", Subject="greeting", MessageAttributes={"a": attribute("v")}
    )
    (body,) = queue.bodies(1)
    assert {name: body[name] for name in ("Type", "MessageId", "TopicArn", "Subject", "Message")} == {
        "Type": "Notification",
        "MessageId": answer["MessageId"],
        "TopicArn": topic,
        "Subject": "greeting",
        "Message": "hello",
    }
    assert body["MessageAttributes"] == {"a": {"Type": "String", "Value": "v"}}
    assert body["UnsubscribeURL"].endswith(f"SubscriptionArn={subscription}")
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{body[name]}\n" for name in names)
    assert body["SigningCertURL"].startswith("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-")
    certificate = x509.load_pem_x509_certificate(pem(local_aws, body["SigningCertURL"]))
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(body["Signature"])
    key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())  # raises when it is not


def pem(local_aws: Any, url: str) -> bytes:
    """The certificate, from where its URL says; the host is this machine."""
    host, _, path = url.removeprefix("https://").partition("/")
    connection = http.client.HTTPConnection("127.0.0.1", local_aws.port, timeout=30)
    connection.request("GET", f"/{path}", headers={"Host": host})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def test_raw_delivery_is_the_message_itself(sns: Any, sqs: Any, topic: str) -> None:
    queue = TestQueue(sqs)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    sns.publish(
        TopicArn=topic,
        Message="hello",
        MessageAttributes={"a": attribute("v"), "n": attribute("5", "Number")},
    )
    (message,) = queue.messages(1)
    assert message["Body"] == "hello"
    assert message["MessageAttributes"] == {"a": attribute("v"), "n": attribute("5", "Number")}


def test_filters_by_attribute_and_by_body(sns: Any, sqs: Any, topic: str) -> None:
    by_attribute, by_body, everything = TestQueue(sqs), TestQueue(sqs), TestQueue(sqs)
    raw = {"RawMessageDelivery": "true"}
    subscribe(sns, topic, by_attribute, FilterPolicy={"kind": ["a", {"prefix": "b"}]}, **raw)
    policy = {"detail": {"n": [{"numeric": [">", 3]}]}}
    subscribe(sns, topic, by_body, FilterPolicyScope="MessageBody", FilterPolicy=policy, **raw)
    subscribe(sns, topic, everything, **raw)
    bodies = [json.dumps({"detail": {"n": n}}) for n in (1, 5)]
    for body, kind in zip(bodies, ("bb", "c"), strict=True):
        sns.publish(TopicArn=topic, Message=body, MessageAttributes={"kind": attribute(kind)})
    assert [message["Body"] for message in everything.messages(2)] == bodies
    assert [message["Body"] for message in by_attribute.messages(1)] == [bodies[0]]
    assert [message["Body"] for message in by_body.messages(1)] == [bodies[1]]
    assert by_attribute.size() + by_body.size() == 0


def test_a_message_for_each_protocol(sns: Any, sqs: Any, topic: str) -> None:
    queue = TestQueue(sqs)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    sns.publish(TopicArn=topic, MessageStructure="json", Message='{"default": "d", "sqs": "for queues"}')
    sns.publish(TopicArn=topic, MessageStructure="json", Message='{"default": "d", "lambda": "x"}')
    assert [message["Body"] for message in queue.messages(2)] == ["for queues", "d"]


def test_fifo_topics_keep_groups_and_drop_duplicates(sns: Any, sqs: Any) -> None:
    topic = sns.create_topic(
        Name=f"t-{uuid.uuid4().hex[:12]}.fifo",
        Attributes={"FifoTopic": "true", "ContentBasedDeduplication": "true"},
    )["TopicArn"]
    queue = TestQueue(sqs, FifoQueue="true")
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    for text in ("one", "one", "two"):
        sns.publish(TopicArn=topic, Message=text, MessageGroupId="g")
    found = queue.messages(2)
    assert [(m["Body"], m["Attributes"]["MessageGroupId"]) for m in found] == [("one", "g"), ("two", "g")]
    assert queue.size() == 0


def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(sns: Any, sqs: Any, topic: str) -> None:
    gone, dead = TestQueue(sqs), TestQueue(sqs)
    subscribe(sns, topic, gone, RedrivePolicy={"deadLetterTargetArn": dead.arn})
    sqs.delete_queue(QueueUrl=gone.url)
    sns.publish(TopicArn=topic, Message="hello")
    (body,) = dead.bodies(1)
    assert (body["Message"], body["TopicArn"]) == ("hello", topic)


def test_nobody_confirms_an_address_here(sns: Any, topic: str) -> None:
    found = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True
    )
    attributes = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])["Attributes"]
    assert attributes["PendingConfirmation"].lower() == "true"


@pytest.mark.parametrize("protocol", ["http", "https", "sms", "firehose"])
def test_what_is_not_delivered_to_is_refused_by_name(sns: Any, topic: str, protocol: str) -> None:
    with pytest.raises(ClientError) as error:
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint="+15555550100")
    assert error.value.response["Error"]["Code"] == "UnsupportedOperation"
    assert f"the protocol '{protocol}'" in error.value.response["Error"]["Message"]


def test_topics_and_what_they_owe_survive_a_kill(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name="t")["TopicArn"]
    queue = TestQueue(sqs)
    subscribe(sns, topic, queue, RawMessageDelivery="true")
    for n in range(10):
        sns.publish(TopicArn=topic, Message=str(n))
    aws.restart(kill=True)
    sns.publish(TopicArn=topic, Message="after")
    missing = {*map(str, range(10)), "after"}
    while missing:  # at least once: one may come twice
        missing -= {message["Body"] for message in queue.messages(1)}
