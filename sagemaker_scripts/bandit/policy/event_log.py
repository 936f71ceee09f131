"""Records on their way to a Firehose stream: on disk before the answer is given, sent in the background.

Each worker appends to a spool file of its own and holds a lock on it. A thread sends what is there in
batches, notes how far it came beside the file, tries again with growing pauses what the stream refuses, and
removes the file when all is sent. A file whose lock nobody holds belonged to a worker that died: whoever
comes next sends it. So a throttled stream, a killed worker and a stopped endpoint lose nothing that was
answered; a record may arrive twice (sent, and killed before that was noted), which the join on event ids
undoes.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import orjson

log = logging.getLogger(__name__)

# Firehose's limits of a PutRecordBatch call (its records and their bytes), and of a record.
RECORDS = 500
BATCH_BYTES = 4 << 20
RECORD_BYTES = 1_000 << 10
# Lines that make one record together: Firehose bills 5 KB for a smaller one, and each costs time to send.
JOINED_BYTES = 64 << 10
SEGMENT_BYTES = 16 << 20  # a spool file is closed and sent to its end beyond this
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STOP_SECONDS = 20.0  # SageMaker kills a container thirty seconds after SIGTERM
SUFFIX, SENT_SUFFIX = ".jsonl", ".sent"

Send = Callable[[Sequence[bytes]], Sequence[bytes]]


class RecordTooLarge(ValueError):
    """A record that no Firehose stream takes."""


def firehose_sender(client: Any, stream: str) -> Send:
    """A function that puts records into a stream and returns those it must be given again."""

    def send(records: Sequence[bytes]) -> Sequence[bytes]:
        answer = client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": record} for record in records]
        )
        if not answer["FailedPutCount"]:
            return []
        outcomes = zip(records, answer["RequestResponses"], strict=True)
        return [record for record, outcome in outcomes if outcome.get("ErrorCode")]

    return send


class EventLog:
    """Append from one thread; `close` sends what is left."""

    def __init__(
        self, folder: Path, send: Send, *, pause: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """pause: seconds that records are gathered before they are sent."""
        self.folder = folder
        self.sent = 0
        self.retried = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._send = send
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._spool = _Spool.create(folder)
        self._full: list[_Spool] = []
        self._wake = threading.Event()
        self._wake.set()  # a worker that died may have left something
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record to disk, as JSON, a NaN as null.

        Raises RecordTooLarge; OSError when the disk is full.
        """
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        if len(line) > RECORD_BYTES:
            raise RecordTooLarge(f"a record of {len(line)} bytes is larger than Firehose takes")
        with self._lock:
            self._spool.append(line)
            if self._spool.size > SEGMENT_BYTES:
                self._full.append(self._spool)
                self._spool = _Spool.create(self.folder)
        # It is cleared before the file is read; while it is set, the line will be seen.
        if not self._wake.is_set():
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Records of all workers on this disk that were not sent yet."""
        return sum(_unsent_lines(path) for path in self.folder.glob(f"*{SUFFIX}"))

    def close(self, seconds: float = STOP_SECONDS) -> int:
        """Send what is left, for at most so long; returns how many records stay on disk."""
        atexit.unregister(self.close)
        if not self._closing.is_set():
            self._deadline = self._clock() + seconds
            self._closing.set()
            self._wake.set()
            self._thread.join(seconds + 5)
            with self._lock:
                self._spool.release()
        left = self.waiting
        if left:
            log.error("%d records were not accepted by the stream and stay in %s", left, self.folder)
        return left

    def _run(self) -> None:
        """Send, until closed and all is sent, or the deadline has come."""
        failures = 0
        while True:
            self._wake.wait()
            if not failures:
                self._closing.wait(self._pause)
            self._wake.clear()
            closing = self._closing.is_set()
            try:
                done = self._send_some()
            except Exception as error:  # noqa: BLE001  # whatever it is, the records are on disk, and stay
                done = False
                log.warning("the stream takes no records: %s", error)
            if done:
                failures = 0
                if closing:
                    return
                continue
            failures += 1
            self._wake.set()
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures) * random.uniform(0.5, 1)  # noqa: S311
            if self._clock() + pause > self._deadline:
                return
            if closing:
                time.sleep(pause)
            else:
                self._closing.wait(pause)

    def _send_some(self) -> bool:
        """Send all there is at the moment; False when the stream refused some of it."""
        for orphan in _orphans(self.folder):
            with orphan:
                if not self._drain(orphan):
                    return False
                orphan.remove()
        while self._full:
            if not self._drain(self._full[0]):
                return False
            self._full.pop(0).remove()
        with self._lock:
            current = self._spool
        return self._drain(current)

    def _drain(self, spool: _Spool) -> bool:
        # What comes meanwhile is gathered for the next time: a call costs as much as some hundred lines.
        end = spool.size
        while spool.sent_bytes < end and (records := spool.unsent()):
            refused = self._send(records)
            again = sum(record.count(b"\n") for record in refused)
            self.sent += sum(record.count(b"\n") for record in records) - again
            self.retried += again
            if refused:
                # What was taken must not be sent again: the refused ones go to the end of the spool.
                with self._lock:
                    for record in refused:
                        spool.append(record)
            spool.mark_sent(records)
            if refused:
                return False
        return True


def joined(content: bytes) -> list[bytes]:
    """Lines put together to the records of one call; a last line that has no end yet is left out."""
    records: list[bytes] = []
    begin = 0
    while len(records) < RECORDS:
        end = content.rfind(b"\n", begin, begin + JOINED_BYTES) + 1 or content.find(b"\n", begin) + 1
        if not end:
            break
        records.append(content[begin:end])
        begin = end
    return records


class _Spool:
    """One file of lines, and how many of its bytes were sent."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self._stream = stream
        self.size = path.stat().st_size
        self._note = path.with_suffix(SENT_SUFFIX)
        self.sent_bytes = _read_offset(path)

    @classmethod
    def create(cls, folder: Path) -> _Spool:
        path = folder / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
        # Locked before it has the name by which others look for orphans.
        hidden = path.with_suffix(".new")
        stream = hidden.open("ab", buffering=0)
        fcntl.flock(stream, fcntl.LOCK_EX)
        hidden.replace(path)
        return cls(path, stream)

    @classmethod
    def adopt(cls, path: Path) -> _Spool | None:
        """A dead worker's file; None while its owner lives, or when another was quicker."""
        with suppress(OSError):
            stream = path.open("ab", buffering=0)
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    spool = cls(path, stream)
                    spool.repair()
                    return spool
            except BlockingIOError:
                pass
            stream.close()
        return None

    def append(self, line: bytes) -> None:
        written = 0
        while written < len(line):
            written += self._stream.write(line[written:])
        self.size += len(line)

    def repair(self) -> None:
        """A worker killed while it wrote leaves half a line, whose answer was never given: cut it off."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)
            self.size = whole

    def unsent(self) -> list[bytes]:
        """The next records, no more than fit into one call."""
        with self.path.open("rb") as stream:
            stream.seek(self.sent_bytes)
            return joined(stream.read(BATCH_BYTES))

    def mark_sent(self, records: Sequence[bytes]) -> None:
        self.sent_bytes += sum(map(len, records))
        partial = self._note.with_suffix(".partial")
        partial.write_text(str(self.sent_bytes))
        partial.replace(self._note)

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def release(self) -> None:
        """Give up the file; it goes when nothing is left in it."""
        if self.sent_bytes >= self.size:
            self.remove()
        else:
            self._stream.close()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._stream.close()


def _orphans(folder: Path) -> Iterator[_Spool]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        spool = _Spool.adopt(path)
        if spool is not None:
            yield spool


def _read_offset(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.with_suffix(SENT_SUFFIX).read_text())
    return 0


def _unsent_lines(path: Path) -> int:
    with suppress(OSError), path.open("rb") as stream:
        stream.seek(_read_offset(path))
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))
    return 0
