"""Errors of the SageMaker runtime API, in the shape that botocore parses."""

from __future__ import annotations

import json
from typing import Any

# The XGBoost image's own limit, and what a real-time endpoint is documented to take.
MAX_BODY_BYTES = 6 * 1024 * 1024
NOT_READY = "ServiceUnavailable"


class RuntimeApiError(Exception):
    """One error answer: an error code of the runtime API, HTTP status, message, and modelled members."""

    def __init__(self, code: str, status: int, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.members = members

    def body(self) -> bytes:
        return json.dumps({"Message": str(self), **self.members}).encode()


def endpoint_not_found(name: str, account: str) -> RuntimeApiError:
    return RuntimeApiError("ValidationError", 400, f"Endpoint {name} of account {account} not found.")


def not_ready(name: str) -> RuntimeApiError:
    """After a start of the data plane. AWS's answer for it is one that clients try again by themselves, which
    they do not after ModelNotReadyException: that is for serverless and multi-model endpoints."""
    return RuntimeApiError(NOT_READY, 503, f"The model of endpoint {name} is still loading; try again.")


def throttled(variant: str, limit: int) -> RuntimeApiError:
    message = f"Variant {variant} answers {limit} requests already, its MaxConcurrency. Try again."
    return RuntimeApiError("ThrottlingException", 429, message)


def invalid(message: str) -> RuntimeApiError:
    return RuntimeApiError("ValidationError", 400, message)


def body_too_large(size: int) -> RuntimeApiError:
    return invalid(f"Request body of {size} bytes exceeds the limit of {MAX_BODY_BYTES} bytes (6 MB).")


def not_supported(operation: str) -> RuntimeApiError:
    # 501, because botocore retries the other 5xx codes, and trying again does not help.
    return RuntimeApiError("UnsupportedOperation", 501, f"{operation} is not supported by local AWS.")


def model_error(endpoint: str, region: str, account: str, status: int, answer: str) -> RuntimeApiError:
    """The model answered with an error: its status and text, in the words of the service."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    message = (
        f"Received {'server' if status >= 500 else 'client'} error ({status}) from primary with message "
        f'"{answer}". See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}'
        f"#logEventViewer:group={group} in account {account} for more information."
    )
    return RuntimeApiError(
        "ModelError",
        424,
        message,
        OriginalStatusCode=status,
        OriginalMessage=answer,
        LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
    )
