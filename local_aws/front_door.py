"""HTTP on the loopback interface: cheroot's threads, with the spelling that S3 needs and fewer waits.

What cheroot does for every request, and is saved here: it writes the head and the body of an answer in two
packets, each of which wakes the client; it reads lines in pure Python; and it hands a connection that stays
open back to a selecting thread, so that the next request changes threads twice before it is answered.
"""

from __future__ import annotations

import contextlib
import errno
import io
import select
import socket
from typing import Any

import cheroot.server
import cheroot.wsgi
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, environ_key_for_header

THREADS = 24
BUFFER_BYTES = 1 << 16
# How long a thread waits for a connection's next request, while enough others are idle.
LINGER_MILLISECONDS = 10
LEAST_IDLE = THREADS // 4


class PortTaken(RuntimeError):
    """Another program listens on the port; the message names it."""


class _Reader(io.BufferedReader):
    """bytes_read: cheroot's statistics, which are off."""

    bytes_read = 0

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(socket.SocketIO(connection, "rb"), BUFFER_BYTES)
        self._connection = connection

    def has_data(self) -> bool:
        """Whether something is there to be read, without waiting for it."""
        timeout = self._connection.gettimeout()
        self._connection.settimeout(0)
        try:
            return bool(self.peek(1))
        except OSError:
            return False
        finally:
            self._connection.settimeout(timeout)


class _Writer(io.BufferedWriter):
    bytes_written = 0

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(socket.SocketIO(connection, "wb"), BUFFER_BYTES)


def _file(connection: socket.socket, mode: str, size: int) -> Any:  # noqa: ARG001  # cheroot's signature
    return _Reader(connection) if mode == "rb" else _Writer(connection)


class _HeaderReader(cheroot.server.HeaderReader):
    """Keeps the underscores and the spelling of user metadata, which S3 gives back as it was sent."""

    def _transform_key(self, key_name: bytes) -> bytes:
        name = key_name.strip()
        return name if name.lower().startswith(b"x-amz-meta-") else name.title()


class _Request(cheroot.server.HTTPRequest):
    header_reader = _HeaderReader()

    def simple_response(self, status: str, msg: str = "") -> None:
        """A refusal by cheroot, after which it ends the connection. Unlike its own, it says so: a client
        that has not noticed the end would send its next request into it."""
        self.close_connection = True
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        answer = f"{head}Content-Length: {len(msg)}\r\n\r\n{msg}".encode("latin-1")
        with contextlib.suppress(OSError):  # the client has gone
            self.conn.wfile.write(answer)

    def read_request_headers(self) -> bool:
        read = bool(super().read_request_headers())
        self.conn.wfile.flush()  # "100 Continue", for which the client waits
        return read


class _Connection(cheroot.server.HTTPConnection):
    RequestHandlerClass = _Request

    def __init__(self, server: Any, sock: socket.socket, makefile: Any = None) -> None:  # noqa: ARG002
        super().__init__(server, sock, _file)

    def communicate(self) -> bool:
        """Answer requests for as long as they follow closely; True: keep the connection for later ones."""
        while True:
            keep = bool(super().communicate())
            try:
                self.wfile.flush()
            except OSError:
                return False  # the client has gone
            if not keep or self.server.requests.idle < LEAST_IDLE:
                return keep
            arrivals = select.poll()
            arrivals.register(self.socket, select.POLLIN)
            if not arrivals.poll(LINGER_MILLISECONDS):
                return True


class _Gateway(cheroot.wsgi.Gateway_10):
    version = ("local", 0)  # a key of its own: cheroot finds gateways by version

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["RAW_URI"] = environ["REQUEST_URI"]
        names = [name.decode("latin-1") for name in self.req.inheaders if b"_" in name]
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {environ_key_for_header(name): name for name in names}
        return environ


def make_server(application: Any, port: int) -> cheroot.wsgi.Server:
    """Bind the port and return the server, ready to `serve()`. Raises PortTaken."""
    server = cheroot.wsgi.Server(
        ("127.0.0.1", port),
        application,
        numthreads=THREADS,
        timeout=60,
        request_queue_size=128,
        shutdown_timeout=5,
    )
    server.ConnectionClass = _Connection
    server.gateway = _Gateway
    server.server_name = "local-aws"
    try:
        server.prepare()
    except OSError as error:
        if error.errno == errno.EADDRINUSE or "Errno 98" in str(error) or "in use" in str(error):
            raise PortTaken(
                f"port {port} is taken by another program; choose another one with --port"
            ) from error
        raise
    return server
