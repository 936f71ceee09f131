"""Firehose through boto3: buffering, object names, limits, throttling, and nothing lost in a kill."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

PATIENCE = 30.0
IMPATIENT = Config(retries={"max_attempts": 0}, read_timeout=10, connect_timeout=5)
QUICK = {"SizeInMBs": 1, "IntervalInSeconds": 0}
SLOW = {"SizeInMBs": 128, "IntervalInSeconds": 900}


@pytest.fixture
def firehose(local_aws: Any) -> Any:
    return local_aws.client("firehose", config=IMPATIENT)


@pytest.fixture
def s3(local_aws: Any) -> Any:
    return local_aws.client("s3")


@pytest.fixture
def name(s3: Any) -> str:
    """Of a bucket that exists and of a stream that does not yet."""
    name = f"stream-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return name


def create(firehose: Any, name: str, hints: dict[str, int], **options: Any) -> str:
    tags = {"Tags": options.pop("Tags")} if "Tags" in options else {}
    destination = {
        "BucketARN": f"arn:aws:s3:::{name}",
        "RoleARN": "arn:aws:iam::123456789012:role/firehose",
        "BufferingHints": hints,
        **options,
    }
    arn = firehose.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination, **tags
    )["DeliveryStreamARN"]
    return str(arn)


def put(firehose: Any, name: str, *records: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = firehose.put_record_batch(
        DeliveryStreamName=name, Records=[{"Data": data} for data in records]
    )
    return answer


def keys(s3: Any, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.1)
    return found


def body(s3: Any, bucket: str, key: str) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def test_records_become_one_object_by_time(firehose: Any, s3: Any, name: str) -> None:
    arn = create(
        firehose,
        name,
        QUICK,
        Prefix="data/dt=!{timestamp:yyyy-MM-dd-HH}/",
        ErrorOutputPrefix="errors/",
        CompressionFormat="GZIP",
    )
    assert arn == f"arn:aws:firehose:us-east-1:123456789012:deliverystream/{name}"
    answer = put(firehose, name, b'{"a": 1}\n', b'{"a": 2}\n')
    assert answer["FailedPutCount"] == 0
    assert len({item["RecordId"] for item in answer["RequestResponses"]}) == 2
    (key,) = wait_for(lambda: keys(s3, name))
    times = r"\d{4}-\d\d-\d\d-\d\d"
    assert re.fullmatch(rf"data/dt=({times})/{name}-1-\1-\d\d-\d\d-[0-9a-f-]{{36}}\.gz", key)
    assert gzip.decompress(body(s3, name, key)) == b'{"a": 1}\n{"a": 2}\n'
    assert firehose.put_record(DeliveryStreamName=name, Record={"Data": b"later"})["RecordId"]
    second = wait_for(lambda: set(keys(s3, name)) - {key}).pop()
    assert gzip.decompress(body(s3, name, second)) == b"later"


def test_records_become_one_object_by_size(firehose: Any, s3: Any, name: str) -> None:
    create(firehose, name, {"SizeInMBs": 1, "IntervalInSeconds": 900})
    put(firehose, name, b"1" * 500_000)
    put(firehose, name, b"2" * 500_000)
    put(firehose, name, b"3" * 100_000)
    (key,) = wait_for(lambda: keys(s3, name))
    assert re.match(rf"\d{{4}}/\d\d/\d\d/\d\d/{name}-1-", key)
    assert body(s3, name, key) == b"1" * 500_000 + b"2" * 500_000 + b"3" * 100_000


def test_a_deleted_stream_delivers_what_it_took(firehose: Any, s3: Any, name: str) -> None:
    create(firehose, name, SLOW, Prefix="old/")
    put(firehose, name, b"last words")
    firehose.delete_delivery_stream(DeliveryStreamName=name)
    create(firehose, name, SLOW, Prefix="new/")
    put(firehose, name, b"of another stream")
    (key,) = wait_for(lambda: keys(s3, name))
    assert key.startswith("old/")
    assert body(s3, name, key) == b"last words"


def test_an_update_moves_what_comes_after_it(firehose: Any, s3: Any, name: str) -> None:
    create(firehose, name, SLOW, Prefix="one/")
    put(firehose, name, b"before")
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert (described["DeliveryStreamStatus"], described["VersionId"]) == ("ACTIVE", "1")
    (destination,) = described["Destinations"]
    update = {
        "DeliveryStreamName": name,
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": destination["DestinationId"],
        "ExtendedS3DestinationUpdate": {"Prefix": "two/", "BufferingHints": QUICK},
    }
    firehose.update_destination(**update)
    put(firehose, name, b"after")
    found = wait_for(lambda: sorted(keys(s3, name))[1:] and sorted(keys(s3, name)))
    assert [key.split("/")[0] for key in found] == ["one", "two"]
    assert [body(s3, name, key) for key in found] == [b"before", b"after"]
    assert f"/{name}-1-" in found[0]
    assert f"/{name}-2-" in found[1]
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    now = described["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert (now["Prefix"], now["BufferingHints"], now["CompressionFormat"]) == ("two/", QUICK, "UNCOMPRESSED")
    with pytest.raises(ClientError) as error:
        firehose.update_destination(**update)
    assert error.value.response["Error"]["Code"] == "ConcurrentModificationException"


def test_streams_are_listed_by_name_and_page(firehose: Any, name: str) -> None:
    for number in range(3):
        create(firehose, f"{name}-{number}", SLOW, BucketARN=f"arn:aws:s3:::{name}")
    page = firehose.list_delivery_streams(Limit=2, ExclusiveStartDeliveryStreamName=f"{name}-0")
    assert page["DeliveryStreamNames"][:2] == [f"{name}-1", f"{name}-2"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"BufferingHints": {"SizeInMBs": 200}}, "bufferingHints.SizeInMBs"),
        ({"CompressionFormat": "ZIP"}, "does not support CompressionFormat ZIP"),
        ({"Prefix": "!{timestamp:yyyy}/"}, "ErrorOutputPrefix cannot be null"),
        ({"S3BackupMode": "Enabled"}, "does not support S3BackupMode"),
        (
            {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}},
            r"does not support ProcessingConfiguration \(processors: Lambda\)",
        ),
        ({"DynamicPartitioningConfiguration": {"Enabled": True}}, "DynamicPartitioningConfiguration"),
        ({"DataFormatConversionConfiguration": {"Enabled": True}}, "DataFormatConversionConfiguration"),
    ],
)
def test_what_is_not_computed_is_refused(
    firehose: Any, name: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        create(firehose, name, SLOW, **options)
    assert name not in firehose.list_delivery_streams()["DeliveryStreamNames"]


def test_limits_of_records_and_batches(firehose: Any, s3: Any, name: str) -> None:
    create(firehose, name, QUICK)
    for records, code in (
        ([b"x" * 1_024_001], "ValidationException"),
        ([b"x"] * 501, "ValidationException"),
        ([b"x" * 1_000_000] * 5, "InvalidArgumentException"),
    ):
        with pytest.raises(ClientError) as error:
            put(firehose, name, *records)
        assert error.value.response["Error"]["Code"] == code
    put(firehose, name, *[b"y"] * 500)
    (key,) = wait_for(lambda: keys(s3, name))
    assert body(s3, name, key) == b"y" * 500
    with pytest.raises(ClientError) as error:
        put(firehose, "nobody", b"x")
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_throttled_stream_says_which_records_failed(firehose: Any, s3: Any, name: str) -> None:
    create(firehose, name, QUICK, Tags=[{"Key": "local-aws:records-per-second", "Value": "3"}])
    answer = put(firehose, name, b"1", b"2", b"3", b"4", b"5")
    assert answer["FailedPutCount"] == 2
    codes = [item.get("ErrorCode") for item in answer["RequestResponses"]]
    assert codes == [None, None, None, "ServiceUnavailableException", "ServiceUnavailableException"]
    firehose.tag_delivery_stream(
        DeliveryStreamName=name, Tags=[{"Key": "local-aws:records-per-second", "Value": "1"}]
    )

    def put_until_refused() -> None:
        for _ in range(50):
            firehose.put_record(DeliveryStreamName=name, Record={"Data": b"-"})

    with pytest.raises(ClientError) as error:
        put_until_refused()
    assert error.value.response["Error"] == {"Code": "ServiceUnavailableException", "Message": "Slow down."}
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    (key,) = wait_for(lambda: keys(s3, name))[:1]
    assert body(s3, name, key).startswith(b"123")


def test_a_missing_bucket_is_logged_and_tried_again(firehose: Any, s3: Any, local_aws: Any) -> None:
    name = f"stream-{uuid.uuid4().hex[:8]}"
    group = f"/aws/kinesisfirehose/{name}"
    logging = {"Enabled": True, "LogGroupName": group, "LogStreamName": "DestinationDelivery"}
    create(firehose, name, QUICK, CloudWatchLoggingOptions=logging)
    put(firehose, name, b"patient")
    logs = local_aws.client("logs")

    def told() -> list[dict[str, Any]]:
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(event["message"]) for event in events]

    assert wait_for(told)[0]["errorCode"] == "S3.NoSuchBucket"
    s3.create_bucket(Bucket=name)
    (key,) = wait_for(lambda: keys(s3, name))
    assert body(s3, name, key) == b"patient"


def test_acknowledged_records_survive_kills_once_each(new_local_aws: Callable[[], Any]) -> None:
    """Killed three times while four clients write; then every acknowledged record is there exactly once."""
    aws = new_local_aws()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="data")
    firehose = aws.client("firehose", config=IMPATIENT)
    create(firehose, "data", QUICK)
    acknowledged: list[str] = []
    attempted: list[str] = []
    stopped = threading.Event()

    def write() -> None:
        client = aws.client("firehose", config=IMPATIENT)
        while not stopped.is_set():
            texts = [uuid.uuid4().hex for _ in range(20)]
            attempted.extend(texts)
            try:
                put(client, "data", *(f"{text}\n".encode() for text in texts))
                acknowledged.extend(texts)
            except (BotoCoreError, ClientError):
                stopped.wait(0.05)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            enough = len(acknowledged) + 400
            wait_for(lambda: len(acknowledged) > enough)  # noqa: B023  # asked before the next round
            aws.restart(kill=True)
    finally:
        stopped.set()
        for writer in writers:
            writer.join()

    def delivered() -> list[str]:
        return [line for key in keys(s3, "data") for line in body(s3, "data", key).decode().split()]

    wait_for(lambda: set(delivered()) >= set(acknowledged))
    found = delivered()
    assert len(found) == len(set(found))
    assert set(found) <= set(attempted)
    assert len(acknowledged) > 1200


TEMPLATE = """
Parameters: {Name: {Type: String}, Seconds: {Type: Number}}
Resources:
  Stream:
    Type: AWS::KinesisFirehose::DeliveryStream
    Properties:
      DeliveryStreamName: !Ref Name
      DeliveryStreamType: DirectPut
      ExtendedS3DestinationConfiguration:
        BucketARN: !Sub "arn:${AWS::Partition}:s3:::${Name}"
        RoleARN: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/firehose"
        BufferingHints: {IntervalInSeconds: !Ref Seconds, SizeInMBs: 1}
        CompressionFormat: GZIP
        CloudWatchLoggingOptions: {Enabled: false}
      Tags: [{Key: team, Value: ml}]
Outputs:
  Arn: {Value: !GetAtt Stream.Arn}
  Name: {Value: !Ref Stream}
"""


def test_a_stream_of_a_template(firehose: Any, s3: Any, local_aws: Any, name: str) -> None:
    stacks = local_aws.client("cloudformation")

    def parameters(seconds: int) -> list[dict[str, str]]:
        values = {"Name": name, "Seconds": str(seconds)}
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]

    stacks.create_stack(StackName=name, TemplateBody=TEMPLATE, Parameters=parameters(900))
    stacks.get_waiter("stack_create_complete").wait(StackName=name)
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    assert outputs == {"Name": name, "Arn": f"arn:aws:firehose:us-east-1:123456789012:deliverystream/{name}"}
    tags = firehose.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"]
    assert tags == [{"Key": "team", "Value": "ml"}]
    put(firehose, name, b"x")
    stacks.update_stack(StackName=name, TemplateBody=TEMPLATE, Parameters=parameters(0))
    stacks.get_waiter("stack_update_complete").wait(StackName=name)
    (key,) = wait_for(lambda: keys(s3, name))
    assert gzip.decompress(body(s3, name, key)) == b"x"
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name)
    assert name not in firehose.list_delivery_streams()["DeliveryStreamNames"]


def test_a_template_with_a_processor_fails_by_name(local_aws: Any, name: str) -> None:
    stacks = local_aws.client("cloudformation")
    processor = "ProcessingConfiguration: {Enabled: true, Processors: [{Type: MetadataExtraction}]}"
    template = TEMPLATE.replace("CompressionFormat: GZIP", processor)
    values = {"Name": name, "Seconds": "0"}
    with pytest.raises((ClientError, WaiterError), match="does not support ProcessingConfiguration"):
        stacks.create_stack(
            StackName=name,
            TemplateBody=template,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        )
