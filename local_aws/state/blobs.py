"""Object contents: immutable files, written under a temporary name and then given their own for ever.

A blob is never changed: an overwritten object gets a new one, and the old file is removed a while later, so
that whoever looked up its path can still open it. Nothing is fsynced: what was acknowledged survives the
death of this process, not a power cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
LINGER_SECONDS = 300.0


@dataclass(frozen=True)
class Blob:
    """`size` bytes from `offset` of the file called `name`."""

    name: str
    size: int
    offset: int = 0

    def slice(self, start: int, size: int) -> Blob:
        return replace(self, offset=self.offset + start, size=size)


class Blobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._unused: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()
        shutil.rmtree(self._incoming, ignore_errors=True)  # left by requests that were cut off
        self._incoming.mkdir(parents=True)

    def path(self, blob: Blob) -> Path:
        return self._folder / blob.name[:2] / blob.name

    @contextlib.contextmanager
    def writer(self) -> Iterator[BinaryIO]:
        """A temporary file to fill, then hand to `adopt`; removed when it is not adopted."""
        path = self._incoming / uuid.uuid4().hex
        try:
            with path.open("w+b") as file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, file: BinaryIO, size: int) -> Blob:
        """Publish a file of `writer` under its final name."""
        file.flush()
        blob = Blob(uuid.uuid4().hex, size)
        target = self.path(blob)
        try:
            Path(file.name).replace(target)
        except FileNotFoundError:  # the first one of its folder
            target.parent.mkdir(exist_ok=True)
            Path(file.name).replace(target)
        return blob

    def put(self, data: bytes) -> Blob:
        with self.writer() as file:
            file.write(data)
            return self.adopt(file, len(data))

    def link(self, blob: Blob) -> Blob:
        """A second name for the same immutable bytes: a copy in constant time and space."""
        copy = replace(blob, name=uuid.uuid4().hex)
        target = self.path(copy)
        target.parent.mkdir(exist_ok=True)
        os.link(self.path(blob), target)
        return copy

    def open(self, blob: Blob) -> BinaryIO:
        return self.path(blob).open("rb")

    def read(self, blob: Blob) -> bytes:
        with self.open(blob) as file:
            file.seek(blob.offset)
            return file.read(blob.size)

    def discard(self, names: Iterable[str]) -> None:
        """Remove files that no object refers to any more, after a while."""
        now = time.monotonic()
        with self._lock:
            self._unused.extend((now, name) for name in names)
            while self._unused and self._unused[0][0] < now - LINGER_SECONDS:
                self._remove(self._unused.popleft()[1])

    def discard_all_now(self) -> None:
        """Make room: called when the disk is full."""
        with self._lock:
            while self._unused:
                self._remove(self._unused.popleft()[1])

    def unused(self, used: set[str]) -> list[str]:
        """Names of the files that are not in `used`: what a killed server had written but not recorded, or
        recorded as removed but not removed. Call it before anything new is written."""
        folders = [folder for folder in self._folder.iterdir() if folder != self._incoming]
        return [path.name for folder in folders for path in folder.iterdir() if path.name not in used]

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._remove(name)

    def _remove(self, name: str) -> None:
        (self._folder / name[:2] / name).unlink(missing_ok=True)


def chunks(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """`size` bytes of an open file from `offset`; closes the file at the end."""
    with file:
        file.seek(offset)
        while size > 0:
            chunk = file.read(min(CHUNK_BYTES, size))
            if not chunk:
                return
            size -= len(chunk)
            yield chunk
