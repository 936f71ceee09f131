"""Snapshots of moto's backends: the whole of one service, pickled after each change.

Pickle reads back only what this program wrote into its own data directory; nothing from a client is ever
unpickled. Services whose state grows with their data (objects, log events, metrics) keep stores of their own
and register how they commit.
"""

from __future__ import annotations

import io
import logging
import pickle
import threading
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from moto import __version__ as moto_version
from moto.core.base_backend import BaseBackend

from local_aws import moto_hooks
from local_aws.state.database import Database

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (service TEXT PRIMARY KEY, moto TEXT NOT NULL, data BLOB NOT NULL);
"""


# What must never be forgotten. Objects of other services may be unfit for storing, which is logged.
PROMISED = frozenset(
    (
        "athena",
        "awslambda",
        "cloudformation",
        "cloudwatch",
        "dynamodb",
        "events",
        "firehose",
        "glue",
        "iam",
        "logs",
        "mwaa",
        "sagemaker",
        "sns",
        "sqs",
    )
)


class UnreadableState(RuntimeError):
    """What is on disk was written by another version. The message names it and says what to do."""


class Snapshots:
    """`context.State` over one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._own: dict[str, Callable[[], None]] = {}
        self._before: dict[str, Callable[[], None]] = {}
        self._written: dict[str, bytes] = {}
        self._not_durable: set[str] = set()

    def lock(self, service: str) -> threading.RLock:  # noqa: ARG002  # one lock; see context.State
        return self._lock

    def register(self, service: str, commit: Callable[[], None]) -> None:
        """This service keeps a store of its own; `commit` makes it durable."""
        self._own[service] = commit

    def before_commit(self, service: str, hook: Callable[[], None]) -> None:
        """Call `hook` before each commit of a service, with the lock held."""
        self._before[service] = hook

    def commit(self, service: str) -> None:
        with self._lock:
            if (hook := self._before.get(service)) is not None:
                hook()
            own = self._own.get(service)
            if own is not None:
                own()
            else:
                self.snapshot(service)

    def commit_all(self) -> None:
        """After a request that reaches into other services: store every one that has changed."""
        with self._lock:
            for service in {*self._own, *moto_hooks.services_in_use()}:
                self.commit(service)

    def stored_services(self) -> list[str]:
        with self._database.reading() as connection:
            return [service for (service,) in connection.execute("SELECT service FROM snapshots")]

    def restore(self) -> None:
        """Put the stored backends where moto looks for them. Call once, before the first request."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT service, moto, data FROM snapshots").fetchall()
        for service, version, data in rows:
            try:
                content = _Unpickler(io.BytesIO(data)).load()
            except Exception as error:
                raise UnreadableState(
                    f"the stored state of {service}, written with moto {version}, cannot be read by "
                    f"moto {moto_version}: {error}. Name another --data-dir, or remove this one."
                ) from error
            moto_hooks.put_backends(service, content)
            self._written[service] = _digest(data)

    def snapshot(self, service: str) -> None:
        """Pickle the service's backends and store them if they have changed."""
        if service in self._not_durable:
            return
        buffer = io.BytesIO()
        content = moto_hooks.get_backends(service)
        try:
            _Pickler(buffer, content).dump(content)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            if service in PROMISED:
                raise
            self._not_durable.add(service)
            log.warning("%s is not durable, a restart forgets it: %s", service, error)
            return
        data = buffer.getvalue()
        digest = _digest(data)
        if self._written.get(service) == digest:
            return
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?) "
                "ON CONFLICT (service) DO UPDATE SET moto = excluded.moto, data = excluded.data",
                (service, moto_version, data),
            )
        self._written[service] = digest


class _Pickler(pickle.Pickler):
    """Keeps what belongs to another service out: it is stored there, and found again by name.

    By `reducer_override`, which is asked about instances of classes; `persistent_id` would be asked about
    every string and number too, which took most of a commit.
    """

    def __init__(self, file: io.BytesIO, content: dict[str, dict[str, BaseBackend]]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._mine = {id(backend) for regions in content.values() for backend in regions.values()}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseBackend):
            reference = None if id(obj) in self._mine else moto_hooks.backend_reference(obj)
        elif isinstance(obj, _LOCKS):
            return (threading.RLock if isinstance(obj, _LOCKS[1]) else threading.Lock), ()
        else:
            reference = moto_hooks.bucket_reference(obj)
        return NotImplemented if reference is None else (moto_hooks.resolve_reference, (reference,))


_LOCKS = (type(threading.Lock()), type(threading.RLock()))


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        return moto_hooks.resolve_reference(pid)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
