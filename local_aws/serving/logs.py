"""What model processes print, in CloudWatch Logs about a second later: /aws/sagemaker/Endpoints/<endpoint>.

Each model's processes write to one file below `containers/<endpoint>/<fleet>/<variant>-<id>/`; how far it
has been sent stands beside it, so a restarted data plane goes on there. What was sent in the moment of a kill
may be sent twice; nothing is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.serving.containers import LOG_FILE

log = logging.getLogger(__name__)

GROUP = "/aws/sagemaker/Endpoints/"
CHUNK_BYTES = 512 * 1024  # a request of PutLogEvents may hold 1 MB
EVENTS_AT_ONCE = 10_000
LONGEST_EVENT = 200_000  # characters; CloudWatch takes 256 KB


class EndpointLogs:
    """`flush` sends what is new; it runs in a thread, one at a time."""

    def __init__(self, folder: Path, client: Any, clock: Callable[[], float] = time.time) -> None:
        """client: boto3's for CloudWatch Logs."""
        self.folder = folder
        self.client = client
        self.clock = clock
        self._flushing = threading.Lock()

    def flush(self) -> int:
        """Returns how many lines were sent. What cannot be sent stays for the next time."""
        with self._flushing:
            sent = 0
            for file in sorted(self.folder.glob(f"*/*/*/{LOG_FILE}")):
                try:
                    sent += self._send_new(file)
                except Exception as error:  # noqa: BLE001 - endpoints go on serving while Logs is away
                    log.warning("%s cannot be sent to CloudWatch Logs yet: %s", file, error)
                    break
            return sent

    def _send_new(self, file: Path) -> int:
        sent = 0
        endpoint = file.parents[2].name
        variant, _, instance = file.parent.name.rpartition("-")
        for lines, position in self._chunks(file):
            now = int(self.clock() * 1000)
            events = [{"timestamp": now, "message": line[:LONGEST_EVENT]} for line in lines if line.strip()]
            for start in range(0, len(events), EVENTS_AT_ONCE):
                batch = events[start : start + EVENTS_AT_ONCE]
                self._put(f"{GROUP}{endpoint}", f"{variant}/i-{instance}", batch)
            _remember(file, position)
            sent += len(events)
        return sent

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        try:
            self.client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except self.client.exceptions.ResourceNotFoundException:
            with suppress(self.client.exceptions.ResourceAlreadyExistsException):
                self.client.create_log_group(logGroupName=group)
            with suppress(self.client.exceptions.ResourceAlreadyExistsException):
                self.client.create_log_stream(logGroupName=group, logStreamName=stream)
            self.client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def _chunks(self, file: Path) -> Iterator[tuple[list[str], int]]:
        """(complete lines, the position after them); a line longer than a chunk is cut."""
        position = _sent(file)
        with file.open("rb") as source:
            while True:
                source.seek(position)
                chunk = source.read(CHUNK_BYTES)
                end = chunk.rfind(b"\n") + 1 or (len(chunk) if len(chunk) == CHUNK_BYTES else 0)
                if not end:
                    return
                position += end
                yield chunk[:end].decode("utf-8", "replace").splitlines(), position


def _sent(file: Path) -> int:
    try:
        return int(file.with_suffix(".sent").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _remember(file: Path, position: int) -> None:
    work = file.with_suffix(".sent.part")
    work.write_text(str(position))
    work.replace(file.with_suffix(".sent"))
