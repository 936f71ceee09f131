"""S3's notifications through boto3, in S3's own shapes."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contracts.boto3.queues import TestQueue


@pytest.fixture(scope="module")
def s3(local_aws: Any) -> Any:
    return local_aws.client("s3")


@pytest.fixture(scope="module")
def sqs(local_aws: Any) -> Any:
    return local_aws.client("sqs")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"notify-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def to_events(local_aws: Any, s3: Any, bucket: str, queue: TestQueue) -> None:
    events = local_aws.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=bucket, Targets=[{"Id": "1", "Arn": queue.arn}])
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def to_queue(s3: Any, bucket: str, arn: str, **options: Any) -> None:
    configuration = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], **options}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
    )


def test_eventbridge_hears_of_objects_as_s3_tells_it(local_aws: Any, s3: Any, sqs: Any, bucket: str) -> None:
    queue = TestQueue(sqs)
    to_events(local_aws, s3, bucket, queue)
    etag = s3.put_object(Bucket=bucket, Key="raw/a b.csv", Body=b"four")["ETag"].strip('"')
    (event,) = queue.bodies(1)
    assert (event["detail-type"], event["source"]) == ("Object Created", "aws.s3")
    assert event["resources"] == [f"arn:aws:s3:::{bucket}"]
    detail = event["detail"]
    assert int(detail["object"].pop("sequencer"), 16) > 0
    assert len(detail.pop("request-id")) == 16
    assert detail == {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {"key": "raw/a b.csv", "size": 4, "etag": etag},
        "requester": "123456789012",
        "source-ip-address": "127.0.0.1",
        "reason": "PutObject",
    }
    s3.delete_object(Bucket=bucket, Key="raw/a b.csv")
    (event,) = queue.bodies(1)
    assert event["detail-type"] == "Object Deleted"
    assert (event["detail"]["reason"], event["detail"]["deletion-type"]) == (
        "DeleteObject",
        "Permanently Deleted",
    )


def test_copies_multipart_uploads_and_versions(local_aws: Any, s3: Any, sqs: Any, bucket: str) -> None:
    queue = TestQueue(sqs)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    to_events(local_aws, s3, bucket, queue)
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="c", UploadId=upload, PartNumber=1, Body=b"y")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="c",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="a", VersionId=first)
    told = [
        (
            event["detail"]["object"]["key"],
            event["detail"]["reason"],
            event["detail"].get("deletion-type"),
            event["detail"]["object"]["version-id"],
        )
        for event in sorted(queue.bodies(5), key=lambda event: event["detail"]["object"]["sequencer"])
    ]
    assert [one[:3] for one in told] == [
        ("a", "PutObject", None),
        ("b", "CopyObject", None),
        ("c", "CompleteMultipartUpload", None),
        ("a", "DeleteObject", "Delete Marker Created"),
        ("a", "DeleteObject", "Permanently Deleted"),
    ]
    assert (told[0][3], told[3][3], told[4][3]) == (first, marker, first)


def test_a_queue_receives_records_of_what_its_filter_lets_through(s3: Any, sqs: Any, bucket: str) -> None:
    queue = TestQueue(sqs)
    rules = [{"Name": "prefix", "Value": "raw/"}, {"Name": "suffix", "Value": ".csv"}]
    to_queue(s3, bucket, queue.arn, Id="mine", Filter={"Key": {"FilterRules": rules}})
    (test,) = queue.bodies(1)
    assert (test["Service"], test["Event"], test["Bucket"]) == ("Amazon S3", "s3:TestEvent", bucket)
    for key in ("raw/x.txt", "other/x.csv", "raw/ä b.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"four")
    (body,) = queue.bodies(1)
    (record,) = body["Records"]
    assert (record["eventVersion"], record["eventSource"], record["eventName"]) == (
        "2.1",
        "aws:s3",
        "ObjectCreated:Put",
    )
    about = record["s3"]
    assert (about["configurationId"], about["bucket"]["name"]) == ("mine", bucket)
    assert (about["object"]["key"], about["object"]["size"]) == ("raw/%C3%A4+b.csv", 4)
    s3.delete_object(Bucket=bucket, Key="raw/ä b.csv")
    (body,) = queue.bodies(1)
    assert body["Records"][0]["eventName"] == "ObjectRemoved:Delete"
    assert "size" not in body["Records"][0]["s3"]["object"]
    assert queue.size() == 0


def test_the_configuration_is_given_back(s3: Any, sqs: Any, bucket: str) -> None:
    queue = TestQueue(sqs)
    configuration = {
        "EventBridgeConfiguration": {},
        "QueueConfigurations": [{"Id": "a", "QueueArn": queue.arn, "Events": ["s3:ObjectCreated:Put"]}],
    }
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert {name: found[name] for name in configuration} == configuration


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"QueueArn": "arn:aws:sqs:us-east-1:123456789012:gone"}, "InvalidArgument", "does not exist"),
        ({"Events": ["s3:ObjectTagging:*"]}, "UnsupportedOperation", "the event s3:ObjectTagging:*"),
    ],
)
def test_what_could_not_be_told_is_refused(
    s3: Any, sqs: Any, bucket: str, change: dict[str, Any], code: str, words: str
) -> None:
    queue = TestQueue(sqs)
    with pytest.raises(ClientError) as error:
        to_queue(s3, bucket, queue.arn, **change)
    assert error.value.response["Error"]["Code"] == code
    assert words in error.value.response["Error"]["Message"]
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
