"""S3 from inside: `context.Objects` over the same backend that answers the API."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from moto.s3.models import s3_backends

from local_aws.context import NoSuchObject, ObjectInfo, State
from local_aws.services.s3.backend import DurableS3Backend
from local_aws.services.s3.body import Body, received
from local_aws.services.s3.keys import BlobKey
from local_aws.state import Blobs
from local_aws.state.blobs import CHUNK_BYTES


class BackendObjects:
    def __init__(self, account: str, blobs: Blobs, state: State) -> None:
        self._account = account
        self._blobs = blobs
        self._state = state

    def exists_bucket(self, bucket: str) -> bool:
        return bucket in self._backend.buckets

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._state.lock("s3"):
            found = self._backend.buckets.get(bucket)
            if found is None:
                raise NoSuchObject(f"s3://{bucket}")
            keys = [key for name, key in found.keys.items() if name.startswith(prefix)]
        for key in sorted((key for key in keys if isinstance(key, BlobKey)), key=lambda key: key.name):
            modified = key.last_modified.replace(tzinfo=UTC)
            yield ObjectInfo(key.name, key.size, key.etag.strip('"'), modified)

    def open(self, bucket: str, key: str) -> BinaryIO:
        with self._state.lock("s3"):
            return self._blobs.open(self._key(bucket, key).blob)

    def path(self, bucket: str, key: str) -> Path:
        return self._blobs.path(self._key(bucket, key).blob)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        with path.open("rb") as source:
            data = iter(lambda: source.read(CHUNK_BYTES), b"")
            self._put(bucket, key, data, content_type, metadata)

    def put_bytes(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._put(bucket, key, iter([data]), content_type, metadata)

    def delete(self, bucket: str, key: str) -> None:
        with self._state.lock("s3"):
            if bucket not in self._backend.buckets:
                raise NoSuchObject(f"s3://{bucket}")
            self._backend.delete_object(bucket, key)
            self._state.commit("s3")

    def download_prefix(self, bucket: str, prefix: str, dest: Path) -> int:
        count = 0
        for info in self.list(bucket, prefix):
            if info.key.endswith("/"):
                continue  # a folder marker of a console
            target = _target(dest, _relative(info.key, prefix), f"s3://{bucket}/{info.key}")
            shutil.copyfile(self.path(bucket, info.key), target)
            count += 1
        return count

    def upload_tree(self, src: Path, bucket: str, prefix: str) -> int:
        count = 0
        for folder, folders, files in os.walk(src):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                if path.is_symlink() or not path.is_file():
                    continue
                key = "/".join(
                    part for part in (prefix.rstrip("/"), path.relative_to(src).as_posix()) if part
                )
                self.put_file(bucket, key, path)
                count += 1
        return count

    @property
    def _backend(self) -> DurableS3Backend:
        backend = s3_backends[self._account]["aws"]
        assert isinstance(backend, DurableS3Backend)
        return backend

    def _key(self, bucket: str, key: str) -> BlobKey:
        found = self._backend.buckets.get(bucket)
        current = found.keys.get(key) if found is not None else None
        if not isinstance(current, BlobKey):
            raise NoSuchObject(f"s3://{bucket}/{key}")
        return current

    def _put(
        self,
        bucket: str,
        key: str,
        data: Iterator[bytes],
        content_type: str | None,
        metadata: Mapping[str, str] | None,
    ) -> None:
        with self._blobs.writer() as file:
            body: Body = received(self._blobs, file, data)
            with self._state.lock("s3"):
                if not self.exists_bucket(bucket):
                    raise NoSuchObject(f"s3://{bucket}")
                stored = self._backend.put_object(bucket, key, body)
                headers = {f"x-amz-meta-{name.lower()}": value for name, value in (metadata or {}).items()}
                if content_type:
                    headers["Content-Type"] = content_type
                stored.set_metadata(headers)
                self._state.commit("s3")


def _relative(key: str, prefix: str) -> str:
    if key == prefix:
        return key.rpartition("/")[2]
    relative = key[len(prefix) :]
    # "s3://bucket/data" is the folder data/ as well as the beginning of data-2.csv: cut at a whole name.
    if prefix and not prefix.endswith("/") and not relative.startswith("/"):
        relative = prefix.rpartition("/")[2] + relative
    return relative.lstrip("/")


def _target(dest: Path, relative: str, source: str) -> Path:
    parts = PurePosixPath(relative).parts
    if not parts or ".." in parts or "\0" in relative:
        raise ValueError(f"{source}: the key would leave the folder it is copied to")
    target = dest.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{source}: a key above it is an object itself, both cannot be copied") from None
    if target.is_dir():
        raise ValueError(f"{source}: it is also a folder of other keys, both cannot be copied")
    return target
