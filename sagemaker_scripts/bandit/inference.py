"""Entry point of the endpoint, for SageMaker's inference toolkit; `policy/serving.py` says what it does."""

from policy import payload, serving
from sagemaker_inference.errors import BaseInferenceToolkitError


def model_fn(model_dir: str) -> serving.Worker:
    """Called once in each worker process."""
    return serving.start(model_dir)


def transform_fn(
    worker: serving.Worker, body: str | bytes, content_type: str, accept: str
) -> tuple[str, str]:
    """One request. Errors go to the client with their status."""
    try:
        return payload.respond(worker, body, content_type, accept)
    except payload.Refusal as refusal:
        raise BaseInferenceToolkitError(refusal.status, str(refusal), str(refusal)) from None
