"""Who calls what: each caller's operations, once each, in a file; to compare with what its role allows.

LOCAL_AWS_RECORD_CALLS names the file, JSON lines {caller, service, operation, resource}. The caller is
the access key that signed: the name of the role for jobs, endpoints and functions (local_aws.environment).
resource: "bucket/first folder" for S3, where policies tell prefixes apart; else "".
"""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

from moto.core.request import Request
from moto.core.routing import NotFound, get_service_router

from local_aws import aws_errors

Environ = dict[str, Any]


class Recorder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls) -> Recorder | None:
        path = os.environ.get("LOCAL_AWS_RECORD_CALLS")
        return cls(Path(path)) if path else None

    def record(self, service: str, operation: str | None, environ: Environ) -> None:
        """Call it before the request's body is read by anybody else; it does not touch it."""
        operation = operation or _routed(service, environ)
        if operation is None:
            return
        resource = ""
        if service == "s3":
            bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
            resource = f"{bucket}/{key.split('/')[0]}" if key else bucket
        call = (_caller(environ), aws_errors.boto_name(service), operation, resource)
        with self._lock:
            if call in self._seen:
                return
            self._seen.add(call)
            with self._path.open("a") as file:
                names = ("caller", "service", "operation", "resource")
                file.write(json.dumps(dict(zip(names, call, strict=True))) + "\n")


def _caller(environ: Environ) -> str:
    signature = environ.get("HTTP_AUTHORIZATION", "") + "&" + environ.get("QUERY_STRING", "")
    found = re.search(r"Credential=([^/,&%]+)", signature)
    return found.group(1) if found else ""


def _routed(service: str, environ: Environ) -> str | None:
    try:
        request = Request({**environ, "wsgi.input": None})
        operation, _ = get_service_router(aws_errors.boto_name(service)).match(request)
    except (NotFound, NotImplementedError, KeyError, ValueError, AttributeError, TypeError):
        return None
    return str(operation.name)
