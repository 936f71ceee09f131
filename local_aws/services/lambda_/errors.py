"""Lambda's errors beyond moto's."""

from __future__ import annotations

import json

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.exceptions import UnknownFunctionException as NoSuchFunction

__all__ = [
    "InvalidParameterValueException",
    "InvalidRequestContent",
    "NoSuchFunction",
    "RequestTooLarge",
    "ResourceConflict",
    "ServiceFailure",
    "TooManyRequests",
    "Unsupported",
]


class TooManyRequests(LambdaClientError):
    """Throttled. reason: AWS's word for the limit that was reached."""

    code = 429

    def __init__(self, reason: str) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")
        self.description = json.dumps(
            {
                "__type": "TooManyRequestsException",
                "Reason": reason,
                "Type": "User",
                "message": "Rate Exceeded.",
            }
        )


class ResourceConflict(LambdaClientError):
    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ResourceConflictException", message)


class InvalidRequestContent(LambdaClientError):
    """The payload is no JSON."""

    def __init__(self, why: str) -> None:
        super().__init__("InvalidRequestContentException", f"Could not parse request body into json: {why}")


class RequestTooLarge(LambdaClientError):
    code = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
        )


class ServiceFailure(LambdaClientError):
    """The invocation was lost with its process, or local AWS is stopping."""

    code = 500

    def __init__(self, message: str) -> None:
        super().__init__("ServiceException", message)


class Unsupported(LambdaClientError):
    """A parameter that would be ignored."""

    code = 501

    def __init__(self, what: str) -> None:
        super().__init__("UnsupportedOperation", f"local AWS does not support {what}")
