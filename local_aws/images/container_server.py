"""The HTTP side of a serving container: GET /ping, GET /execution-parameters, POST /invocations.

One process answers one request at a time, on its main thread: what AWS's serving stacks give a script in
each of their worker processes, and what scripts rely on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from local_aws.images.xgboost.payload import Answer

MAX_BODY_BYTES = 6 * 1024 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]  # names in lower case
Handler = Callable[[bytes, Headers], Answer]


def application(answer: Handler, parameters: Mapping[str, Any] | None) -> App:
    """The ASGI application of one model. parameters: of /execution-parameters; None = 404, as without one."""
    offered = Answer(200, "application/json", json.dumps(parameters).encode())

    def respond(method: str, path: str, body: bytes, headers: Headers) -> Answer:
        match method, path:
            case "GET", "/ping":
                return Answer(200, "text/plain", b"")
            case "GET", "/execution-parameters" if parameters is not None:
                return offered
            case "POST", "/invocations" if len(body) > MAX_BODY_BYTES:
                return Answer(413, "text/plain", b"The payload is larger than 6 MB.")
            case "POST", "/invocations":
                return answer(body, headers)
        return Answer(404, "text/plain", b"Not found")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body"):
            chunks = [body]
            while message.get("more_body"):
                message = await receive()
                chunks.append(message.get("body", b""))
            body = b"".join(chunks)
        result = respond(scope["method"], scope["path"], body, dict(scope["headers"]))
        headers = [
            (b"content-type", result.content_type.encode("latin-1", "replace")),
            (b"content-length", str(len(result.body)).encode()),
        ]
        if result.custom_attributes:
            attributes = result.custom_attributes.encode("latin-1", "replace")
            headers.append((b"x-amzn-sagemaker-custom-attributes", attributes))
        await send({"type": "http.response.start", "status": result.status, "headers": headers})
        await send({"type": "http.response.body", "body": result.body})

    return app


def base_folder() -> Path:
    """The folder that plays /opt/ml."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def run(app: App) -> None:
    """Serve on the loopback port SAGEMAKER_BIND_TO_PORT (8080 on AWS) until SIGTERM.

    Requests that are being answered are finished, then the process exits in order: `atexit` handlers run.
    """
    import uvicorn

    from local_aws.images.one_write import OneWrite

    # uvicorn raises the signal that stopped it once more, when it has finished its work.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        loop="uvloop",
        http=OneWrite,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
    )
