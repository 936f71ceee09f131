"""The short way of plain objects gives what moto's own way gives: every header, every byte."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from typing import Any

import pytest
from botocore.exceptions import ClientError

# New with every request. The rest must be the same.
OWN = {"date", "x-amzn-requestid", "last-modified", "x-amz-version-id"}


@pytest.fixture(scope="module")
def s3(local_aws: Any) -> Any:
    return local_aws.client("s3")


@pytest.fixture(scope="module")
def long(local_aws: Any) -> Any:
    """A client whose requests go the long way: they have a header that the short way does not know."""
    client = local_aws.client("s3")
    client.meta.events.register(
        "before-sign.s3", lambda request, **_: request.headers.add_header("X-The-Long-Way", "1")
    )
    return client


def told(answer: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    metadata = answer["ResponseMetadata"]
    headers = {name: value for name, value in metadata["HTTPHeaders"].items() if name not in OWN}
    body = answer["Body"].read() if "Body" in answer else b""
    return metadata["HTTPStatusCode"], headers, body


def shown(client: Any, bucket: str, key: str) -> list[Any]:
    return [told(client.get_object(Bucket=bucket, Key=key)), told(client.head_object(Bucket=bucket, Key=key))]


PUTS: dict[str, dict[str, Any]] = {
    "plain": {"Body": b"x" * 1000},
    "empty": {"Body": b""},
    "typed": {"Body": b"a,b\n", "ContentType": "text/csv", "Metadata": {"Owner": "me", "under_score": "1"}},
    "md5": {"Body": b"x", "ContentMD5": base64.b64encode(hashlib.md5(b"x").digest()).decode()},
    "sha256": {"Body": b"x", "ChecksumAlgorithm": "SHA256"},
    # These have headers that both clients send the long way; what they leave behind is read the short way.
    "encoded": {"Body": b"x", "ContentEncoding": "gzip", "CacheControl": "no-store"},
    "tagged": {"Body": b"x", "Tagging": "a=1&b=2"},
    "cold": {"Body": b"x", "StorageClass": "STANDARD_IA"},
    "encrypted": {"Body": b"x", "ServerSideEncryption": "AES256"},
}


@pytest.mark.parametrize("bucket", ["direct", "direct-versioned", "direct-encrypted"])
@pytest.mark.parametrize("name", PUTS)
def test_both_ways_give_the_same(s3: Any, long: Any, bucket: str, name: str) -> None:
    make(s3, bucket)
    arguments = PUTS[name]
    short_key, long_key = f"short/{name}.bin", f"longer/{name}.bin"
    by_short = told(s3.put_object(Bucket=bucket, Key=short_key, **arguments))
    by_long = told(long.put_object(Bucket=bucket, Key=long_key, **arguments))
    assert by_short == by_long
    assert by_short[0] == 200
    for key in (short_key, long_key):
        assert shown(s3, bucket, key) == shown(long, bucket, key)
    assert shown(s3, bucket, short_key) == shown(s3, bucket, long_key)
    assert shown(s3, bucket, short_key)[0][2] == arguments["Body"]


def make(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    if bucket == "direct-versioned":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if bucket == "direct-encrypted":
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key"}}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_parts_and_versions(s3: Any, long: Any) -> None:
    bucket = "direct-versioned"
    make(s3, bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert shown(s3, bucket, "parts") == shown(long, bucket, "parts")
    version = s3.head_object(Bucket=bucket, Key="parts")["VersionId"]
    assert version == long.head_object(Bucket=bucket, Key="parts")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="parts")
    for client in (s3, long):
        with pytest.raises(ClientError, match="NoSuchKey"):
            client.get_object(Bucket=bucket, Key="parts")
        assert client.get_object(Bucket=bucket, Key="parts", VersionId=version)["Body"].read() == b"part"


def test_an_overwrite_is_seen_at_once(s3: Any) -> None:
    make(s3, "direct")
    for number in range(5):
        body = b"x" * (number + 1)
        etag = s3.put_object(Bucket="direct", Key="again", Body=body)["ETag"]
        answer = s3.get_object(Bucket="direct", Key="again")
        assert (answer["Body"].read(), answer["ETag"], answer["ContentLength"]) == (body, etag, number + 1)


def test_what_the_short_way_must_leave_alone(s3: Any) -> None:
    make(s3, "direct")
    s3.put_object(Bucket="direct", Key="plain", Body=b"0123456789")
    etag = s3.head_object(Bucket="direct", Key="plain")["ETag"]
    assert s3.get_object(Bucket="direct", Key="plain", Range="bytes=2-4")["Body"].read() == b"234"
    refusals: list[tuple[str, Any]] = [
        ("304", lambda: s3.get_object(Bucket="direct", Key="plain", IfNoneMatch=etag)),
        ("PreconditionFailed", lambda: s3.put_object(Bucket="direct", Key="plain", IfNoneMatch="*")),
        ("NoSuchKey", lambda: s3.get_object(Bucket="direct", Key="none")),
        ("404", lambda: s3.head_object(Bucket="direct", Key="none")),
        ("NoSuchBucket", lambda: s3.get_object(Bucket="direct-none", Key="plain")),
        ("NoSuchBucket", lambda: s3.put_object(Bucket="direct-none", Key="plain", Body=b"")),
        (
            "BadDigest",
            lambda: s3.put_object(Bucket="direct", Key="plain", Body=b"1", ContentMD5="A" * 22 + "=="),
        ),
    ]
    for code, call in refusals:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == code
    assert s3.get_object(Bucket="direct", Key="plain")["Body"].read() == b"0123456789"


def test_policies_and_locks_hold(s3: Any) -> None:
    s3.create_bucket(Bucket="direct-denied")
    s3.put_object(Bucket="direct-denied", Key="k", Body=b"1")
    s3.put_bucket_policy(
        Bucket="direct-denied",
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", '
        '"Action": "s3:GetObject", "Resource": "arn:aws:s3:::direct-denied/*"}]}',
    )
    with pytest.raises(ClientError, match="403"):
        s3.get_object(Bucket="direct-denied", Key="k")
    s3.delete_bucket_policy(Bucket="direct-denied")
    assert s3.get_object(Bucket="direct-denied", Key="k")["Body"].read() == b"1"

    s3.create_bucket(Bucket="direct-locked", ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket="direct-locked",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    s3.put_object(Bucket="direct-locked", Key="k", Body=b"1", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket="direct-locked", Key="k")["ObjectLockMode"] == "GOVERNANCE"


@pytest.mark.parametrize("arguments", [{}, {"FetchOwner": True}, {"Delimiter": "/"}, {"EncodingType": "url"}])
def test_listings_of_many_have_the_rows_of_listings_of_one(s3: Any, arguments: dict[str, Any]) -> None:
    """One row is moto's own; the rows of longer listings are written by us."""
    s3.create_bucket(Bucket="direct-listed")
    for key in ("a&b <c>.csv", "b", "ü/x", "z\"'"):
        s3.put_object(Bucket="direct-listed", Key=key, Body=key.encode())
    s3.put_object(
        Bucket="direct-listed", Key="c", Body=b"", ChecksumAlgorithm="SHA256", StorageClass="GLACIER"
    )
    for operation in ("list_objects", "list_objects_v2"):
        given = {k: v for k, v in arguments.items() if operation == "list_objects_v2" or k != "FetchOwner"}
        whole = getattr(s3, operation)(Bucket="direct-listed", **given)["Contents"]
        assert len(whole) == (4 if "Delimiter" in arguments else 5)
        for one in whole:
            key = urllib.parse.unquote(one["Key"]) if "EncodingType" in given else one["Key"]
            alone = getattr(s3, operation)(Bucket="direct-listed", Prefix=key, **given).get("Contents")
            if alone:  # with a delimiter the prefix itself may hide it
                assert alone == [one]
