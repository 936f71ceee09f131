"""Lambda: functions from zip packages that really run, each invocation in a process of its own.

moto owns the API's shapes and records; here are the processes (`invocations`), the durable queue of
asynchronous invocations (`asynchronous`), what becomes of them (`destinations`) and the pollers of queues
(`mappings`). Functions run in the environment `functions`: AWS's Python runtime, boto3 and Powertools.
"""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from moto.awslambda import models

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.lambda_ import asynchronous, destinations
from local_aws.services.lambda_.asynchronous import Event, Queue
from local_aws.services.lambda_.errors import NoSuchFunction, ServiceFailure, TooManyRequests
from local_aws.services.lambda_.invocations import Invocations
from local_aws.services.lambda_.mappings import Poller
from local_aws.services.lambda_.outcomes import Outcome
from local_aws.services.lambda_.packages import Packages
from local_aws.services.lambda_.records import Function, LayerVersion
from local_aws.state import Database

__all__ = [
    "NoSuchFunction",
    "Outcome",
    "TooManyRequests",
    "install",
    "invoke",
    "invoke_event",
    "resume",
]

REFUSED = (  # stored by moto without effect
    "CreateFunctionUrlConfig",
    "UpdateFunctionUrlConfig",
    "PutFunctionCodeSigningConfig",
    "InvokeWithResponseStream",
)


@dataclass(frozen=True)
class _Lambda:
    """The service as it was installed."""

    context: Context
    packages: Packages
    invocations: Invocations
    queue: Queue
    poller: Poller


_installed: _Lambda | None = None


def install(context: Context) -> None:
    global _installed  # noqa: PLW0603  # moto makes its response objects without arguments
    from local_aws.services.lambda_.backend import LambdaBackend
    from local_aws.services.lambda_.responses import LambdaResponse

    packages = Packages(context.data_dir / "lambda" / "packages", context.objects)
    Function.packages = LayerVersion.packages = packages
    invocations = Invocations(context, packages, functions_python(context))
    database = Database(context.data_dir / "lambda.sqlite", asynchronous.SCHEMA)

    def deliver(
        function: Function, event: Event, condition: asynchronous.Condition, outcome: Outcome | None
    ) -> None:
        destinations.deliver(context, function, event, condition, outcome)

    queue = Queue(database, invocations, find, deliver, context.clock, retry_seconds())
    _installed = _Lambda(context, packages, invocations, queue, Poller(context, invocations))
    moto_hooks.replace_backend("lambda", LambdaBackend)
    moto_hooks.replace_responses("lambda", LambdaResponse)
    for operation in REFUSED:
        moto_hooks.not_supported("lambda", operation)


def resume(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    service = _get()
    backends = [backend for _, _, backend in models.lambda_backends.iter_backends()]
    service.packages.keep_only(digest for backend in backends for digest in backend.digests())
    service.queue.resume()
    for target, name in ((service.queue.run, "lambda queue"), (service.poller.run, "lambda pollers")):
        threading.Thread(target=target, name=name, daemon=True).start()


def invoke(context: Context, function_arn: str, payload: bytes) -> Outcome:  # noqa: ARG001
    """Run a function and wait for it. Never call it with a lock of `context.state` held: the function calls
    this local AWS. payload: JSON. Raises NoSuchFunction, TooManyRequests, ServiceFailure."""
    return run(find(function_arn), function_arn, payload, str(uuid.uuid4()))


def invoke_event(context: Context, function_arn: str, payload: bytes, *, source: str) -> None:  # noqa: ARG001
    """Accept an asynchronous invocation: it is on disk when this returns; retries, the event's maximum age,
    dead-letter queue and destinations are the function's from there. payload: JSON. source: who calls, an ARN
    or a word. Raises NoSuchFunction."""
    find(function_arn)
    accept(function_arn, payload, source=source)


def accept(function_arn: str, payload: bytes, *, source: str) -> str:
    """As `invoke_event`, for a function that is known; returns the request id."""
    return _get().queue.accept(function_arn, payload, source)


def run(function: Function, arn: str, payload: bytes, request_id: str, client_context: Any = None) -> Outcome:
    """Run a function and wait for it. Raises TooManyRequests, ServiceFailure."""
    ended = threading.Event()
    outcomes: list[Outcome] = []

    def on_outcome(outcome: Outcome) -> None:
        outcomes.append(outcome)
        ended.set()

    invocations = _get().invocations
    invocations.start(function, arn, payload, request_id, on_outcome, client_context=client_context)
    ended.wait()
    if outcomes[0].lost:
        raise ServiceFailure(outcomes[0].error_message())
    return outcomes[0]


def find(arn: str) -> Function:
    """The function, or the version of it, that an ARN names. Raises NoSuchFunction."""
    parts = arn.split(":")
    if len(parts) < 7 or parts[2] != "lambda":
        raise NoSuchFunction(arn)
    backend = models.lambda_backends[parts[4]][parts[3]]
    function: Function = backend.get_function(arn)
    return function


def lock() -> RLock:
    return _get().context.state.lock("awslambda")


def functions_python(context: Context) -> Path:
    """The interpreter of the environment `functions`, which stands beside that of the jobs."""
    named = os.environ.get("LOCAL_AWS_FUNCTIONS_PYTHON")
    return Path(named) if named else context.jobs_python.parents[2] / "functions" / "bin" / "python"


def retry_seconds() -> tuple[float, ...]:
    """How long asynchronous invocations wait for their next attempts: AWS's minutes, or what
    LOCAL_AWS_LAMBDA_RETRY_SECONDS says ("1,2")."""
    named = os.environ.get("LOCAL_AWS_LAMBDA_RETRY_SECONDS")
    return tuple(float(word) for word in named.split(",")) if named else asynchronous.RETRY_SECONDS


def _get() -> _Lambda:
    if _installed is None:
        raise RuntimeError("local_aws.services.lambda_.install was not called")
    return _installed
