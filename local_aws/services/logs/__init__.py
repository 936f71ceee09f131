"""CloudWatch Logs: moto's API over log events on disk; where the output of every job goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from moto.logs import models
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogsBackend, logs_backends
from moto.logs.responses import LogsResponse

from local_aws import moto_hooks
from local_aws.context import Context, State
from local_aws.services.logs.groups import Prefix, StoredGroup
from local_aws.state.log_events import LogEvents

DAY_MILLISECONDS = 86_400_000
RETENTION_ROUND_SECONDS = 3600.0


class StoredLogsBackend(LogsBackend):
    def delete_log_group(self, log_group_name: str) -> None:
        group = self.groups.get(log_group_name)
        super().delete_log_group(log_group_name)
        if group is not None:
            StoredGroup.store.delete_group(group.arn)


class StoredLogsResponse(LogsResponse):
    def filter_log_events(self) -> str:
        """With logStreamNamePrefix, which moto leaves out."""
        names = self._get_param("logStreamNames", [])
        prefix = self._get_param("logStreamNamePrefix")
        if names and prefix:
            raise InvalidParameterException(
                msg="You cannot specify both logStreamNames and logStreamNamePrefix."
            )
        events, token, searched = self.logs_backend.filter_log_events(
            self._get_param("logGroupName") or _name_of(self._get_param("logGroupIdentifier")),
            Prefix(prefix) if prefix else names,
            self._get_param("startTime"),
            self._get_param("endTime"),
            self._get_param("limit"),
            self._get_param("nextToken"),
            self._get_param("filterPattern"),
            True,
        )
        return json.dumps({"events": events, "nextToken": token, "searchedLogStreams": searched})


class StoredLogs:
    """`context.LogSink`, and where the supervisor stores what jobs print."""

    def __init__(self, store: LogEvents, account: str, region: str, state: State) -> None:
        self._store = store
        self._account = account
        self._region = region
        self._state = state

    def append(
        self,
        group: str,
        stream: str,
        lines: Iterable[tuple[int, str]],
        position: tuple[str, int] | None = None,
    ) -> None:
        found = self._group(group)
        # Without the lock: a busy API must not hold up the logs, nor a talkative job the API.
        events = self._store.append(found.arn, stream, lines, position)
        if found.subscription_filters and events:
            with self._state.lock("logs"):
                found.streams[stream].deliver(events)

    def position(self, source: str) -> int:
        return self._store.position(source)

    def forget_position(self, source: str) -> None:
        self._store.forget_position(source)

    def _group(self, name: str) -> StoredGroup:
        groups = logs_backends[self._account][self._region].groups
        if name not in groups:
            with self._state.lock("logs"):
                logs_backends[self._account][self._region].ensure_log_group(name)
                self._state.commit("logs")
        group = groups[name]
        assert isinstance(group, StoredGroup)
        return group


def prepare(store: LogEvents, account: str, region: str, state: State) -> StoredLogs:
    """Install the service. It comes early: whatever starts a job writes logs."""
    StoredGroup.store = store
    models.LogGroup = StoredGroup
    moto_hooks.replace_backend("logs", StoredLogsBackend)
    moto_hooks.replace_responses("logs", StoredLogsResponse)
    return StoredLogs(store, account, region, state)


def install(context: Context) -> None:
    """Apply retention now and every hour."""

    def rounds() -> None:
        while True:
            _apply_retention(context.clock())
            if stopped.wait(RETENTION_ROUND_SECONDS):
                return

    stopped = threading.Event()
    threading.Thread(target=rounds, name="log retention", daemon=True).start()


def _apply_retention(now: datetime) -> None:
    moment = int(now.astimezone(UTC).timestamp() * 1000)
    for _, _, backend in logs_backends.iter_backends():
        for group in list(backend.groups.values()):
            if group.retention_in_days:
                StoredGroup.store.delete_before(
                    group.arn, moment - int(group.retention_in_days) * DAY_MILLISECONDS
                )


def _name_of(identifier: str | None) -> str:
    if not identifier:
        raise ResourceNotFoundException()
    return identifier.split(":log-group:")[-1].removesuffix(":*")
