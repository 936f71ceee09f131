"""moto's objects and uploads, with their bytes on disk instead of in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from moto.s3 import models
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.utils import _VersionedKeyStore

from local_aws.services.s3.body import CHECKSUMS, Body, received
from local_aws.state import Blob, Blobs
from local_aws.state.blobs import chunks


class Reference:
    """Bytes of a blob, not read yet. Slicing gives a shorter reference, as bytes give shorter bytes."""

    def __init__(self, blobs: Blobs, blob: Blob, etag: str | None) -> None:
        self.blobs = blobs
        self.blob = blob
        self.etag = etag

    def __len__(self) -> int:
        return self.blob.size

    def __getitem__(self, part: slice) -> Reference:
        start, stop, _ = part.indices(self.blob.size)
        return Reference(self.blobs, self.blob.slice(start, max(0, stop - start)), None)

    def open(self) -> Iterator[bytes]:
        """Open the file now (an overwrite cannot take it away any more), read it later."""
        return chunks(self.blobs.open(self.blob), self.blob.offset, self.blob.size)

    def own(self, whole: bool) -> tuple[Blob, str]:
        """A blob of its own with these bytes, and their ETag. whole: they are all of the file."""
        if whole and self.etag is not None:
            return self.blobs.link(self.blob), self.etag
        with self.blobs.writer() as file:
            body = received(self.blobs, file, self.open())
            return body.adopt(), body.md5


class BlobKey(models.FakeKey):
    """An object (or a part of an upload) whose bytes are a blob.

    checksum: (algorithm, base64 value) that came with the bytes.
    """

    blobs: Blobs  # set once, by install()
    blob: Blob
    checksum: tuple[str, str] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("_value_buffer", "lock"):
            self.__dict__.pop(name, None)

    @property
    def value(self) -> Any:
        return self.blobs.read(self.blob)

    @value.setter
    def value(self, new_value: bytes | str | Body | Blob | Reference) -> None:
        etag = None
        match new_value:
            case Body():
                self.blob, etag, self.checksum = new_value.adopt(), new_value.md5, new_value.checksum
            case Blob():
                self.blob = new_value
            case Reference():
                self.blob, etag = new_value.own(whole=new_value.blob.offset == 0)
            case _:
                data = new_value.encode() if isinstance(new_value, str) else bytes(new_value)
                self.blob, etag = self.blobs.put(data), hashlib.md5(data, usedforsecurity=False).hexdigest()
        self._etag: str | None = self._etag or etag
        self.contentsize = self.blob.size

    @property
    def last_modified_ISO8601(self) -> Any:
        """As a time: the serializer would parse moto's text again, a third of the cost of a listing."""
        return self.last_modified.replace(microsecond=0)

    def by_reference(self) -> BlobKey:
        """The same key, whose `value` is a Reference: for code of moto that only passes the bytes on."""
        alias = object.__new__(_KeyByReference)
        alias.__dict__ = self.__dict__
        return alias

    def blob_names(self) -> set[str]:
        return {self.blob.name}

    def dispose(self, garbage: bool = False) -> None:
        """The journal removes the blob, once it is recorded that no version refers to it."""

    def __del__(self) -> None:
        pass

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _KeyByReference(BlobKey):
    value = property(lambda self: Reference(self.blobs, self.blob, self._etag))


class BlobUpload(models.FakeMultipart):
    """A multipart upload. Completing it copies the parts, in order, into the one blob of the object."""

    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Any, str, tuple[str, str, int] | None]:
        parts = self._checked(body)
        with BlobKey.blobs.writer() as file:
            algorithm = self.metadata.get("x-amz-checksum-algorithm")
            full = self.metadata.get("x-amz-checksum-type") == "FULL_OBJECT"
            data = (chunk for part in parts for chunk in part.by_reference().value.open())
            whole = received(BlobKey.blobs, file, data, algorithm if full else None)
            blob = whole.adopt()
        offset = 0
        digests = b""
        for part in parts:
            digests += bytes.fromhex(part.etag.strip('"'))
            part.blob = blob.slice(offset, part.size)
            offset += part.size
        self.parts = {int(part.name): part for part in parts}
        self.partlist = sorted(self.parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        if full:
            return blob, etag, ("FULL_OBJECT", whole.checksum[1], 1) if whole.checksum else None
        return blob, etag, _composite(algorithm, parts)

    def _checked(self, body: Iterator[tuple[int, str]]) -> list[BlobKey]:
        parts: list[BlobKey] = []
        for number, etag in body:
            part = self.parts.get(number)
            if not isinstance(part, BlobKey) or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart()
            if parts and parts[-1].size < models.S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall()
            parts.append(part)
        if not parts:
            raise MalformedXML()
        return parts


def _composite(algorithm: str | None, parts: list[BlobKey]) -> tuple[str, str, int] | None:
    """S3's checksum of checksums; None when a part came without one, or of a kind that is only passed on."""
    check = CHECKSUMS[algorithm]() if algorithm in CHECKSUMS else None
    if check is None:
        return None
    for part in parts:
        if part.checksum is None or part.checksum[0] != algorithm:
            return None
        check.update(base64.b64decode(part.checksum[1]))
    return "COMPOSITE", base64.b64encode(check.digest()).decode(), len(parts)


class JournaledKeys(_VersionedKeyStore):
    """The versions of a bucket's keys; notes which keys have changed since the last commit."""

    def __init__(self, bucket: str, changed: set[tuple[str, str]]) -> None:
        super().__init__()
        self._bucket = bucket
        self._changed = changed

    def __setitem__(self, key: str, value: Any) -> None:
        self._changed.add((self._bucket, key))
        super().__setitem__(key, value)

    def setlist(self, key: str, list_: Any) -> None:
        self._changed.add((self._bucket, key))
        super().setlist(key, list_)

    def pop(self, key: str) -> None:
        dict.pop(self, key)
        self._changed.add((self._bucket, key))

    def load(self, key: str, versions: list[Any]) -> None:
        """Put back what the journal holds."""
        dict.__setitem__(self, key, versions)

    def unload(self, key: str) -> None:
        dict.pop(self, key, None)
