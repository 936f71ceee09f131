"""Entry point of the endpoint, for SageMaker's framework containers; see `policy/serving.py`."""

import sys
from typing import Any

from policy import payload, serving
from sagemaker_inference.errors import BaseInferenceToolkitError


def model_fn(model_dir: str) -> serving.Worker:
    """Called once in each worker process."""
    return serving.start(model_dir)


def transform_fn(worker: serving.Worker, body: str | bytes, content_type: str, accept: str) -> Any:
    """One request. Errors go to the client with their status."""
    try:
        return payload.respond(worker, body, content_type, accept)
    except payload.Refusal as refusal:
        # The scikit-learn image serves with its older toolkit, which passes responses on and knows no errors.
        if older := sys.modules.get("sagemaker_containers.beta.framework.worker"):
            return older.Response(response=str(refusal), status=refusal.status, mimetype="text/plain")
        raise BaseInferenceToolkitError(refusal.status, str(refusal), str(refusal)) from None
