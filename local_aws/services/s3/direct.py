"""The short way of plain objects: GetObject, HeadObject and PutObject, as SDKs send them, to moto's handlers.

Two thirds of such a request, of a few kilobytes, would go into what comes before its handler: Flask's
contexts, routes, the URL taken apart seven times. A signed request for a plain key, without query, conditions
or special headers, to a bucket without policy, logging or locks, needs none of that. Everything else, errors
too, goes the long way. Both give the same answers: tests/contracts/boto3/test_s3_direct.py compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from flask import Response
from moto.core.request import EnvironHeaders
from moto.core.utils import extract_region_from_aws_authorization
from moto.s3.exceptions import S3ClientError
from moto.utilities.utils import get_partition

from local_aws.services.s3.backend import DurableS3Response
from local_aws.services.s3.body import ENVIRON_KEY
from local_aws.services.s3.keys import BlobKey, Reference

HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
# Characters that no client escapes: what is sent is the key.
PATH = re.compile(r"/([a-z0-9.-]{3,63})/((?:[A-Za-z0-9_.=-]+/)*[A-Za-z0-9_.=-]+)")
HEADERS = frozenset(
    "HTTP_" + name
    for name in (
        "ACCEPT", "ACCEPT_ENCODING", "AMZ_SDK_INVOCATION_ID", "AMZ_SDK_REQUEST", "AUTHORIZATION",
        "CONNECTION", "CONTENT_ENCODING", "CONTENT_MD5", "EXPECT", "HOST", "TRANSFER_ENCODING",
        "USER_AGENT", "X_AMZN_TRACE_ID", "X_AMZ_CHECKSUM_CRC32", "X_AMZ_CHECKSUM_MODE",
        "X_AMZ_CONTENT_SHA256", "X_AMZ_DATE", "X_AMZ_DECODED_CONTENT_LENGTH",
        "X_AMZ_SDK_CHECKSUM_ALGORITHM", "X_AMZ_SECURITY_TOKEN", "X_AMZ_TRAILER",
    )
)  # fmt: skip
METADATA = "HTTP_X_AMZ_META_"


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
    """The answer, or None when this is no plain request. Call it with the lock of S3 held."""
    method = environ["REQUEST_METHOD"]
    path = PATH.fullmatch(environ["RAW_URI"])
    if path is None or not is_plain(environ, method):
        return None
    handler = _handler(environ, path)
    bucket = handler.backend.buckets.get(handler.bucket_name)
    if bucket is None or bucket.policy or bucket.logging or bucket.object_lock_enabled:
        return None
    try:
        if method == "PUT":
            result = handler.put_object()
        else:
            found = bucket.keys.get(path[2])
            if not isinstance(found, BlobKey) or found.storage_class != "STANDARD":
                return None
            result = (
                handler.get_object()
                if method == "GET"
                else handler.head_object(handler.bucket_name, {}, path[2], handler.headers)
            )
    except S3ClientError:
        return None  # before anything has changed
    status, headers, content = handler._send_response(result)
    if isinstance(content, Reference):
        content = content.open()
    response = Response(response=content, status=status, headers=headers)
    if method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    answered: Iterable[bytes] = response(environ, start_response)
    return answered


def is_plain(environ: dict[str, Any], method: str) -> bool:
    """Whether nothing in the head of a request asks for more than the object."""
    if method not in ("GET", "HEAD", "PUT") or (method == "PUT") != (ENVIRON_KEY in environ):
        return False
    if not HOST.fullmatch(environ["HTTP_HOST"]):
        return False
    if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4-HMAC-SHA256 Credential="):
        return False
    sent = {name for name in environ if name.startswith("HTTP_")}
    return all(name.startswith(METADATA) for name in sent - HEADERS)


def _handler(environ: dict[str, Any], path: re.Match[str]) -> DurableS3Response:
    """What moto's `setup_class` makes of a request, as far as the three handlers look at it."""
    handler = DurableS3Response()
    handler.headers = EnvironHeaders(environ)
    handler.method = environ["REQUEST_METHOD"]
    handler.request = SimpleNamespace(headers=handler.headers, method=handler.method)
    handler.raw_path = path[0]
    handler.bucket_name = path[1]
    handler.querystring = handler.data = {}
    handler.uri_match = {}
    handler.region = extract_region_from_aws_authorization(environ["HTTP_AUTHORIZATION"]) or "us-east-1"
    handler.partition = get_partition(handler.region)
    handler.current_account = handler.get_current_account()
    handler.received = environ.get(ENVIRON_KEY)
    handler.body = handler.raw_body = handler.received if handler.received is not None else b""
    return handler
