"""What answers behind the front door: moto's dispatcher, our own pages, the way to the data plane.

A request passes: host check -> our own pages and the data plane -> body read to the end (objects to disk) ->
the one lock -> moto -> state committed -> answer sent. Only the transfer of bodies happens outside the lock.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import re
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_aws import aws_errors, moto_hooks, moto_speed, status, status_page
from local_aws.context import Context
from local_aws.recording import Recorder
from local_aws.services import operations, s3, sns
from local_aws.services.s3.body import spooled_body
from local_aws.state import Blobs, Snapshots

log = logging.getLogger(__name__)

HOSTS = 1000  # one a service and region
Environ = dict[str, Any]
StartResponse = Callable[..., Any]

CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\r"))
READ_PREFIXES = (
    "BatchGet", "Check", "Describe", "Estimate", "Filter", "Get", "Head", "List", "Lookup", "Query", "Scan",
    "Search", "Select", "Simulate", "Test", "Validate",
)  # fmt: skip
# Requests that change other services too: everything that has changed is stored after them.
REACHES_FURTHER = {"cloudformation", "scheduler", "stepfunctions"}
# Long polls, calls of another server, and functions, which call us: others would wait.
WAITS = {
    ("awslambda", "Invoke"),
    ("mwaa", "CreateCliToken"),
    ("mwaa", "CreateWebLoginToken"),
    ("mwaa", "InvokeRestApi"),
    ("sqs", "ReceiveMessage"),
}
# Its changes are on disk before the poll ends.
COMMITS_ITSELF = {("sqs", "ReceiveMessage")}
INVOCATION = re.compile(r"^/endpoints/[^/]+/(async-)?invocations(-response-stream)?$")
LOCAL_HOST = re.compile(
    r"^(127\.0\.0\.1|localhost|\[::1\]|[a-z0-9.-]+\.(localhost|amazonaws\.com))(:\d+)?$", re.I
)
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class Application:
    """The WSGI application.

    before_first_request: called with a service's name before its first request.
    """

    def __init__(self, context: Context, state: Snapshots, blobs: Blobs) -> None:
        self._context = context
        self._state = state
        self._blobs = blobs
        self._recorder = Recorder.from_environment()
        self._moto = DomainDispatcherApplication(self._application_of)
        find = self._moto.get_backend_for_host
        self._moto.get_backend_for_host = functools.lru_cache(HOSTS)(find)
        self.before_first_request: Callable[[str], None] = lambda _: None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not LOCAL_HOST.match(environ.get("HTTP_HOST", "")):
            return _plain(start_response, "403 Forbidden", "this server answers to local host names only")
        if path.startswith("/-/"):
            return self._own_page(path, start_response)
        if path.startswith("/moto-api"):
            return _plain(start_response, "404 Not Found", "not served")
        if path.startswith(f"/{sns.signing.PREFIX}") and (pem := sns.certificate(path)):
            return _send(start_response, "200 OK", "application/x-pem-file", pem)
        if INVOCATION.match(path):
            return self._to_data_plane(environ, start_response)
        service = ""
        try:
            app: Any = self._moto.get_application(environ)
            service = app.service
            with spooled_body(environ, service, self._blobs):
                return self._answer(app, service, environ, start_response)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an AWS error
            return self._failure(error, service, environ, start_response)

    def _application_of(self, service: str | None) -> Any:
        if service is None:
            raise NotImplementedError("no such service here")
        self.before_first_request(service)
        app = create_backend_app(service)
        app.request_class = moto_speed.SwiftRequest
        return app

    def _answer(
        self, app: Any, service: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        operation = aws_errors.operation_name(service, environ)
        if self._recorder:
            self._recorder.record(service, operation, environ)
        if operation in moto_hooks.refused(service):
            raise NotImplementedError
        held: list[Any] = []

        def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ARG001
            held[:] = [status, headers]

        call = (service, operation)
        with self._state.lock(service) if call not in WAITS else contextlib.nullcontext():
            body = s3.direct.answer(environ, hold) if service == "s3" else None
            if body is None:
                body = app(environ, hold)
            if not _only_reads(operation, environ["REQUEST_METHOD"]) and call not in COMMITS_ITSELF:
                if service in REACHES_FURTHER:
                    self._state.commit_all()
                else:
                    self._state.commit(service)
        if not held[0].startswith("2"):
            body = _readable(body, held[1])
        if service != "s3" and held[0].startswith("404") and (not operation or _is_a_page(held[1])):
            raise NotImplementedError  # moto has no route for this URL
        start_response(*held)
        return body

    def _failure(
        self, error: Exception, service: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        service = service or aws_errors.signed_service(environ)
        operation = aws_errors.operation_name(service, environ)
        if isinstance(error, aws_errors.AwsError):
            answer = error
        elif isinstance(error, NotImplementedError):
            answer = aws_errors.unsupported(service, operation, str(error))
        elif _disk_is_full(error):
            self._blobs.discard_all_now()
            answer = aws_errors.disk_full(self._context.data_dir)
        elif aws_errors.is_about_the_request(error):
            log.info("%s.%s was not understood", service, operation, exc_info=error)
            answer = aws_errors.not_understood(service, operation, error)
        else:
            log.exception("%s.%s failed", service, operation)
            answer = aws_errors.internal(service, operation, error)
        return aws_errors.render(answer, service, environ, start_response)

    def _own_page(self, path: str, start_response: StartResponse) -> Iterable[bytes]:
        if path == "/-/support":
            table = operations.table(self.before_first_request)
            named = {service: support._asdict() for service, support in table.items()}
            return _send(start_response, "200 OK", "application/json", json.dumps(named).encode())
        if path == "/-/health":
            found = json.dumps(status.report(self._context))
            return _send(start_response, "200 OK", "application/json", found.encode())
        if path == "/-/status":
            shown = status_page.page(status.report(self._context), self._context.region)
            return _send(
                start_response, "200 OK", "text/html; charset=utf-8", shown.encode(), status_page.HEADERS
            )
        return _plain(start_response, "404 Not Found", "not served")

    def _to_data_plane(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Invocations that came to this port: passed on as they are."""
        headers = {
            name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if "CONTENT_TYPE" in environ:
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        url = urllib.parse.quote(environ["PATH_INFO"], encoding="latin-1")
        if environ["QUERY_STRING"]:
            url += "?" + environ["QUERY_STRING"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        connection = HTTPConnection("127.0.0.1", self._context.runtime_port, timeout=70)
        try:
            connection.request(environ["REQUEST_METHOD"], url, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            answer = aws_errors.AwsError(
                "ServiceUnavailable", f"the data plane on port {self._context.runtime_port}: {error}", 503
            )
            return aws_errors.render(answer, "sagemakerruntime", environ, start_response)
        finally:
            connection.close()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
        start_response(f"{response.status} {response.reason}", [*kept, ("Content-Length", str(len(content)))])
        return [content]


def _is_a_page(headers: list[tuple[str, str]]) -> bool:
    """HTML without an error's name: moto's router, not one of its services."""
    given = {name.lower(): value for name, value in headers}
    return given.get("content-type", "").startswith("text/html") and "x-amzn-errortype" not in given


def _readable(body: Iterable[bytes], headers: list[tuple[str, str]]) -> list[bytes]:
    """An error may repeat what the request said; control characters make no XML."""
    content = b"".join(body)
    if content.lstrip().startswith(b"<"):
        content = content.translate(None, CONTROL_CHARACTERS)
        headers[:] = [pair for pair in headers if pair[0].lower() != "content-length"]
        headers.append(("Content-Length", str(len(content))))
    return [content]


def _only_reads(operation: str | None, method: str) -> bool:
    if operation is None:
        return method in ("GET", "HEAD", "OPTIONS")
    return operation.startswith(READ_PREFIXES)


def _disk_is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)


def _plain(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    return _send(start_response, status, "text/plain", text.encode() + b"\n")


def _send(
    start_response: StartResponse,
    status: str,
    kind: str,
    content: bytes,
    headers: Iterable[tuple[str, str]] = (),
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(content))), *headers])
    return [content]
