"""`python -m local_aws.images.xgboost.serve`: what `<image> serve` is on AWS, for one model.

The model in `<base>/model` behind the container contract. Batch transform starts this; endpoints host the
same model without a process of its own.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from local_aws.images import container_server
from local_aws.images.xgboost.payload import Answer
from local_aws.images.xgboost.train import without_scikit_learn

if TYPE_CHECKING:
    from local_aws.images.xgboost.serve_model import Model


def handler(model: Model) -> container_server.Handler:
    def answer(body: bytes, headers: container_server.Headers) -> Answer:
        given = headers.get(b"content-type", b"").decode("latin-1")
        return model.answer(body, given, headers.get(b"accept", b"").decode("latin-1"))

    return answer


def execution_parameters() -> dict[str, Any]:
    return {"MaxConcurrentTransforms": os.cpu_count(), "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    with without_scikit_learn():
        serve_model = importlib.import_module("local_aws.images.xgboost.serve_model")
    try:
        model = serve_model.load_model(container_server.base_folder() / "model", os.environ)
    except (serve_model.ModelLoadError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    container_server.run(container_server.application(handler(model), execution_parameters()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
