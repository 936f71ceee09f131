"""The errors of the SageMaker API, with AWS's own codes and, where they are known, its own words.

Clients match on these texts: the provider's operators look for `ValidationException` (a job that does not
exist), `Cannot create already existing endpoint` and `Model Package Group already exists`.
"""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class SageMakerError(ServiceException):
    """moto takes an exception's service from its module, and has no service for those of moto.core itself."""


def validation(message: str) -> SageMakerError:
    return SageMakerError("ValidationException", message)


def in_use(message: str) -> SageMakerError:
    return SageMakerError("ResourceInUse", message)


def not_found(message: str) -> SageMakerError:
    return SageMakerError("ResourceNotFound", message)


def conflict(message: str) -> SageMakerError:
    return SageMakerError("ConflictException", message)


def limit(message: str) -> SageMakerError:
    return SageMakerError("ResourceLimitExceeded", message)


def unsupported(what: str) -> SageMakerError:
    """For a parameter that exists on AWS and is not honoured here: never a silent success."""
    return validation(
        f"{what} is not supported by local AWS. The request was refused and nothing was created."
    )


def refuse(request: dict, *parameters: str) -> None:
    """Raise for the first of `parameters` that the request gives a value."""
    for name in parameters:
        if request.get(name):
            raise unsupported(f"The parameter {name}")
