"""What a service is given when it is installed: the running local AWS, seen from inside.

A service package exposes `install(context: Context) -> None` and reaches storage, logs, durable state and
processes through these interfaces only; nothing in it talks HTTP to its own server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import BinaryIO, Protocol

from local_aws.airflow import Airflow
from local_aws.environment import client_environment
from local_aws.pace import Pace
from local_aws.processes import Supervisor


class NoSuchObject(KeyError):
    """The bucket or the key does not exist. The message is the s3:// URI."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a listing. size in bytes; etag without quotes; last_modified in UTC, timezone-aware."""

    key: str
    size: int
    etag: str
    last_modified: datetime


class Objects(Protocol):
    """S3 from inside: same buckets, same keys, same events as through the API.

    Every method that names an object raises NoSuchObject when the bucket or key does not exist.
    """

    def exists_bucket(self, bucket: str) -> bool: ...

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Current versions whose key starts with `prefix`, in key order."""

    def open(self, bucket: str, key: str) -> BinaryIO:
        """Read one object. Safe against a concurrent overwrite or delete: the reader keeps what it opened."""

    def path(self, bucket: str, key: str) -> Path:
        """The immutable file that holds the object now. Read only; it is removed some time after an overwrite
        or delete, so open it soon, or `open()` it, or copy it."""

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store a copy of a local file."""

    def put_bytes(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None: ...

    def delete(self, bucket: str, key: str) -> None:
        """Delete one object; no error when the key is not there (as S3)."""

    def download_prefix(self, bucket: str, prefix: str, dest: Path) -> int:
        """Copy every object under `prefix` below `dest`, named by what follows the prefix; return how many.

        A prefix that is exactly one object's key gives that object's last path component. Copies, never
        links, so a job cannot change a stored object. Raises ValueError naming the key when a key would
        leave `dest` (`..`, absolute) or when one key is both a file and a folder.
        """

    def upload_tree(self, src: Path, bucket: str, prefix: str) -> int:
        """Store every regular file below `src` as prefix/relative/path; return how many. Links are left."""


class State(Protocol):
    """Durable state of the moto backends."""

    def lock(self, service: str) -> RLock:
        """The lock that requests of this service hold. A background thread takes it to change the backend.

        moto's backends call one another, so all control-plane services share one lock: hold it for the change
        only, never while waiting for a process, a file transfer or HTTP.
        """

    def before_commit(self, service: str, hook: Callable[[], None]) -> None:
        """Call `hook` before each commit of a service, with the lock held."""

    def commit(self, service: str) -> None:
        """Write the service's backends to disk before returning. Called for every mutating API request by the
        server; background threads call it (holding the lock) after they changed a backend.

        service: moto's backend name, e.g. "glue", "sagemaker", "athena".
        """

    def register(self, service: str, commit: Callable[[], None]) -> None:
        """This service keeps a store of its own; `commit` makes it durable, in place of the snapshot."""

    def snapshot(self, service: str) -> None:
        """Store the service's backends whole, where they have changed; for a `commit` that keeps only a part
        in a store of its own."""


class LogSink(Protocol):
    def append(self, group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
        """Append (milliseconds since the epoch, text) events; the group and stream are made when missing."""


@dataclass(frozen=True)
class Context:
    """data_dir holds everything that must survive a restart; a service keeps its own files in a folder of its
    name below it. images: the table of the user's own images, if there is one. clock returns the current time
    in UTC, timezone-aware."""

    data_dir: Path
    region: str
    account: str
    port: int
    runtime_port: int
    jobs_python: Path
    images: Path | None
    supervisor: Supervisor
    objects: Objects
    state: State
    logs: LogSink
    clock: Callable[[], datetime]
    airflow: Airflow | None = None  # behind MWAA's environments
    pace: Pace = field(default_factory=Pace)

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runtime_url(self) -> str:
        return f"http://127.0.0.1:{self.runtime_port}"

    def client_environment(self) -> dict[str, str]:
        """The variables with which any stock AWS client talks to this local AWS."""
        return client_environment(self.port, self.runtime_port, self.region)
