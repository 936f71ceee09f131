"""What runs a variant's model: this very process, or a process of its own.

In-house XGBoost models are data (UBJ, JSON), so they are hosted here, without a hop. Images with user code
get processes of their own under the container contract; see `containers.py`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple, Protocol

from local_aws.images import registry
from local_aws.images.xgboost.payload import Answer
from local_aws.images.xgboost.serve_model import Model, ModelLoadError, load_model
from local_aws.serving import desired
from local_aws.serving.containers import Container

# Above this a request is worth a thread: parsing and scoring it would hold up everybody else's.
INLINE_BODY_BYTES = 32 * 1024


class Request(NamedTuple):
    """What a model gets to see of an invocation."""

    body: bytes
    content_type: str
    accept: str
    custom_attributes: str = ""
    timeout_seconds: float = 60.0


class HostError(Exception):
    """The model cannot be started; the message is what DescribeEndpoint's FailureReason should say."""


class Host(Protocol):
    """A model that can be started once, asked, and stopped."""

    async def start(self) -> None: ...

    async def invoke(self, request: Request) -> Answer: ...

    async def stop(self) -> None: ...

    def forget(self) -> None:
        """Remove what a stopped model has left on the disk."""


class InProcess:
    """A model of the built-in XGBoost algorithm, loaded into this process."""

    def __init__(self, variant: desired.Variant, executor: Executor) -> None:
        self.variant = variant
        self.executor = executor
        self._model: Model | None = None

    async def start(self) -> None:
        environment = dict(self.variant.environment)
        loop = asyncio.get_running_loop()
        try:
            self._model = await loop.run_in_executor(
                self.executor, load_model, self.variant.model_dir, environment
            )
        except (ModelLoadError, OSError) as error:
            raise HostError(str(error)) from error

    async def invoke(self, request: Request) -> Answer:
        assert self._model is not None, "asked before start"
        arguments = (request.body, request.content_type, request.accept)
        if len(request.body) <= INLINE_BODY_BYTES:
            return self._model.answer(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, self._model.answer, *arguments)

    async def stop(self) -> None:
        self._model = None

    def forget(self) -> None:
        pass


class OwnProcesses:
    """A model behind the container contract, in one process or in several workers of the same."""

    def __init__(self, containers: list[Container], folder: Path, last_words: Callable[[], object]) -> None:
        """folder: what the workers share; it goes with `forget`, after `last_words` has sent their log."""
        self.containers = containers
        self.folder = folder
        self.last_words = last_words
        self._in_flight = [0] * len(containers)
        self._next = 0

    async def start(self) -> None:
        results = await asyncio.gather(*(each.start() for each in self.containers), return_exceptions=True)
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is None:
            return
        await self.stop()
        if isinstance(failed, OSError | RuntimeError | TimeoutError):
            raise HostError(str(failed)) from failed
        raise failed

    async def invoke(self, request: Request) -> Answer:
        given = {
            "Content-Type": request.content_type,
            "Accept": request.accept,
            "X-Amzn-SageMaker-Custom-Attributes": request.custom_attributes,
        }
        headers = {name: value for name, value in given.items() if value}
        worker = self._pick()
        self._in_flight[worker] += 1
        try:
            status, answered, body = await self.containers[worker].post(
                "/invocations", request.body, headers, request.timeout_seconds
            )
        finally:
            self._in_flight[worker] -= 1
        return Answer(
            status,
            answered.get("content-type", "application/octet-stream"),
            body,
            answered.get("x-amzn-sagemaker-custom-attributes", ""),
        )

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self.containers))

    def forget(self) -> None:
        """Remove what the workers kept; for a variant that will not be started again."""
        self.last_words()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pick(self) -> int:
        """Of the workers that run, the one with the fewest requests under way, in rotation among equals."""
        count = len(self.containers)
        turns = ((self._next + turn) % count for turn in range(count))
        worker = min(turns, key=lambda each: (not self.containers[each].ready, self._in_flight[each]))
        self._next = (worker + 1) % count
        return worker


def host_for(
    variant: desired.Variant,
    *,
    folder: Path,
    python: str,
    executor: Executor,
    last_words: Callable[[], object] = lambda: None,
) -> Host:
    """The host of a variant. `folder`: scratch space for processes of its own.

    Raises HostError when no command is known for the image.
    """
    environment = dict(variant.environment)
    try:
        command = registry.resolve(
            variant.image,
            "serving",
            python=python,
            base_dir=folder,
            entrypoint=variant.entry,
            environment=environment,
        )
    except registry.UnknownImage as error:
        raise HostError(str(error)) from error
    if command.in_process == "xgboost":
        return InProcess(variant, executor)
    workers = [
        Container(command.argv, command.env, folder, variant.model_dir) for _ in range(command.workers)
    ]
    return OwnProcesses(workers, folder, last_words)
