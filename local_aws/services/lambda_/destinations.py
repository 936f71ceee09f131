"""What becomes of an asynchronous invocation that is done with: dead-letter queue and destinations.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from local_aws.context import Context
from local_aws.services import delivery, events
from local_aws.services.lambda_.asynchronous import Condition, Event
from local_aws.services.lambda_.outcomes import Outcome
from local_aws.services.lambda_.records import Function

DEAD_LETTER_ERROR_BYTES = 1024


def deliver(
    context: Context, function: Function, event: Event, condition: Condition, outcome: Outcome | None
) -> None:
    """Owe the record of an event to the function's destination for this condition, and a failed event itself
    to its dead-letter queue. On disk when this returns; `delivery` does the rest."""
    configured: dict[str, Any] = {}
    for configuration in function.event_invoke_config:
        configured = configuration.config.get("DestinationConfig") or {}
    destination = configured.get("OnSuccess" if condition == "Success" else "OnFailure", {}).get(
        "Destination"
    )
    if destination:
        _send(context, destination, _record(function, event, condition, outcome))
    if function.dead_letter_arn and condition != "Success":
        message = outcome.error_message() if outcome else "The event's maximum age was exceeded"
        attributes = {
            "RequestID": ("String", event.id),
            "ErrorCode": ("Number", "200"),
            "ErrorMessage": (
                "String",
                message.encode()[:DEAD_LETTER_ERROR_BYTES].decode(errors="ignore") or "-",
            ),
        }
        typed = {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()}
        letter = delivery.Delivery(
            function.dead_letter_arn,
            event.payload.decode(),
            function.qualified_arn,
            {"typed_attributes": typed},
        )
        delivery.add([letter])


def _send(context: Context, destination: str, record: dict[str, Any]) -> None:
    function_arn = record["requestContext"]["functionArn"]
    if destination.split(":")[2] == "events":
        result = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
        kind = f"Lambda Function Invocation Result - {result}"
        events.emit(context, "lambda", kind, record, [destination, function_arn])
    else:
        delivery.add([delivery.Delivery(destination, json.dumps(record), function_arn)])


def _record(
    function: Function, event: Event, condition: Condition, outcome: Outcome | None
) -> dict[str, Any]:
    accepted = datetime.fromtimestamp(event.accepted, UTC).isoformat(timespec="milliseconds")
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": accepted.replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.id,
            "functionArn": function.qualified_arn,
            "condition": condition,
            "approximateInvokeCount": event.failures + (1 if outcome else 0),
        },
        "requestPayload": _json(event.payload),
    }
    if outcome is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": outcome.version}
        if outcome.function_error:
            record["responseContext"]["functionError"] = outcome.function_error
        record["responsePayload"] = _json(outcome.payload)
    return record


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")
