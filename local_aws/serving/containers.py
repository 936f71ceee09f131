"""A model server in a process of its own, under the contract of SageMaker's inference containers.

The process listens on the port named by SAGEMAKER_BIND_TO_PORT (the variable AWS's own serving containers
obey; 8080 on AWS), answers GET /ping with 200 when it is ready, and POST /invocations. One that dies is
started again.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

log = logging.getLogger(__name__)

READY_SECONDS = 240.0  # AWS: a container must answer /ping within four minutes
PING = aiohttp.ClientTimeout(total=2)
STOP_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
LAST_BYTES = 64 * 1024  # of the log, in which the reason of a failed start is looked for
LOG_FILE = "server.log"
PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
PASSED_ON_PREFIX = "AWS_"  # the region, the credentials, and where AWS is

_PR_SET_PDEATHSIG = 1


class Container:
    """`start` returns when the model answers /ping; `post` sends it a request; `stop` ends it for good."""

    def __init__(self, argv: list[str], env: Mapping[str, str], folder: Path, model_dir: Path) -> None:
        self.argv = argv
        self.env = dict(env)
        self.folder = folder
        self.model_dir = model_dir
        self.restarts = 0
        self.answers_pings = False
        self._process: asyncio.subprocess.Process | None = None
        self._client: aiohttp.ClientSession | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be asked now."""
        return self.answers_pings and self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Raises RuntimeError with the last line of its log when the process ends before it is ready."""
        await self._launch()
        self._watcher = asyncio.create_task(self._watch())

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body) of the model's answer; 503 when it does not answer."""
        if self._client is None:
            return 503, {}, b"The model's process is not running."
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._client.post(path, data=body, headers=headers, timeout=timeout) as answer:
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return 503, {}, f"The model's process did not answer: {type(error).__name__}.".encode()

    async def stop(self) -> None:
        """SIGTERM, thirty seconds, SIGKILL. What it wrote stays."""
        if self._watcher:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        await self._end()

    async def _launch(self) -> None:
        port = _free_port()
        model = self.folder / "model"
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        if not model.is_symlink():
            model.symlink_to(self.model_dir, target_is_directory=True)
        environment = {
            **{name: value for name, value in os.environ.items() if _is_passed_on(name)},
            "TMPDIR": str(temporary),
            **self.env,
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        with (self.folder / LOG_FILE).open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv,
                env=environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        # No limit on connections: the data plane has counted its requests before they come here.
        self._client = aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            auto_decompress=False,
            skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent"),
        )
        try:
            await asyncio.wait_for(self._until_ready(), READY_SECONDS)
        except BaseException:
            await self._end()
            raise
        self.answers_pings = True

    async def _until_ready(self) -> None:
        assert self._process is not None
        assert self._client is not None
        while True:
            if self._process.returncode is not None:
                raise RuntimeError(
                    f"The model's process ended with code {self._process.returncode} before it answered "
                    f"/ping: {self._last_line()}"
                )
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._client.get("/ping", timeout=PING) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)

    async def _watch(self) -> None:
        """Starts the process again whenever it ends, with growing pauses while it keeps ending."""
        pause = 0.5
        while True:
            assert self._process is not None
            code = await self._process.wait()
            self.answers_pings = False
            log.warning("Model process %s ended with code %s; starting it again.", self.folder.name, code)
            try:
                self.restarts += 1
                await self._launch()
                pause = 0.5
            except (OSError, RuntimeError, TimeoutError) as error:
                log.warning("%s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _end(self) -> None:
        process, client = self._process, self._client
        self._client = None
        if client is not None:
            await client.close()
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _last_line(self) -> str:
        with (self.folder / LOG_FILE).open("rb") as log_file:
            log_file.seek(max(0, log_file.seek(0, os.SEEK_END) - LAST_BYTES))
            text = log_file.read().decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "it wrote nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_passed_on(name: str) -> bool:
    return name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)


def _die_with_parent() -> None:
    """In the child: be killed when the data plane is, even by SIGKILL, so that nothing is orphaned."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
