"""Which requests take the short way: those that stock boto3 sends for plain objects."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from local_aws.services.s3 import direct
from local_aws.services.s3.body import ENVIRON_KEY


class Sent(Exception):
    pass


def environ_of(operation: str, **arguments: Any) -> dict[str, Any]:
    """What the server would see of boto3's request."""
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        region_name="eu-west-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    environ: dict[str, Any] = {}

    def keep(request: Any, **_: Any) -> AWSResponse:
        path, _, query = request.url.removeprefix("http://127.0.0.1:1").partition("?")
        environ.update(REQUEST_METHOD=request.method, RAW_URI=path + (f"?{query}" if query else ""))
        for name, value in request.headers.items():
            text = value.decode() if isinstance(value, bytes) else value
            environ["HTTP_" + name.upper().replace("-", "_")] = text
        environ["HTTP_HOST"] = "127.0.0.1:1"
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            environ.pop(f"HTTP_{name}", None)
        if request.method == "PUT":
            environ[ENVIRON_KEY] = object()
        raise Sent

    client.meta.events.register("before-send", keep)
    with pytest.raises(Sent):
        getattr(client, operation)(Bucket="bucket", **arguments)
    return environ


def is_plain(environ: dict[str, Any]) -> bool:
    path = direct.PATH.fullmatch(environ["RAW_URI"])
    return path is not None and direct.is_plain(environ, environ["REQUEST_METHOD"])


@pytest.mark.parametrize(
    ("operation", "arguments", "plain"),
    [
        ("get_object", {"Key": "runs/churn/part-0001.csv"}, True),
        ("head_object", {"Key": "a"}, True),
        ("put_object", {"Key": "a", "Body": b"1", "ContentType": "text/csv", "Metadata": {"a": "b"}}, True),
        ("put_object", {"Key": "a", "Body": b"1", "Tagging": "a=1"}, False),
        ("put_object", {"Key": "a", "Body": b"1", "ACL": "public-read"}, False),
        ("put_object", {"Key": "a", "Body": b"1", "IfNoneMatch": "*"}, False),
        ("get_object", {"Key": "a", "Range": "bytes=0-1"}, False),
        ("get_object", {"Key": "a", "VersionId": "1"}, False),
        ("get_object", {"Key": "a", "IfMatch": "x"}, False),
        ("get_object", {"Key": "ü"}, False),
        ("get_object", {"Key": "a//b"}, False),
        ("upload_part", {"Key": "a", "UploadId": "1", "PartNumber": 1, "Body": b""}, False),
        ("delete_object", {"Key": "a"}, False),
    ],
)
def test_the_short_way_is_for_plain_objects(operation: str, arguments: dict[str, Any], plain: bool) -> None:
    assert is_plain(environ_of(operation, **arguments)) is plain


@pytest.mark.parametrize(
    "changed",
    [
        {"HTTP_HOST": "bucket.s3.amazonaws.com"},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_X_THE_LONG_WAY": "1"},
    ],
)
def test_an_unusual_head_takes_the_long_way(changed: dict[str, str]) -> None:
    environ = environ_of("get_object", Key="a")
    assert is_plain(environ)
    assert not is_plain(environ | changed)
