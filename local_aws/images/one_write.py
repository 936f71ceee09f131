"""uvicorn's HTTP protocol, with all of an answer in one write.

uvicorn writes an answer's head when the application starts it, and its body when that comes: two calls of the
system, two packets, and a client that is woken twice. For a small answer the second costs as much as all
that an endpoint does around its model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWrite(HttpToolsProtocol):
    """For uvicorn's setting `http`."""

    def __init__(
        self, *arguments: Any, before_write: Callable[[], None] | None = None, **options: Any
    ) -> None:
        """before_write: called before anything is written; raises nothing."""
        super().__init__(*arguments, **options)
        self._before_write = before_write

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Gathering(transport, self.loop, self._before_write))


class _Gathering:
    """A transport that writes at the end of the event loop's step what was given to it during the step."""

    def __init__(
        self, transport: Any, loop: asyncio.AbstractEventLoop, before_write: Callable[[], None] | None
    ) -> None:
        self._before_write = before_write
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            if self._before_write is not None:
                self._before_write()
            pieces, self._pieces = self._pieces, []
            self._transport.writelines(pieces)
