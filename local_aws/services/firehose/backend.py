"""moto's Firehose with records that are spooled on disk and delivered by buffering hints."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.firehose.exceptions import InvalidArgumentException, ValidationException
from moto.firehose.models import DeliveryStream, FirehoseBackend, create_s3_destination_config
from moto.firehose.responses import FirehoseResponse

from local_aws.aws_errors import AwsError
from local_aws.context import Context
from local_aws.services.firehose import destination
from local_aws.services.firehose.spool import Delivery, Spool
from local_aws.services.firehose.throttle import Allowance

RECORD_BYTES = 1_024_000
BATCH_RECORDS = 500
BATCH_BYTES = 4 << 20
UNAVAILABLE = "ServiceUnavailableException"
SLOW_DOWN = "Slow down."

# A tag that makes a stream refuse what comes faster, so that clients can be tested against throttling. AWS's
# own quotas (100,000 records a second and more) are beyond what one machine sends.
LIMIT_TAG = "local-aws:records-per-second"


class Backend(FirehoseBackend):
    """One region."""

    context: ClassVar[Context]
    spool: ClassVar[Spool]
    allowances: ClassVar[dict[str, Allowance]] = {}

    def create_delivery_stream(self, **arguments: Any) -> str:
        name = arguments["delivery_stream_name"]
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,64}", name or ""):
            raise ValidationException(
                f"Value '{name}' at 'deliveryStreamName' failed to satisfy constraint: "
                "1 to 64 letters, digits, underscores, dots and hyphens"
            )
        if (kind := arguments["delivery_stream_type"] or "DirectPut") != "DirectPut":
            raise InvalidArgumentException(f"local AWS does not support DeliveryStreamType {kind}")
        for field in ("s3_destination_configuration", "extended_s3_destination_configuration"):
            if arguments[field]:
                arguments[field] = destination.complete(arguments[field])
        _refuse_other_destinations(arguments)
        return super().create_delivery_stream(**arguments)

    def delete_delivery_stream(self, delivery_stream_name: str) -> None:
        """What is in the buffer is still delivered."""
        if stream := self.delivery_streams.get(delivery_stream_name):
            self.close_buffer(stream)
        super().delete_delivery_stream(delivery_stream_name)

    def update_destination(self, **arguments: Any) -> None:
        """What came before goes where it was meant to go. An update names only what changes."""
        _refuse_other_destinations(arguments)
        self.describe_delivery_stream(arguments["delivery_stream_name"])  # raises ResourceNotFoundException
        stream = self.delivery_streams[arguments["delivery_stream_name"]]
        version, config = stream.version_id, s3_config(stream)
        for field in ("s3_destination_update", "extended_s3_destination_update"):
            if arguments[field]:
                arguments[field] = destination.complete({**config, **arguments[field]})
        super().update_destination(**arguments)
        self.close_buffer(stream, version, config)
        for described in stream.destinations:
            if "ExtendedS3" in described:
                described["S3"] = create_s3_destination_config(described["ExtendedS3"])

    def put_record(self, delivery_stream_name: str, record: dict[str, bytes]) -> dict[str, Any]:
        answer = self.put_record_batch(delivery_stream_name, [record])
        if answer["FailedPutCount"]:
            raise AwsError(UNAVAILABLE, SLOW_DOWN, 503)
        return {"RecordId": answer["RequestResponses"][0]["RecordId"], "Encrypted": False}

    def put_record_batch(self, delivery_stream_name: str, records: list[dict[str, bytes]]) -> dict[str, Any]:
        """Records are on disk when this returns. Those beyond the stream's allowance fail one by one."""
        _check_records(records)
        self.describe_delivery_stream(delivery_stream_name)  # raises ResourceNotFoundException
        stream = self.delivery_streams[delivery_stream_name]
        accepted = self._allowed(stream, len(records))
        data = [record["Data"] for record in records[:accepted]]
        if data:
            now = self.context.clock().timestamp()
            buffer = self.spool.append(stream.delivery_stream_arn, data, now)
            if buffer.size >= int(s3_config(stream)["BufferingHints"]["SizeInMBs"]) << 20:
                self.close_buffer(stream)
        failed = {"ErrorCode": UNAVAILABLE, "ErrorMessage": SLOW_DOWN}
        answers = [{"RecordId": secrets.token_urlsafe(96)} for _ in data]
        return {
            "FailedPutCount": len(records) - accepted,
            "Encrypted": False,
            "RequestResponses": [*answers, *(failed for _ in records[accepted:])],
        }

    def put_s3_records(
        self,
        delivery_stream_name: str,
        version_id: str,  # noqa: ARG002  # moto's signature
        s3_destination: dict[str, Any],  # noqa: ARG002
        records: list[dict[str, bytes]],
    ) -> list[dict[str, str]]:
        """What other services of moto send (log subscriptions, topics) takes the same way."""
        return list(self.put_record_batch(delivery_stream_name, records)["RequestResponses"])

    def close_due_buffers(self, now: float) -> float | None:
        """Close every buffer whose interval is over; returns when the next one is due, if there is one."""
        due = None
        for stream in self.delivery_streams.values():
            buffer = self.spool.buffers.get(stream.delivery_stream_arn)
            if buffer is None:
                continue
            ends = buffer.opened + int(s3_config(stream)["BufferingHints"]["IntervalInSeconds"])
            if ends <= now:
                self.close_buffer(stream)
            else:
                due = ends if due is None else min(due, ends)
        return due

    def close_buffer(
        self, stream: DeliveryStream, version: str | None = None, config: dict[str, Any] | None = None
    ) -> None:
        """What is buffered becomes one delivery. version, config: those it came under, if not today's."""
        buffer = self.spool.buffers.get(stream.delivery_stream_arn)
        if buffer is None:
            return
        config = config or s3_config(stream)
        opened = datetime.fromtimestamp(buffer.opened, UTC)
        logging = config["CloudWatchLoggingOptions"]
        logs = (logging.get("LogGroupName"), logging.get("LogStreamName")) if logging["Enabled"] else ()
        self.spool.close_buffer(
            Delivery(
                0,
                stream.delivery_stream_arn,
                destination.bucket(config),
                destination.key(stream.delivery_stream_name, version or stream.version_id, config, opened),
                config["CompressionFormat"] == "GZIP",
                buffer.opened,
                *logs,
            )
        )

    def _allowed(self, stream: DeliveryStream, wanted: int) -> int:
        """How many of `wanted` records the stream takes now."""
        limit = self.tagger.get_tag_dict_for_resource(stream.delivery_stream_arn).get(LIMIT_TAG)
        if limit is None:
            return wanted
        if not limit.isdecimal():
            raise InvalidArgumentException(f"tag {LIMIT_TAG}: {limit} is not a whole number")
        allowance = self.allowances.setdefault(stream.delivery_stream_arn, Allowance())
        return allowance.take(wanted, int(limit), self.context.clock().timestamp())


class Responses(FirehoseResponse):
    """moto passes positions; names are safer, and the checks above need them."""

    def create_delivery_stream(self) -> ActionResult:
        for source in ("MSKSourceConfiguration", "DatabaseSourceConfiguration"):
            if self._get_param(source):
                raise InvalidArgumentException(f"local AWS does not support {source}")
        names = _parameters(FirehoseBackend.create_delivery_stream, "region")
        arguments = {name: self._get_param(_field(name)) for name in names}
        return ActionResult(
            {
                "DeliveryStreamARN": self.firehose_backend.create_delivery_stream(
                    region=self.region, **arguments
                )
            }
        )

    def update_destination(self) -> ActionResult:
        names = _parameters(FirehoseBackend.update_destination)
        self.firehose_backend.update_destination(**{name: self._get_param(_field(name)) for name in names})
        return ActionResult({})


def s3_config(stream: DeliveryStream) -> dict[str, Any]:
    """The stream's destination, extended or plain."""
    described = stream.destinations[0]
    return dict(described.get("ExtendedS3") or described["S3"])


def _refuse_other_destinations(arguments: dict[str, Any]) -> None:
    for name, value in arguments.items():
        if value and "_destination_" in name and "s3_destination" not in name:
            raise InvalidArgumentException(f"local AWS does not support {_field(name)}; S3 is delivered to")


def _check_records(records: list[dict[str, bytes]]) -> None:
    if not 1 <= len(records) <= BATCH_RECORDS:
        raise ValidationException(
            f"{len(records)} records at 'records' failed to satisfy constraint: "
            f"Member must have length between 1 and {BATCH_RECORDS}"
        )
    sizes = [len(record["Data"]) for record in records]
    for number, size in enumerate(sizes, start=1):
        if size > RECORD_BYTES:
            raise ValidationException(
                f"{size} bytes at 'records.{number}.member.data' failed to satisfy constraint: "
                f"Member must have length less than or equal to {RECORD_BYTES}"
            )
    if sum(sizes) > BATCH_BYTES:
        raise InvalidArgumentException(f"Records size exceeds 4 MB limit: {sum(sizes)} bytes")


def _parameters(function: Any, *without: str) -> list[str]:
    code = function.__code__
    return [name for name in code.co_varnames[1 : code.co_argcount] if name not in without]


def _field(name: str) -> str:
    """moto's argument name -> the request's field."""
    return "".join(word.capitalize() for word in name.split("_"))
