"""`python -m local_aws.images.xgboost.serve`: what `<image> serve` is on AWS, for one model.

The container contract on a loopback port: GET /ping, GET /execution-parameters, POST /invocations; the model
in `<base>/model`. Batch transform starts this; endpoints host the same model without a process of its own.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_aws.images.xgboost.train import without_scikit_learn

if TYPE_CHECKING:
    from local_aws.images.xgboost.serve_model import Model

MAX_BODY_BYTES = 6 * 1024 * 1024

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


def application(model: Model) -> App:
    """The ASGI application of one model."""
    parameters = json.dumps(
        {"MaxConcurrentTransforms": os.cpu_count(), "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
    ).encode()

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        chunks = []
        while True:
            message = await receive()
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        status, content_type, answer = 404, "text/plain", b"Not found"
        match scope["method"], scope["path"]:
            case "GET", "/ping":
                status, answer = 200, b""
            case "GET", "/execution-parameters":
                status, content_type, answer = 200, "application/json", parameters
            case "POST", "/invocations":
                body = b"".join(chunks)
                if len(body) > MAX_BODY_BYTES:
                    status, answer = 413, b"The payload is larger than 6 MB."
                else:
                    headers = dict(scope["headers"])
                    given = headers.get(b"content-type", b"").decode("latin-1")
                    result = model.answer(body, given, headers.get(b"accept", b"").decode("latin-1"))
                    status, content_type, answer = result.status, result.content_type, result.body
        headers_out = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers_out})
        await send({"type": "http.response.body", "body": answer})

    return app


def main() -> int:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    with without_scikit_learn():
        serve_model = importlib.import_module("local_aws.images.xgboost.serve_model")
    import uvicorn

    try:
        model = serve_model.load_model(base / "model", os.environ)
    except (serve_model.ModelLoadError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    uvicorn.run(
        application(model),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
