"""What becomes of an asynchronous invocation that is done with: dead-letter queue and destinations."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local_aws.context import Context
from local_aws.services.lambda_.asynchronous import Condition, Event
from local_aws.services.lambda_.invocations import Outcome
from local_aws.services.lambda_.records import Function

log = logging.getLogger(__name__)

DEAD_LETTER_ERROR_BYTES = 1024


def deliver(
    context: Context, function: Function, event: Event, condition: Condition, outcome: Outcome | None
) -> None:
    """Send the record of an event to the function's destination for this condition, and a failed event to the
    dead-letter queue. A target that does not take it is written to the server's log: AWS drops it as well.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    configured: dict[str, Any] = {}
    for configuration in function.event_invoke_config:
        configured = configuration.config.get("DestinationConfig") or {}
    target = configured.get("OnSuccess" if condition == "Success" else "OnFailure", {}).get("Destination")
    if target:
        _attempt(
            context, target, lambda: _send(context, target, _record(function, event, condition, outcome))
        )
    dead_letters = function.dead_letter_arn
    if condition != "Success" and dead_letters:
        _attempt(context, dead_letters, lambda: _bury(context, dead_letters, event, outcome))


def _attempt(context: Context, target: str, send: Any) -> None:
    try:
        with context.state.lock("awslambda"):
            send()
    except Exception:
        log.exception("a finished event could not be delivered to %s", target)


def _record(
    function: Function, event: Event, condition: Condition, outcome: Outcome | None
) -> dict[str, Any]:
    moment = event_time(event.accepted)
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": moment,
        "requestContext": {
            "requestId": event.id,
            "functionArn": function.qualified_arn,
            "condition": condition,
            "approximateInvokeCount": event.failures + 1 if outcome else event.failures,
        },
        "requestPayload": _json(event.payload),
    }
    if outcome is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": outcome.version}
        if outcome.function_error:
            record["responseContext"]["functionError"] = outcome.function_error
        record["responsePayload"] = _json(outcome.payload)
    return record


def _send(context: Context, target: str, record: dict[str, Any]) -> None:
    service = target.split(":")[2]
    text = json.dumps(record)
    if service == "lambda":
        from local_aws.services import lambda_

        source = record["requestContext"]["functionArn"]
        lambda_.invoke_event(context, target, text.encode(), source=source)
    elif service == "events":
        from local_aws.services import events

        result = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
        kind = f"Lambda Function Invocation Result - {result}"
        resources = [target, record["requestContext"]["functionArn"]]
        events.emit(context, "lambda", kind, record, resources)
    else:
        _put(context, target, text, {})


def _bury(context: Context, target: str, event: Event, outcome: Outcome | None) -> None:
    message = outcome.error_message() if outcome else "The event's maximum age was exceeded"
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": event.id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {
            "DataType": "String",
            "StringValue": message.encode()[:DEAD_LETTER_ERROR_BYTES].decode(errors="ignore") or "-",
        },
    }
    _put(context, target, event.payload.decode(), attributes)


def _put(context: Context, target: str, text: str, attributes: dict[str, Any]) -> None:
    """Send to a queue or a topic. Call with the lock held."""
    _, _, service, region, account, name = target.split(":", 5)
    if service == "sqs":
        sqs_backends[account][region].send_message(name, text, message_attributes=attributes)
    elif service == "sns":
        sns_backends[account][region].publish(text, arn=target, message_attributes=attributes)
        context.state.commit("sqs")  # its subscriptions
    else:
        raise ValueError(f"{target} is no queue and no topic")
    context.state.commit(service)


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def event_time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
