"""Data capture: what went in and out of an endpoint, as JSON lines in S3.

Every captured request is appended to a spool file on disk *before* its answer is sent: all that were answered
in one step of the event loop together, which costs a third of one by one. The spool is laid out as S3 will be
(`<spool>/<bucket>/<key>`), so a file left over by a killed process is uploaded as it is by the next one.
Guaranteed: every answer a client has seen is captured exactly once, also when this process is killed; a
captured request whose answer never arrived may be there too. Not guaranteed: what was captured in the seconds
before the machine loses power, because the spool is not fsynced for every request; and what a full disk does
not take, which is logged and counted: a capture that fails is no reason to refuse an answer.

A file is uploaded 60 s (or `age`) after its first record, when the hour changes, when its endpoint goes, and
on `flush`.
"""

from __future__ import annotations

import base64
import errno
import logging
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import orjson

from local_aws.serving import desired

if TYPE_CHECKING:
    from local_aws.images.xgboost.payload import Answer
    from local_aws.serving.hosts import Request

log = logging.getLogger(__name__)

FILE_AGE = timedelta(seconds=60)
AWAY_SECONDS = 10.0  # until S3 is tried again: each try reads a whole file, of a minute of requests
PART = ".part"  # a spool file that still grows


class ObjectStore(Protocol):
    """The part of boto3's S3 client that is used."""

    def put_object(self, *, Bucket: str, Key: str, Body: Any, ContentType: str) -> Any: ...


class Event(NamedTuple):
    """What identifies an invocation, and when it began (time.perf_counter)."""

    endpoint: str
    id: str
    inference_id: str | None
    begun: float


# An answered request: which invocation, the variant that answered, what went in and what came out. It is made
# of what is there anyway: a class of its own costs a tenth of all that capture does.
Exchange: TypeAlias = "tuple[Event, str, Request, Answer]"


class _Open:
    """A spool file that takes records; closed and renamed to its final name when it is complete.

    It takes none from `until` on: when it has its age, or the hour of its folder is over.
    """

    def __init__(self, folder: Path, started: datetime, age: timedelta) -> None:
        stamp = f"{started:%M-%S}-{started.microsecond // 1000:03d}"
        hour = started.replace(minute=0, second=0, microsecond=0)
        self.until = min(started + age, hour + timedelta(hours=1)).timestamp()
        self.final = folder / f"{stamp}-{uuid.uuid4()}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        # Unbuffered: a record is with the operating system when write returns.
        self.file = Path(f"{self.final}{PART}").open("ab", buffering=0)  # noqa: SIM115 - outlives this call
        self.size = 0

    def write(self, lines: bytes) -> None:
        """All of them or none. Raises OSError, as a full disk does."""
        try:
            if self.file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.name)
        except OSError:
            self.file.truncate(self.size)
            raise
        self.size += len(lines)

    def close(self) -> None:
        self.file.close()
        Path(self.file.name).rename(self.final)


class Capture:
    """Keeps exchanges and brings them to S3. `record` and `commit` run on the event loop.

    `lost`: records that the disk has refused since the start.
    """

    def __init__(
        self,
        spool: Path,
        store: ObjectStore,
        *,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        age: timedelta = FILE_AGE,
    ) -> None:
        self.spool = spool
        self.store = store
        self.clock = clock
        self.draw = draw
        self.age = age
        self.lost = 0
        self._recorded: deque[tuple[desired.Capture, Exchange]] = deque()
        self._open: dict[tuple[str, str, str], _Open] = {}
        self._lock = threading.Lock()
        self._uploading = threading.Lock()
        self._away_until = 0.0
        for left in spool.rglob(f"*{PART}"):  # of a process that was killed
            _cut_half_line(left)
            left.rename(left.with_name(left.name.removesuffix(PART)))

    def record(self, settings: desired.Capture | None, exchange: Exchange) -> bool:
        """Keeps one exchange for `commit`, or not: where nothing is captured, of a request that failed, and
        of those that the sampling percentage leaves out. Returns which."""
        _, _, _, answer = exchange
        if settings is None or answer.status >= 300:
            return False
        if settings.percentage < 100 and self.draw() * 100 >= settings.percentage:
            return False
        self._recorded.append((settings, exchange))
        return True

    def commit(self) -> None:
        """Writes what was recorded to the disk. Raises nothing: what is not written is logged and `lost`."""
        with self._lock:  # before looking: what another thread has taken may not be on the disk yet
            if self._recorded:
                self._write_recorded()

    def _write_recorded(self) -> None:
        now = self.clock()
        second = _time(int(now))
        lines: dict[_Open, list[bytes]] = {}
        while self._recorded:
            settings, exchange = self._recorded.popleft()
            event, variant, _, _ = exchange
            key = (settings.destination, event.endpoint, variant)
            file = self._open.get(key)
            if file is None or now >= file.until:
                try:
                    file = self._next_file(key, now)
                except OSError as error:
                    self._lose(1, error)
                    continue
            lines.setdefault(file, []).append(json_line(settings, exchange, second))
        for file, records in lines.items():
            try:
                file.write(b"".join(records))
            except OSError as error:
                self._lose(len(records), error)

    def _next_file(self, key: tuple[str, str, str], now: float) -> _Open:
        """A new spool file, in place of the one that has its age."""
        if key in self._open:
            self._open.pop(key).close()
        started = datetime.fromtimestamp(now, UTC)
        self._open[key] = _Open(self._folder(key, started), started, self.age)
        return self._open[key]

    def _lose(self, records: int, error: OSError) -> None:
        self.lost += records
        log.error("%s captured requests are lost, %s since the start: %s", records, self.lost, error)

    def flush(self, *, due_only: bool = False, endpoint: str | None = None) -> int:
        """Completes open files (all, those of one endpoint, or those whose time has come) and uploads.

        Returns the number of objects written. A file that cannot be uploaded stays for a later call; with
        `due_only` there is a pause before it is tried again.
        """
        self.commit()
        now = self.clock()
        with self._lock:
            for key, file in list(self._open.items()):
                if (not due_only or now >= file.until) and endpoint in (None, key[1]):
                    self._open.pop(key).close()
        with self._uploading:
            if due_only and now < self._away_until:
                return 0
            written = 0
            for path in sorted(self.spool.rglob("*.jsonl")):
                if not self._upload(path):
                    self._away_until = now + AWAY_SECONDS
                    break  # S3 is away: the rest would only wait for the same answer
                written += 1
            return written

    def pending(self) -> int:
        """How many spool files wait for their upload or still grow."""
        return sum(1 for path in self.spool.rglob("*") if path.is_file())

    def _upload(self, path: Path) -> bool:
        bucket, *rest = path.relative_to(self.spool).parts
        try:
            with path.open("rb") as body:
                self.store.put_object(
                    Bucket=bucket, Key="/".join(rest), Body=body, ContentType="application/jsonlines"
                )
        except Exception as error:  # noqa: BLE001 - whatever S3 says, the records stay and are tried again
            log.warning("Capture file s3://%s/%s cannot be written yet: %s", bucket, "/".join(rest), error)
            return False
        with self._lock:  # no new file may be opened in a folder that is being removed
            path.unlink()
            for folder in path.parents:
                if folder == self.spool or any(folder.iterdir()):
                    break
                folder.rmdir()
        return True

    def _folder(self, key: tuple[str, str, str], now: datetime) -> Path:
        destination, endpoint, variant = key
        parts = [part for part in destination.removeprefix("s3://").split("/") if part]
        return self.spool.joinpath(*parts, endpoint, variant, f"{now:%Y/%m/%d/%H}")


def json_line(settings: desired.Capture, exchange: Exchange, time: str) -> bytes:
    """The record of one exchange: compact, in the key order of AWS's files, with its newline."""
    event, _, request, answer = exchange
    data = {}
    if "Input" in settings.modes:
        data["endpointInput"] = _side(settings, "INPUT", request.content_type, request.body)
    if "Output" in settings.modes:
        data["endpointOutput"] = _side(settings, "OUTPUT", answer.content_type, answer.body)
    metadata: dict[str, str | list[str]] = {"eventId": event.id}
    if event.inference_id:
        metadata["inferenceId"] = event.inference_id
    if request.custom_attributes:
        metadata["customAttributes"] = [request.custom_attributes]
    metadata["inferenceTime"] = time
    return orjson.dumps(
        {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"},
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _side(settings: desired.Capture, mode: str, content_type: str, body: bytes) -> dict[str, str]:
    encoding = _encoding(settings.csv_content_types, settings.json_content_types, content_type)
    try:
        text = body.decode() if encoding != "BASE64" else base64.b64encode(body).decode()
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


@lru_cache(maxsize=256)
def _encoding(csv_types: tuple[str, ...], json_types: tuple[str, ...], content_type: str) -> str:
    name = content_type.partition(";")[0].strip().lower()
    return "JSON" if name in json_types else "CSV" if name in csv_types else "BASE64"


@lru_cache(maxsize=1)
def _time(seconds: int) -> str:
    """A moment as the records have it: one text for all of a second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _cut_half_line(path: Path) -> None:
    """Drops what follows the last newline: a record that was being written when the process was killed."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
