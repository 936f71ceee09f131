"""Deployment packages and layers: zip archives by their digest, unpacked when first needed.

A package is immutable. Functions and layers of equal content share one, and what no function or layer refers
to is removed at the next start.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import shutil
import stat
import tempfile
import threading
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from local_aws.context import NoSuchObject, Objects
from local_aws.services.lambda_.errors import InvalidParameterValueException

MAX_UNZIPPED_BYTES = 262_144_000


class Packages:
    """The packages below a folder: `<digest>.zip`, and `<digest>/` once it was unpacked."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, where: Mapping[str, Any]) -> bytes:
        """The archive that a request names: ZipFile (base64) or S3Bucket and S3Key. Raises
        InvalidParameterValueException."""
        if "ZipFile" in where:
            try:
                return base64.b64decode(where["ZipFile"], validate=True)
            except (binascii.Error, ValueError):
                raise InvalidParameterValueException("ZipFile is not base64") from None
        if not ("S3Bucket" in where and "S3Key" in where):
            raise InvalidParameterValueException(
                "Please provide a source for function code: ZipFile, or S3Bucket and S3Key "
                "(local AWS does not support container images)"
            )
        if "S3ObjectVersion" in where:
            raise InvalidParameterValueException("local AWS does not support S3ObjectVersion of code")
        try:
            with self._objects.open(where["S3Bucket"], where["S3Key"]) as file:
                return file.read()
        except NoSuchObject as error:
            raise InvalidParameterValueException(
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: "
                f"The specified key does not exist: {error}"
            ) from None

    def put(self, archive: bytes) -> str:
        """Keep an archive; return its digest (SHA-256, hexadecimal). Raises InvalidParameterValueException
        when it cannot be unpacked safely."""
        _check(archive)
        digest = hashlib.sha256(archive).hexdigest()
        target = self._folder / f"{digest}.zip"
        with self._lock:
            if not target.exists():
                temporary = target.with_suffix(".part")
                temporary.write_bytes(archive)
                temporary.replace(target)
        return digest

    def archive(self, digest: str) -> Path:
        return self._folder / f"{digest}.zip"

    def unpacked(self, digest: str) -> Path:
        """The folder with a package's files, complete."""
        target = self._folder / digest
        with self._lock:
            if not target.is_dir():
                work = Path(tempfile.mkdtemp(prefix=".unpack-", dir=self._folder))
                try:
                    _unpack(self.archive(digest), work)
                    work.chmod(0o755)
                    work.replace(target)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
        return target

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove every package but these, and what a killed server had half unpacked."""
        kept = set(digests)
        for path in self._folder.iterdir():
            if path.name.removesuffix(".zip") in kept:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _check(archive: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            broken = members.testzip()
            infos = members.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
        broken, infos = "archive", []
    if broken:
        raise InvalidParameterValueException(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        )
    if sum(info.file_size for info in infos) >= MAX_UNZIPPED_BYTES:
        raise InvalidParameterValueException(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or "\0" in info.filename:
            raise InvalidParameterValueException(f"The archive's member {info.filename!r} leaves its folder")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InvalidParameterValueException(
                f"The archive's member {info.filename!r} is a link, which local AWS does not support"
            )


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for info in members.infolist():
            path = Path(members.extract(info, target))
            if not info.is_dir():
                # Lambda needs at least read permission for all; executables keep their bit.
                path.chmod((info.external_attr >> 16) & 0o777 | 0o644)
