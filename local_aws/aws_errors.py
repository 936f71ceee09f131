"""Errors in the shape that the client of each protocol expects."""

from __future__ import annotations

import io
import re
import sqlite3
import traceback
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from local_aws import moto_hooks

Environ = dict[str, Any]


class AwsError(Exception):
    """code: AWS's error code. status: HTTP's; botocore repeats a request after 429, 500, 502, 503 and 504."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def unsupported(service: str, operation: str | None, detail: str = "") -> AwsError:
    what = f"{service}.{operation}" if operation else service
    message = f"local AWS does not support {what}" + (f": {detail}" if detail else "")
    return AwsError("UnsupportedOperation", message, 501)


def disk_full(data_dir: Path) -> AwsError:
    message = f"no space left on the disk of {data_dir}; nothing was changed. Free some space and try again."
    return AwsError("InsufficientStorage", message, 507)


def not_understood(service: str, operation: str | None, error: BaseException) -> AwsError:
    """moto looks up and converts what a request names without checking it first: its stumbling over that is
    about the request."""
    message = f"{service}.{operation}: the request was not understood: {type(error).__name__}: {error}"
    return AwsError("ValidationException", message, 400)


def is_about_the_request(error: BaseException) -> bool:
    """Whether moto's own code failed over it, not ours, and not the machine."""
    if isinstance(error, (OSError, MemoryError, sqlite3.Error)):
        return False
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [name.partition(".")[0] for name in modules]
    return next((name for name in reversed(packages) if name in ("moto", "local_aws")), "") == "moto"


def internal(service: str, operation: str | None, error: BaseException) -> AwsError:
    # 500 would be repeated by every client, to the same end.
    message = f"local AWS failed in {service}.{operation}: {type(error).__name__}: {error}"
    return AwsError("InternalFailure", message, 501)


def boto_name(service: str) -> str:
    """botocore's name of a moto package."""
    return {"awslambda": "lambda", "sagemakerruntime": "sagemaker-runtime", "s3bucket_path": "s3"}.get(
        service, service
    )


def signed_service(environ: Environ) -> str:
    """The service that a request was signed for; "" when it was not signed."""
    match = re.search(r"Credential=[^/,]*/[^/]*/[^/]*/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return match.group(1) if match else ""


def operation_name(service: str, environ: Environ) -> str | None:
    """The API operation of a request; None when it cannot be told. Leaves a buffered body unread."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    path = re.match(r"^/service/[^/]+/operation/([^/]+)$", environ["PATH_INFO"])
    if path:
        return path.group(1)
    actions = parse_qs(environ.get("QUERY_STRING", "")).get("Action")
    if actions:
        return actions[0]
    body = environ.get("wsgi.input")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and isinstance(
        body, io.BytesIO
    ):
        action = re.search(rb"(?:^|&)Action=(\w+)", body.getvalue())
        return action.group(1).decode() if action else None
    if not moto_hooks.refused(service):
        return None
    try:
        operation, _ = get_service_router(boto_name(service)).match(Request(environ.copy()))
    except (NotFound, NotImplementedError, KeyError, ValueError):
        return None
    return str(operation.name)


def render(
    error: AwsError, service: str, environ: Environ, start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Write the error in the protocol of the request."""
    status = f"{error.status} {_phrase(error.status)}"
    try:
        headers, body = _serialized(error, service, environ)
    except Exception:  # noqa: BLE001  # an error about an error: any client can at least show plain JSON
        headers, body = {"Content-Type": "application/json"}, b""
    if not body and environ["REQUEST_METHOD"] != "HEAD":
        body = b'{"__type": "%s", "message": "%s"}' % (error.code.encode(), error.message.encode())
    headers["Content-Length"] = str(len(body))
    start_response(
        status, [(name, str(value)) for name, value in headers.items() if name.lower() != "status"]
    )
    return [body] if environ["REQUEST_METHOD"] != "HEAD" else []


def _serialized(error: AwsError, service: str, environ: Environ) -> tuple[dict[str, Any], bytes]:
    model = get_service_model(boto_name(service))
    protocol = determine_request_protocol(model, environ.get("CONTENT_TYPE", ""))
    serializer = get_serializer_class(model.service_name, protocol)(operation_model=OperationModel({}, model))
    # moto finds the service's error shapes by the module of the exception's class.
    kind = type("LocalError", (ServiceException,), {"__module__": f"moto.{boto_name(service)}.exceptions"})
    answer = serializer.serialize(kind(error.code, error.message))
    body = answer["body"]
    return dict(answer["headers"]), body.encode() if isinstance(body, str) else bytes(body)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
