"""The data plane's ASGI application: InvokeEndpoint, and the control plane's requests under /-/.

A bare ASGI callable: this path is measured against the bare model, and a framework would be half of its time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote

from local_aws.images.xgboost.payload import Answer
from local_aws.serving import desired, errors
from local_aws.serving.asynchronous import Ask, Queue
from local_aws.serving.capture import Capture, Event
from local_aws.serving.errors import MAX_BODY_BYTES, RuntimeApiError
from local_aws.serving.fleets import Choice, Fleets, Shadow
from local_aws.serving.hosts import Request
from local_aws.serving.logs import EndpointLogs
from local_aws.serving.metrics import Metrics, Sample

log = logging.getLogger(__name__)

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = dict[bytes, bytes]

PUBLISH_SECONDS = 1.0
MOST_COPIES = 256  # under way to shadow variants; what is more is not copied

OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
# Request headers that ask for a kind of endpoint local AWS does not have.
NOT_SUPPORTED_HEADERS = {
    b"x-amzn-sagemaker-target-model": "TargetModel (multi-model endpoints)",
    b"x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname (multi-container endpoints)",
    b"x-amzn-sagemaker-inference-component": "InferenceComponentName",
    b"x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    b"x-amzn-sagemaker-session-id": "SessionId",
}


class DataPlane:
    """The ASGI callable. Its lifespan loads the endpoints, publishes every second, and ends orderly."""

    def __init__(
        self,
        state_file: Path,
        fleets: Fleets,
        capture: Capture,
        metrics: Metrics,
        logs: EndpointLogs,
        queue: Callable[[Ask], Queue],
        *,
        region: str,
        account: str,
    ) -> None:
        self.state_file = state_file
        self.fleets = fleets
        self.capture = capture
        self.metrics = metrics
        self.logs = logs
        self.queue = queue(self.ask_later)
        self.region = region
        self.account = account
        self.error: str | None = (
            None  # what is wrong with endpoints.json; the last good one is served meanwhile
        )
        self._publisher: asyncio.Task[None] | None = None
        self._copies: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] != "http":
            return None
        parts = scope["path"].split("/")
        if (
            len(parts) == 4
            and parts[1] == "endpoints"
            and parts[3] in OPERATIONS
            and scope["method"] == "POST"
        ):
            return await self._runtime(unquote(parts[2]), OPERATIONS[parts[3]], scope, receive, send)
        if len(parts) == 3 and parts[1] == "-":
            return await self._control(scope["method"], parts[2], scope["query_string"], receive, send)
        what = f"{scope['method']} {scope['path']}"
        error = RuntimeApiError("UnknownOperationException", 404, f"{what} is not a call of the runtime API.")
        return await _send_error(send, error, str(uuid.uuid4()))

    async def _runtime(
        self, endpoint: str, operation: str, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        request_id = _request_id()
        try:
            body = await _read_body(receive)
            headers = dict(scope["headers"])
            if operation == "InvokeEndpoint":
                await self._invoke(endpoint, body, headers, request_id, send)
            elif operation == "InvokeEndpointAsync":
                await self._accept(endpoint, headers, request_id, send)
            else:
                raise errors.not_supported(operation)
        except RuntimeApiError as error:
            await _send_error(send, error, request_id)
        except Exception:
            log.exception("InvokeEndpoint %s", endpoint)
            text = f"Internal failure of local AWS while asking endpoint {endpoint}; its log has the reason."
            await _send_error(send, RuntimeApiError("InternalFailure", 500, text), request_id)

    async def _invoke(
        self, endpoint: str, body: bytes, headers: Headers, request_id: str, send: Send
    ) -> None:
        begun = time.perf_counter()
        if not NOT_SUPPORTED_HEADERS.keys().isdisjoint(headers):
            meanings = [meaning for name, meaning in NOT_SUPPORTED_HEADERS.items() if name in headers]
            raise errors.invalid(f"{', '.join(meanings)} is not supported by local AWS.")
        if self.queue.is_asynchronous(endpoint):
            raise errors.invalid(f"Endpoint {endpoint} is asynchronous; use InvokeEndpointAsync.")
        target = headers.get(b"x-amzn-sagemaker-target-variant")
        request = Request(
            body,
            headers.get(b"content-type", b"").decode("latin-1"),
            headers.get(b"accept", b"").decode("latin-1"),
            headers.get(b"x-amzn-sagemaker-custom-attributes", b"").decode("latin-1"),
        )
        inference_id = headers.get(b"x-amzn-sagemaker-inference-id", b"").decode("latin-1")
        event = Event(endpoint, request_id, inference_id or None, begun)
        choice, answer = await self._ask(event, request, target.decode("latin-1") if target else None)
        extra = [(b"x-amzn-invoked-production-variant", choice.model.name.encode("latin-1"))]
        if answer.custom_attributes:
            extra.append((b"x-amzn-sagemaker-custom-attributes", answer.custom_attributes.encode("latin-1")))
        await _send(send, answer.status, answer.content_type, answer.body, request_id, extra)

    async def _ask(self, event: Event, request: Request, target: str | None) -> tuple[Choice, Answer]:
        """Ask the model whose turn it is. Raises RuntimeApiError when there is none, and for its errors."""
        route, choice = self.fleets.pick(event.endpoint, target)
        choice.check_free()
        asked = time.perf_counter()
        answer = await choice.model.invoke(request)
        answered = time.perf_counter()
        self.capture.record(route.capture, (event, choice.model.name, request, answer))
        self.metrics.record(
            Sample(choice.dimensions, answer.status, answered - asked, time.perf_counter() - event.begun)
        )
        for shadow in choice.shadows:
            if self.fleets.draw() < shadow.share and len(self._copies) < MOST_COPIES:
                copy = asyncio.create_task(self._ask_shadow(shadow, route.capture, event, request))
                self._copies.add(copy)
                copy.add_done_callback(self._copies.discard)
        if answer.status >= 400:
            text = answer.body.decode("utf-8", "replace")
            raise errors.model_error(event.endpoint, self.region, self.account, answer.status, text)
        return choice, answer

    async def _ask_shadow(
        self, shadow: Shadow, capture: desired.Capture | None, event: Event, request: Request
    ) -> None:
        """A copy of a request: its answer is measured and captured, and goes nowhere."""
        begun = time.perf_counter()
        try:
            answer = await shadow.model.invoke(request)
        except Exception:
            log.exception("Shadow variant %s of endpoint %s", shadow.model.name, event.endpoint)
            return
        seconds = time.perf_counter() - begun
        self.capture.record(capture, (event, shadow.model.name, request, answer))
        self.capture.commit()  # no answer follows that would do it
        self.metrics.record(Sample(shadow.dimensions, answer.status, seconds, seconds))

    async def _accept(self, endpoint: str, headers: Headers, request_id: str, send: Send) -> None:
        self.fleets.require(endpoint)
        invocation = self.queue.accept(endpoint, headers)
        extra = [(b"x-amzn-sagemaker-outputlocation", invocation.output.encode("latin-1", "replace"))]
        if invocation.failure:
            extra.append(
                (b"x-amzn-sagemaker-failurelocation", invocation.failure.encode("latin-1", "replace"))
            )
        body = json.dumps({"InferenceId": invocation.id}).encode()
        await _send(send, 202, "application/json", body, request_id, extra)

    async def ask_later(self, endpoint: str, request: Request, inference_id: str) -> Answer:
        """For the queue of asynchronous requests."""
        event = Event(endpoint, str(uuid.uuid4()), inference_id, time.perf_counter())
        _, answer = await self._ask(event, request, None)
        self.capture.commit()
        return answer

    async def _control(self, method: str, action: str, query: bytes, receive: Receive, send: Send) -> None:
        await _read_body(receive)
        status = 200
        match method, action:
            case "GET", "status":
                answer = self._status()
            case "POST", "reload":
                self.reload()
                answer = self._status()
                status = 200 if self.error is None else 400
            case "POST", "flush":
                endpoint = parse_qs(query.decode()).get("endpoint", [None])[0]
                objects = await asyncio.to_thread(self.capture.flush, endpoint=endpoint)
                datums = await asyncio.to_thread(self.metrics.flush)
                await asyncio.to_thread(self.logs.flush)
                answer = {"objects": objects, "datums": datums, "pending": self.capture.pending()}
            case _:
                status, answer = 404, {"Message": f"{method} /-/{action} does not exist."}
        await _send(send, status, "application/json", json.dumps(answer).encode(), str(uuid.uuid4()), [])

    def reload(self) -> None:
        """Reads endpoints.json again. A file that cannot be used is reported and changes nothing."""
        try:
            endpoints = desired.read(self.state_file)
        except desired.DesiredStateError as error:
            self.error = str(error)
            log.error("%s", error)
            return
        self.error = None
        loop = asyncio.get_running_loop()
        for name in self.fleets.apply(endpoints):
            loop.run_in_executor(None, partial(self.capture.flush, endpoint=name))
        self.queue.apply(endpoints)

    def _status(self) -> dict[str, Any]:
        return {"version": 1, "error": self.error, "endpoints": self.fleets.status()}

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.reload()
        self._publisher = asyncio.create_task(self._publish())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._publisher.cancel()
        with suppress(asyncio.CancelledError):
            await self._publisher
        await self.queue.close()
        await asyncio.to_thread(self.capture.flush)
        await asyncio.to_thread(self.metrics.flush)
        await self.fleets.close()
        await asyncio.to_thread(self.logs.flush)
        await send({"type": "lifespan.shutdown.complete"})

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(PUBLISH_SECONDS)
            try:
                await asyncio.to_thread(self.metrics.flush)
                await asyncio.to_thread(self.capture.flush, due_only=True)
                await asyncio.to_thread(self.logs.flush)
            except Exception:
                log.exception("Publishing captures and metrics")


def _request_id() -> str:
    """Random, in the form of a UUID 4, which `uuid.uuid4` takes four times as long to make."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


async def _read_body(receive: Receive) -> bytes:
    """The request's body. Raises RuntimeApiError once all of a body that is too large has been read.

    It is read to its end because a client that is still sending would see a broken connection, not the error.
    """
    message = await receive()
    if not message.get("more_body"):
        chunks = [message.get("body", b"")]
    else:
        chunks, size = [message["body"]], len(message["body"])
        while message.get("more_body"):
            message = await receive()
            size += len(message.get("body", b""))
            if size <= MAX_BODY_BYTES:
                chunks.append(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise errors.body_too_large(size)
    body = b"".join(chunks)
    if len(body) > MAX_BODY_BYTES:
        raise errors.body_too_large(len(body))
    return body


async def _send(
    send: Send, status: int, content_type: str, body: bytes, request_id: str, extra: list[tuple[bytes, bytes]]
) -> None:
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-requestid", request_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, error: RuntimeApiError, request_id: str) -> None:
    extra = [(b"x-amzn-errortype", error.code.encode())]
    await _send(send, error.status, "application/json", error.body(), request_id, extra)
