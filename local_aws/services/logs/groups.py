"""moto's log groups and streams, with streams and events on disk (state/log_events.py)."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from moto.core.utils import unix_time_millis
from moto.logs import models
from moto.logs.exceptions import InvalidParameterException
from moto.logs.models import LogEvent, LogGroup, LogStream

from local_aws.services.logs.patterns import matcher
from local_aws.state.log_events import FIRST, Event, LogEvents, Position, Stream


class StoredStream(LogStream):
    """One stream, as it was when it was looked up."""

    def __init__(self, log_group: StoredGroup, row: Stream) -> None:
        self.log_group = log_group
        self.account_id = log_group.account_id
        self.region = log_group.region
        self.row = row
        self.log_stream_name = row.name
        self.arn = f"{log_group.arn}:log-stream:{row.name}"
        self.stored_bytes = row.bytes

    @property
    def events(self) -> list[LogEvent]:
        """For moto's Insights queries."""
        return [
            LogEvent(event.ingested, {"timestamp": event.timestamp, "message": event.message})
            for event in self.log_group.store.scan([self.row], None, None, None)
        ]

    def to_describe_dict(self) -> dict[str, Any]:
        described = {
            "arn": self.arn,
            "creationTime": self.row.created,
            "logStreamName": self.row.name,
            "storedBytes": self.row.bytes,
        }
        if self.row.last is not None:
            described |= {
                "firstEventTimestamp": self.row.first,
                "lastEventTimestamp": self.row.last,
                "lastIngestionTime": self.row.ingested,
                "uploadSequenceToken": f"{self.row.id:056d}",
            }
        return described

    def put_log_events(self, log_events: list[dict[str, Any]]) -> str:
        events = self.log_group.store.append(
            self.log_group.arn,
            self.row.name,
            [(event["timestamp"], event["message"]) for event in log_events],
        )
        self.deliver(events)
        return f"{self.row.id:056d}"

    def deliver(self, events: list[Event]) -> None:
        """Hand the events to the group's subscriptions."""
        for subscription in self.log_group.subscription_filters.values():
            matches = matcher(subscription.filter_pattern or "")
            matching = [
                {"id": event.id, "timestamp": event.timestamp, "message": event.message}
                for event in events
                if matches(event.message)
            ]
            if matching:
                service = subscription.destination_arn.split(":")[2]
                self._send_log_events(service, subscription.destination_arn, subscription.name, matching)

    def get_log_events(
        self,
        start_time: int | None,
        end_time: int | None,
        limit: int | None,
        next_token: str | None,
        start_from_head: bool,
    ) -> tuple[list[dict[str, Any]], str, str]:
        """At either end the token that was passed comes back, by which clients know that they are there."""
        direction, position = _parse_token(next_token)
        newest = direction == "b" or (direction is None and not start_from_head)
        events = self.log_group.store.read(
            [self.row],
            after=position if direction == "f" else None,
            before=position if direction == "b" else None,
            start=start_time,
            end=end_time,
            limit=limit or 10_000,
            newest=newest,
        )
        shown = [
            {"ingestionTime": event.ingested, "message": event.message, "timestamp": event.timestamp}
            for event in events
        ]
        first = events[0].position if events else position or FIRST
        last = events[-1].position if events else position or FIRST
        return shown, _token("b", first), _token("f", last)


class Streams(MutableMapping[str, LogStream]):
    """moto's dict of a group's streams, over the store."""

    def __init__(self, group: StoredGroup) -> None:
        self._group = group

    def __getitem__(self, name: str) -> StoredStream:
        row = self._group.store.stream(self._group.arn, name)
        if row is None:
            raise KeyError(name)
        return StoredStream(self._group, row)

    def __setitem__(self, name: str, value: LogStream) -> None:
        self._group.store.create_stream(self._group.arn, name)

    def __delitem__(self, name: str) -> None:
        self._group.store.delete_stream(self._group.arn, name)

    def __iter__(self) -> Iterator[str]:
        return (row.name for row in self._group.store.streams(self._group.arn))

    def __len__(self) -> int:
        return len(self._group.store.streams(self._group.arn))


class StoredGroup(LogGroup):
    store: LogEvents  # set once, by prepare()

    def __init__(self, account_id: str, region: str, name: str, **kwargs: Any) -> None:
        super().__init__(account_id, region, name, **kwargs)
        self.streams: Any = Streams(self)

    def create_log_stream(self, log_stream_name: str) -> None:
        if not self.store.create_stream(self.arn, log_stream_name):
            raise models.ResourceAlreadyExistsException()

    def describe_log_streams(
        self,
        descending: bool,
        log_group_name: str,  # noqa: ARG002  # moto's signature
        log_stream_name_prefix: str,
        order_by: str,
        limit: int,
        next_token: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        offset = _offset(next_token)
        rows = self.store.streams(
            self.arn, log_stream_name_prefix, order_by == "LastEventTime", descending, limit + 1, offset
        )
        # No token after the last page: the SageMaker SDK repeats its call as long as there is one.
        token = str(offset + limit) if len(rows) > limit else None
        return [StoredStream(self, row).to_describe_dict() for row in rows[:limit]], token

    def filter_log_events(
        self,
        log_group_name: str,  # noqa: ARG002  # moto's signature
        log_stream_names: list[str],
        start_time: int | None,
        end_time: int | None,
        limit: int | None,
        next_token: str | None,
        filter_pattern: str,
        interleaved: bool,  # noqa: ARG002
    ) -> tuple[list[dict[str, Any]], str | None, list[dict[str, Any]]]:
        streams = [row for row in self.store.streams(self.arn) if _chosen(row.name, log_stream_names)]
        _, after = _parse_token(next_token)
        matches = matcher(filter_pattern or "")
        limit = limit or 10_000
        found: list[Event] = []
        for event in self.store.scan(streams, after, start_time, end_time):
            if matches(event.message):
                if len(found) == limit:
                    return _shown(found), _token("f", found[-1].position), _searched(streams)
                found.append(event)
        return _shown(found), None, _searched(streams)

    def to_describe_dict(self) -> dict[str, Any]:
        described = {
            "arn": f"{self.arn}:*",
            "logGroupArn": self.arn,
            "logGroupName": self.name,
            "creationTime": int(unix_time_millis(self.creation_time)),
            "metricFilterCount": 0,
            "storedBytes": self.store.stored_bytes(self.arn),
        }
        optional = {"retentionInDays": self.retention_in_days, "kmsKeyId": self.kms_key_id}
        return described | {name: value for name, value in optional.items() if value}


class Prefix(str):
    """A stream name prefix where moto passes a list of names."""

    __slots__ = ()


def _chosen(name: str, names: list[str] | Prefix) -> bool:
    if isinstance(names, Prefix):
        return name.startswith(names)
    return not names or name in names


def _shown(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {
            "eventId": str(event.id),
            "ingestionTime": event.ingested,
            "message": event.message,
            "timestamp": event.timestamp,
            "logStreamName": event.stream,
        }
        for event in events
    ]


def _searched(streams: list[Stream]) -> list[dict[str, Any]]:
    return [{"logStreamName": stream.name, "searchedCompletely": True} for stream in streams]


def _token(direction: str, position: Position) -> str:
    timestamp, number = position
    return f"{direction}/{timestamp + 1:028d}{number + 1:028d}"


def _parse_token(token: str | None) -> tuple[str | None, Position | None]:
    if not token:
        return None, None
    direction, _, digits = token.partition("/")
    if direction not in ("f", "b") or len(digits) != 56 or not digits.isdigit():
        raise InvalidParameterException(msg="The specified nextToken is invalid.")
    return direction, (int(digits[:28]) - 1, int(digits[28:]) - 1)


def _offset(token: str | None) -> int:
    if token and not token.isdigit():
        raise InvalidParameterException(msg="The specified nextToken is invalid.")
    return int(token or 0)
