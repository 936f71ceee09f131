"""Asynchronous inference: a request is kept, answered with where its result will be, and worked on later.

A request is a file below `<folder>/<endpoint>/` before its 202 is sent, and goes when its result is in S3:
one that a killed data plane had in hand is worked on again by the next (at least once, under the same key).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from local_aws.images.xgboost.payload import Answer
from local_aws.serving import desired
from local_aws.serving.errors import NOT_READY, RuntimeApiError, invalid
from local_aws.serving.hosts import Request

log = logging.getLogger(__name__)

DEFAULT_TTL_SECONDS = 21600
DEFAULT_TIMEOUT_SECONDS = 900
DEFAULT_CONCURRENCY = 1
AWAY_SECONDS = 1.0  # until a result that could not be stored is tried again
LARGEST_INPUT = 1024**3  # AWS's own limit

Headers = dict[bytes, bytes]
Ask = Callable[[str, Request, str], Awaitable[Answer]]  # endpoint, request, inference id


@dataclass(frozen=True)
class Invocation:
    """One accepted request. Times are seconds since the epoch; locations are s3:// URIs.

    file: its name below the endpoint's folder, in the order of arrival.
    """

    file: str
    id: str
    endpoint: str
    input: str
    output: str
    failure: str | None
    content_type: str
    accept: str
    custom_attributes: str
    received: float
    ttl_seconds: float
    timeout_seconds: float


class Queue:
    """All asynchronous endpoints. Runs on the event loop; S3 and SNS are called in threads."""

    def __init__(self, folder: Path, s3: Any, sns: Any, ask: Ask, region: str) -> None:
        """s3, sns: boto3 clients. ask: invokes a model, raising RuntimeApiError for its errors."""
        self.folder = folder
        self.s3 = s3
        self.sns = sns
        self.ask = ask
        self.region = region
        self._settings: dict[str, desired.Async] = {}
        self._waiting: dict[str, asyncio.Queue[Invocation]] = {}
        self._workers: dict[str, list[asyncio.Task[None]]] = {}

    def apply(self, endpoints: dict[str, desired.Endpoint]) -> None:
        """Work for the endpoints that are asynchronous; what waited for one that is gone goes too."""
        wanted = {name: each.asynchronous for name, each in endpoints.items() if each.asynchronous}
        for name in set(self._workers) - set(wanted):
            for task in self._workers.pop(name):
                task.cancel()
            self._waiting.pop(name)
        for left in self.folder.glob("*"):
            if left.name not in endpoints:
                shutil.rmtree(left, ignore_errors=True)
        self._settings = wanted
        for name, settings in wanted.items():
            if name not in self._workers:
                queue: asyncio.Queue[Invocation] = asyncio.Queue()
                self._waiting[name] = queue
                for invocation in self._left_over(name):
                    queue.put_nowait(invocation)
                self._workers[name] = []
            workers = self._workers[name]
            while len(workers) > settings.concurrency:
                workers.pop().cancel()
            while len(workers) < settings.concurrency:
                workers.append(asyncio.create_task(self._work(name)))

    def accept(self, endpoint: str, headers: Headers) -> Invocation:
        """Keep a request durably. Raises RuntimeApiError when it can be none."""
        settings = self._settings.get(endpoint)
        if settings is None:
            raise invalid(f"Endpoint {endpoint} is not an asynchronous endpoint; use InvokeEndpoint.")

        def header(name: str) -> str:
            return headers.get(f"x-amzn-sagemaker-{name}".encode(), b"").decode("latin-1")

        location = header("inputlocation")
        if not location.startswith("s3://"):
            raise invalid("InvokeEndpointAsync needs an InputLocation in S3; a Body is not supported here.")
        identity = header("inference-id") or str(uuid.uuid4())
        unique = str(uuid.uuid4())
        name = _inside(header("filename") or f"{unique}.out")
        extension = _inside(header("s3outputpathextension"))
        invocation = Invocation(
            file=f"{time.time_ns():020d}-{unique}.json",
            id=identity,
            endpoint=endpoint,
            input=location,
            output="/".join(filter(None, (settings.output, extension, name))),
            failure=f"{settings.failure}/{unique}-error.out" if settings.failure else None,
            content_type=header("content-type"),
            accept=header("accept"),
            custom_attributes=header("custom-attributes"),
            received=time.time(),
            ttl_seconds=float(header("requestttlseconds") or DEFAULT_TTL_SECONDS),
            timeout_seconds=float(header("invocationtimeoutseconds") or DEFAULT_TIMEOUT_SECONDS),
        )
        path = self.folder / endpoint / invocation.file
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_suffix(".part")
        work.write_text(json.dumps(asdict(invocation)))
        work.replace(path)
        self._waiting[endpoint].put_nowait(invocation)
        return invocation

    def is_asynchronous(self, endpoint: str) -> bool:
        return endpoint in self._settings

    async def close(self) -> None:
        """What is being worked on is left for the next start."""
        tasks = [task for workers in self._workers.values() for task in workers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _left_over(self, endpoint: str) -> list[Invocation]:
        files = sorted((self.folder / endpoint).glob("*.json"))
        return [Invocation(**json.loads(path.read_text())) for path in files]

    async def _work(self, endpoint: str) -> None:
        while True:
            waiting = self._waiting[endpoint]
            invocation = await waiting.get()
            try:
                await self._finish(invocation)
            except asyncio.CancelledError:
                waiting.put_nowait(invocation)  # for the workers that remain
                raise
            except Exception as error:  # noqa: BLE001 - S3 is away, say: tried again until its time to live
                log.warning("Asynchronous request %s of %s: %s", invocation.id, endpoint, error)
                waiting.put_nowait(invocation)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            (self.folder / endpoint / invocation.file).unlink(missing_ok=True)

    async def _finish(self, invocation: Invocation) -> None:
        settings = self._settings[invocation.endpoint]
        try:
            answer = await self._answer(invocation)
        except RuntimeApiError as error:
            if invocation.failure:
                await self._store(invocation.failure, str(error).encode(), "text/plain")
            await self._notify(settings.error_topic, invocation, _failed(invocation, str(error)))
            return
        await self._store(invocation.output, answer.body, answer.content_type)
        body = _completed(invocation, answer, "SUCCESS_NOTIFICATION_TOPIC" in settings.include)
        await self._notify(settings.success_topic, invocation, body)

    async def _answer(self, invocation: Invocation) -> Answer:
        if time.time() > invocation.received + invocation.ttl_seconds:
            raise invalid(f"The request waited longer than its time to live, {invocation.ttl_seconds:g} s.")
        body, stored_type = await asyncio.to_thread(self._input, invocation.input)
        request = Request(
            body,
            invocation.content_type or stored_type,
            invocation.accept,
            invocation.custom_attributes,
            invocation.timeout_seconds,
        )
        while True:
            try:
                return await self.ask(invocation.endpoint, request, invocation.id)
            except RuntimeApiError as error:
                if error.code != NOT_READY:
                    raise
            await asyncio.sleep(AWAY_SECONDS)  # the model is being loaded: after a restart it is at first

    def _input(self, uri: str) -> tuple[bytes, str]:
        """(content, content type) of the object. The SDK gives the type to the object, not to the request."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            answer = self.s3.get_object(Bucket=bucket, Key=key)
        except self.s3.exceptions.ClientError as error:
            raise invalid(f"The input {uri} cannot be read: {error}") from error
        if answer["ContentLength"] > LARGEST_INPUT:
            raise invalid(
                f"The input {uri} has {answer['ContentLength']} bytes; the limit is {LARGEST_INPUT}."
            )
        return answer["Body"].read(), answer["ContentType"]

    async def _store(self, uri: str, body: bytes, content_type: str) -> None:
        """Until it is stored; a bucket that is gone ends the matter."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        while True:
            try:
                await asyncio.to_thread(
                    self.s3.put_object, Bucket=bucket, Key=key, Body=body, ContentType=content_type
                )
                return
            except self.s3.exceptions.ClientError as error:
                log.warning("The result %s cannot be stored: %s", uri, error)
                return
            except Exception as error:  # noqa: BLE001 - S3 is away: the request stays until it is back
                log.warning("The result %s cannot be stored yet: %s", uri, error)
                await asyncio.sleep(AWAY_SECONDS)

    async def _notify(self, topic: str | None, invocation: Invocation, message: dict[str, Any]) -> None:
        if topic is None:
            return
        message = {
            "awsRegion": self.region,
            "eventTime": _time(time.time()),
            "receivedTime": _time(invocation.received),
            **message,
            "inferenceId": invocation.id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        try:
            await asyncio.to_thread(self.sns.publish, TopicArn=topic, Message=json.dumps(message))
        except Exception as error:  # noqa: BLE001 - the result is stored; a topic may be gone
            log.warning("The end of %s cannot be announced on %s: %s", invocation.id, topic, error)


def _inside(name: str) -> str:
    """A part of a key, which must not leave its folder."""
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise invalid(f"{name} would be written outside the output path.")
    return name.strip("/")


def _completed(invocation: Invocation, answer: Answer, include: bool) -> dict[str, Any]:
    message: dict[str, Any] = {
        "invocationStatus": "Completed",
        "requestParameters": _parameters(invocation),
        "responseParameters": {"contentType": answer.content_type, "outputLocation": invocation.output},
    }
    if include:
        message["responseBody"] = {
            "content": base64.b64encode(answer.body).decode(),
            "encoding": "BASE64",
            "contentType": answer.content_type,
        }
    return message


def _failed(invocation: Invocation, reason: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "invocationStatus": "Failed",
        "failureReason": reason,
        "requestParameters": _parameters(invocation),
    }
    if invocation.failure:
        message["responseParameters"] = {"outputLocation": invocation.failure}
    return message


def _parameters(invocation: Invocation) -> dict[str, str]:
    return {"endpointName": invocation.endpoint, "inputLocation": invocation.input}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
