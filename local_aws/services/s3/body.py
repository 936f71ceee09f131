"""Request bodies: an object's bytes go straight to disk, whatever their size; everything else is small.

What arrives may be wrapped as `aws-chunked` (sizes, signatures and trailing checksums between the data). It
is unwrapped, counted and digested in one pass.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from local_aws.aws_errors import AwsError
from local_aws.state import Blob, Blobs

Environ = dict[str, Any]

ENVIRON_KEY = "local_aws.body"
CHUNK_BYTES = 1 << 20
SMALL_BODY_BYTES = 256 << 20  # Lambda's largest archive; a template or a policy is far below
# Sub-resources of a key that are XML documents, not the object's bytes.
DOCUMENTS = {"acl", "tagging", "legal-hold", "retention"}


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


# CRC32C and CRC64NVME need a compiled library: the client's own value is kept for those, unverified.
CHECKSUMS: dict[str, Callable[[], Any]] = {
    "CRC32": _Crc32,
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
}


class Body:
    """The received bytes of one object or part: a temporary file, with its digests.

    checksum: (algorithm, base64 value) as S3 stores it beside the object, None when there is none.
    """

    def __init__(self, blobs: Blobs, file: BinaryIO, md5: str, checksum: tuple[str, str] | None) -> None:
        self._blobs = blobs
        self._file = file
        self.size = file.tell()
        self.md5 = md5
        self.checksum = checksum

    def adopt(self) -> Blob:
        return self._blobs.adopt(self._file, self.size)


def received(blobs: Blobs, file: BinaryIO, data: Iterator[bytes], algorithm: str | None = None) -> Body:
    """Write `data` to `file` and digest it on the way."""
    md5 = hashlib.md5(usedforsecurity=False)
    check = CHECKSUMS[algorithm]() if algorithm in CHECKSUMS else None
    for chunk in data:
        file.write(chunk)
        md5.update(chunk)
        if check is not None:
            check.update(chunk)
    checksum = None
    if algorithm is not None and check is not None:
        checksum = (algorithm, base64.b64encode(check.digest()).decode())
    return Body(blobs, file, md5.hexdigest(), checksum)


@contextlib.contextmanager
def spooled_body(environ: Environ, service: str, blobs: Blobs) -> Iterator[None]:
    """Read the request's body to its end, before anything is locked: to disk for an object, else to memory.

    An object's Body is left at environ["local_aws.body"]. Raises AwsError when fewer bytes came than were
    announced, or when they do not have the announced digest.
    """
    if not _is_object(environ, service):
        length = environ.get("CONTENT_LENGTH")
        if length and int(length) > SMALL_BODY_BYTES:
            raise AwsError("EntityTooLarge", f"a request of this kind has at most {SMALL_BODY_BYTES} bytes")
        content = b"".join(_plain(environ))
        environ["wsgi.input"] = io.BytesIO(content)
        environ["CONTENT_LENGTH"] = str(len(content))
        yield
        return
    with blobs.writer() as file:
        trailer: dict[str, str] = {}
        data = _unwrapped(environ["wsgi.input"], trailer) if _is_wrapped(environ) else _plain(environ)
        body = received(blobs, file, data, _algorithm(environ))
        _verify(environ, body, trailer)
        environ[ENVIRON_KEY] = body
        environ["wsgi.input"] = io.BytesIO()
        environ["CONTENT_LENGTH"] = "0"
        if _is_wrapped(environ):
            environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"  # or moto would unwrap it again
        yield


def _is_object(environ: Environ, service: str) -> bool:
    if service != "s3" or environ["REQUEST_METHOD"] != "PUT" or "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return False
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    names = {part.partition("=")[0] for part in environ.get("QUERY_STRING", "").split("&")}
    return bool(bucket and key) and not names & DOCUMENTS


def _is_wrapped(environ: Environ) -> bool:
    return str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")).startswith("STREAMING-")


def _plain(environ: Environ) -> Iterator[bytes]:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):  # Transfer-Encoding: chunked
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
        return
    missing = int(environ.get("CONTENT_LENGTH") or 0)
    while missing > 0:
        chunk = stream.read(min(CHUNK_BYTES, missing))
        if not chunk:
            raise _incomplete()
        missing -= len(chunk)
        yield chunk


def _unwrapped(stream: BinaryIO, trailer: dict[str, str]) -> Iterator[bytes]:
    """The data of an `aws-chunked` body: `size[;chunk-signature=...]` CRLF data CRLF ... 0 CRLF trailers."""
    while True:
        header = stream.readline().strip()
        try:
            size = int(header.partition(b";")[0], 16)
        except ValueError:
            raise _incomplete() from None
        if size == 0:
            break
        while size > 0:
            chunk = stream.read(min(CHUNK_BYTES, size))
            if not chunk:
                raise _incomplete()
            size -= len(chunk)
            yield chunk
        stream.readline()
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        trailer[name.lower()] = value.strip()


def _algorithm(environ: Environ) -> str | None:
    """The checksum that the client announces, in a header, a trailer, or by name."""
    named = environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM")
    if named:
        return str(named).upper()
    trailer = str(environ.get("HTTP_X_AMZ_TRAILER", "")).lower()
    for algorithm in (*CHECKSUMS, "CRC32C", "CRC64NVME"):
        name = f"x-amz-checksum-{algorithm.lower()}"
        if trailer == name or "HTTP_" + name.upper().replace("-", "_") in environ:
            return algorithm
    return None


def _verify(environ: Environ, body: Body, trailer: dict[str, str]) -> None:
    decoded = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    if decoded is not None and int(decoded) != body.size:
        raise _incomplete()
    claimed_md5 = environ.get("HTTP_CONTENT_MD5")
    if claimed_md5 and _md5_of(claimed_md5) != body.md5:
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    algorithm = _algorithm(environ)
    if algorithm is None:
        return
    name = f"x-amz-checksum-{algorithm.lower()}"
    claimed = trailer.get(name) or environ.get("HTTP_" + name.upper().replace("-", "_"))
    if not claimed:
        return
    if body.checksum is None:
        body.checksum = (algorithm, claimed)
    elif body.checksum[1] != claimed:
        raise AwsError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


def _incomplete() -> AwsError:
    return AwsError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )


def _md5_of(header: str) -> str:
    try:
        return base64.b64decode(header, validate=True).hex()
    except binascii.Error:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.") from None
