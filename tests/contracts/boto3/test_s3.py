"""S3 as boto3 sees it: values, not status codes."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import uuid
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MEGABYTE = 1 << 20


@pytest.fixture
def s3(local_aws: Any) -> Any:
    return local_aws.client("s3", config=Config(retries={"max_attempts": 1}))


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def read(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return body


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_metadata_keeps_its_names(s3: Any, bucket: str) -> None:
    metadata = {"run_id": "manual__2026", "data-version": "v1", "plain": "a b=c"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata, ContentType="text/csv")
    answer = s3.head_object(Bucket=bucket, Key="k")
    assert answer["Metadata"] == metadata
    assert answer["ContentType"] == "text/csv"
    assert answer["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    assert answer["ContentLength"] == 1


@pytest.mark.parametrize(
    "key", ["a//b", "ä ö/ü+%20x", "/leading", "a/../b", "sp ace", "q?x=1&y", "a/", "ends.", "x" * 1024]
)
def test_any_key_comes_back_as_it_was_written(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert read(s3, bucket, key) == key.encode()
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("bytes=0-0", b"0"),
        ("bytes=3-5", b"345"),
        ("bytes=7-", b"789"),
        ("bytes=-2", b"89"),
        ("bytes=8-99", b"89"),
    ],
)
def test_a_range_is_that_part_of_the_object(s3: Any, bucket: str, span: str, expected: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="digits", Range=span)
    assert answer["Body"].read() == expected
    assert answer["ContentLength"] == len(expected)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_outside_the_object_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"0123456789")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="digits", Range="bytes=10-")
    assert code_of(error) == "InvalidRange"


def test_listing_in_pages_with_folders(s3: Any, bucket: str) -> None:
    keys = [f"{folder}/{number:02d}" for folder in ("a", "b") for number in range(7)] + ["top"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for operation in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 4}))
        assert [item["Key"] for page in pages for item in page["Contents"]] == keys
        assert len(pages) == 4
    folders = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [prefix["Prefix"] for prefix in folders["CommonPrefixes"]] == ["a/", "b/"]
    assert [item["Key"] for item in folders["Contents"]] == ["top"]


def test_a_large_file_goes_up_in_parts_and_comes_down_whole(s3: Any, bucket: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(21 * MEGABYTE))
    s3.upload_file(str(source), bucket, "big", ExtraArgs={"Metadata": {"kind": "model"}})
    s3.download_file(bucket, "big", str(copy))
    assert copy.read_bytes() == source.read_bytes()
    answer = s3.head_object(Bucket=bucket, Key="big")
    assert answer["ETag"].endswith('-3"')
    assert answer["Metadata"] == {"kind": "model"}
    assert s3.head_object(Bucket=bucket, Key="big", PartNumber=1)["PartsCount"] == 3


def test_parts_out_of_order_overwritten_and_left_out(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]

    def part(number: int, data: bytes) -> dict[str, Any]:
        answer = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    part(2, b"never used" + b"x" * 5 * MEGABYTE)
    third, first = part(3, b"end"), part(1, b"a" * 5 * MEGABYTE)
    second = part(2, b"b" * 5 * MEGABYTE)
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    assert [(item["PartNumber"], item["Size"]) for item in listed] == [
        (1, 5 * MEGABYTE),
        (2, 5 * MEGABYTE),
        (3, 3),
    ]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            MultipartUpload={"Parts": [first, {"PartNumber": 2, "ETag": first["ETag"]}]},
        )
    assert code_of(error) == "InvalidPart"
    s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": [first, second, third]}
    )
    assert read(s3, bucket, "k") == b"a" * 5 * MEGABYTE + b"b" * 5 * MEGABYTE + b"end"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with pytest.raises(ClientError) as error:
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=2, Body=b"x")
    assert code_of(error) == "NoSuchUpload"


def test_copies_are_independent_of_their_source(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"first", Metadata={"a": "1"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    s3.put_object(Bucket=bucket, Key="source", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="source")
    assert read(s3, bucket, "copy") == b"first"
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"a": "1"}


def test_a_large_copy_in_parts(s3: Any, bucket: str) -> None:
    data = os.urandom(12 * MEGABYTE)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    config = TransferConfig(multipart_threshold=5 * MEGABYTE, multipart_chunksize=5 * MEGABYTE)
    s3.copy({"Bucket": bucket, "Key": "source"}, bucket, "copy", Config=config)
    assert read(s3, bucket, "copy") == data


def test_a_reader_is_not_disturbed_by_an_overwrite_or_a_delete(s3: Any, bucket: str) -> None:
    data = os.urandom(8 * MEGABYTE)
    for change in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"other"),
        lambda: s3.delete_object(Bucket=bucket, Key="k"),
    ):
        s3.put_object(Bucket=bucket, Key="k", Body=data)
        body = s3.get_object(Bucket=bucket, Key="k")["Body"]
        start = body.read(1000)
        change()
        assert start + body.read() == data


def test_readers_and_writers_of_one_key_see_whole_objects(s3: Any, local_aws: Any, bucket: str) -> None:
    contents = {bytes([65 + number]) * 200_000 for number in range(4)}
    s3.put_object(Bucket=bucket, Key="k", Body=next(iter(contents)))
    seen: set[bytes] = set()
    done = threading.Event()

    def keep_reading() -> None:
        client = local_aws.client("s3")
        while not done.is_set():
            seen.add(read(client, bucket, "k"))

    readers = [threading.Thread(target=keep_reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        for content in contents:
            s3.put_object(Bucket=bucket, Key="k", Body=content)
    done.set()
    for reader in readers:
        reader.join()
    assert seen
    assert seen <= contents


def test_conditional_writes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(error) == "PreconditionFailed"
    assert read(s3, bucket, "k") == b"1"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_kept_and_checked(s3: Any, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm=algorithm)
    answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == b"data"
    assert answer[f"Checksum{algorithm}"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", **{f"Checksum{algorithm}": "AAAAAA=="})
    assert code_of(error) == "BadDigest"
    assert read(s3, bucket, "k") == b"data"


def chunked(data: bytes, trailer: bytes = b"") -> bytes:
    chunks = [data[at : at + 7] for at in range(0, len(data), 7)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def raw_put(url: str, body: Any, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"
    return urllib3.request("PUT", url, body=body, headers={"Authorization": authorization, **headers})


def test_a_chunked_upload_with_a_trailing_checksum_is_unwrapped(s3: Any, local_aws: Any, bucket: str) -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "20",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "content-encoding": "aws-chunked",
    }
    url = f"{local_aws.endpoint_url}/{bucket}/k"
    data = b"twenty bytes of data"
    wrong = chunked(data, b"x-amz-checksum-crc32:AAAAAA==\r\n")
    refused = raw_put(url, wrong, headers)
    assert (refused.status, b"BadDigest" in refused.data) == (400, True)
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big"))
    right = chunked(data, b"x-amz-checksum-crc32:" + crc + b"\r\n")
    assert raw_put(url, right, headers).status == 200
    assert read(s3, bucket, "k") == data
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_an_upload_that_is_cut_off_stores_nothing(s3: Any, local_aws: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    request = f"PUT /{bucket}/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf"
    with socket.create_connection(("127.0.0.1", local_aws.port)) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            answer = stream.read(400)
    assert b"IncompleteBody" in answer
    assert read(s3, bucket, "k") == b"old"


def test_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    assert read(s3, bucket, "k") == b"second"
    assert read(s3, bucket, "k", VersionId=first) == b"first"
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k")
    assert code_of(error) == "NoSuchKey"
    versions = s3.list_object_versions(Bucket=bucket)
    assert len(versions["Versions"]) == 2
    assert len(versions["DeleteMarkers"]) == 1
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert read(s3, bucket, "k") == b"second"


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_a_folder_whose_objects_are_deleted_is_listed_no_more(s3: Any, bucket: str, operation: str) -> None:
    # Spark asks this before it removes the `_temporary` folder of what it has written.
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="out/part", Body=b"x")
    s3.put_object(Bucket=bucket, Key="out/_temporary/0/part", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="out/_temporary/0/part")
    listing = getattr(s3, operation)(Bucket=bucket, Prefix="out/", Delimiter="/")
    assert [found["Key"] for found in listing["Contents"]] == ["out/part"]
    assert "CommonPrefixes" not in listing
    assert "CommonPrefixes" not in getattr(s3, operation)(Bucket=bucket, Prefix="out/_", Delimiter="/")


def test_deleting_many_at_once(s3: Any, bucket: str) -> None:
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": f"k{number}"} for number in (0, 1, 2, 9)]}
    )
    assert sorted(item["Key"] for item in answer["Deleted"]) == ["k0", "k1", "k2", "k9"]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k3", "k4"]


def test_tags(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&b=2")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "3"}]


def test_presigned_urls_work_without_credentials(s3: Any, bucket: str) -> None:
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert urllib3.request("PUT", put, body=b"by url").status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert urllib3.request("GET", get).data == b"by url"


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("get_object", {"Bucket": "no-such-bucket-here", "Key": "k"}, "NoSuchBucket"),
        ("get_object", {"Key": "no-such-key"}, "NoSuchKey"),
        ("head_object", {"Key": "no-such-key"}, "404"),
        ("put_object", {"Bucket": "no-such-bucket-here", "Key": "k", "Body": b""}, "NoSuchBucket"),
        ("delete_bucket", {}, "BucketNotEmpty"),
    ],
)
def test_errors_are_those_of_s3(
    s3: Any, bucket: str, operation: str, arguments: dict[str, Any], code: str
) -> None:
    s3.put_object(Bucket=bucket, Key="present", Body=b"")
    with pytest.raises(ClientError) as error:
        getattr(s3, operation)(**{"Bucket": bucket, **arguments})
    assert code_of(error) == code


def test_a_large_upload_takes_no_memory(local_aws: Any, s3: Any, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    os.truncate(source, 300 * MEGABYTE)
    server = psutil.Process(local_aws.process.pid)
    before = server.memory_info().rss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, server.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with source.open("rb") as file:
        s3.put_object(Bucket=bucket, Key="k", Body=file)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    assert sum(len(chunk) for chunk in body.iter_chunks(MEGABYTE)) == 300 * MEGABYTE
    done.set()
    watcher.join()
    assert peak - before < 60 * MEGABYTE
