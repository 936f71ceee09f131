"""moto's Lambda request handling with invocations that run."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import unquote

from moto.awslambda import responses
from moto.core.responses import TYPE_RESPONSE

from local_aws.services import lambda_
from local_aws.services.lambda_.errors import (
    InvalidParameterValueException,
    InvalidRequestContent,
    RequestTooLarge,
)

SYNCHRONOUS_BYTES = 6_291_456
ASYNCHRONOUS_BYTES = 1_048_576


class LambdaResponse(responses.LambdaResponse):
    """Invocations; the others are moto's.

    The front door does not hold the lock of all services during Invoke: the function calls them.
    """

    def invoke(self) -> Any:
        name = unquote(self.path.rsplit("/", 2)[-2])
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        limit = ASYNCHRONOUS_BYTES if kind == "Event" else SYNCHRONOUS_BYTES
        payload = _payload(self.body, limit)
        with lambda_.lock():
            function = self.backend.get_function(name, self.querystring.get("Qualifier", [None])[0])
        if kind == "DryRun":
            return 204, {"status": 204}, ""
        if kind == "Event":
            request_id = lambda_.accept(function.qualified_arn, payload, source="API")
            return 202, {"status": 202, "x-amzn-requestid": request_id}, ""
        if kind != "RequestResponse":
            raise InvalidParameterValueException(f"{kind} is no invocation type")
        request_id = str(uuid.uuid4())
        outcome = lambda_.run(function, function.function_arn, payload, request_id, self._client_context())
        headers = {
            "status": 200,
            "content-type": "application/json",
            "X-Amz-Executed-Version": outcome.version,
            "x-amzn-requestid": request_id,
        }
        if outcome.function_error:
            headers["X-Amz-Function-Error"] = outcome.function_error
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(outcome.log_tail.encode()).decode()
        return 200, headers, outcome.payload

    def invoke_async(self) -> TYPE_RESPONSE:
        """The old form of an invocation of type Event."""
        name = unquote(self.path.rstrip("/").rsplit("/", 2)[-2])
        payload = _payload(self.body, ASYNCHRONOUS_BYTES)
        lambda_.accept(self.backend.get_function(name).qualified_arn, payload, source="API")
        return 202, {"status": 202}, ""

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        """An invocation's request id is that of its log; moto makes one up for each answer."""
        known = headers.get("x-amzn-requestid")
        headers, body = responses.LambdaResponse._enrich_response(headers, body)
        return headers | ({"x-amzn-requestid": known} if known else {}), body

    def _client_context(self) -> Any:
        encoded = self.headers.get("X-Amz-Client-Context")
        if not encoded:
            return None
        try:
            return json.loads(base64.b64decode(encoded))
        except ValueError as error:
            raise InvalidRequestContent(f"ClientContext: {error}") from None


def _payload(body: Any, limit: int) -> bytes:
    payload = body.encode() if isinstance(body, str) else bytes(body or b"")
    if len(payload) > limit:
        raise RequestTooLarge(limit)
    if not payload:
        return b"{}"
    try:
        json.loads(payload)
    except ValueError as error:
        raise InvalidRequestContent(str(error)) from None
    return payload
