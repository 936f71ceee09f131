"""The errors of the SageMaker API, with AWS's own codes and, where they are known, its own words.

Clients match on these texts: the provider's operators look for `ValidationException` (a job that does not exist),
`Cannot create already existing endpoint` and `Model Package Group already exists`.
"""

from __future__ import annotations

from moto.core.exceptions import ServiceException


def validation(message: str) -> ServiceException:
    return ServiceException("ValidationException", message)


def in_use(message: str) -> ServiceException:
    return ServiceException("ResourceInUse", message)


def not_found(message: str) -> ServiceException:
    return ServiceException("ResourceNotFound", message)


def conflict(message: str) -> ServiceException:
    return ServiceException("ConflictException", message)


def limit(message: str) -> ServiceException:
    return ServiceException("ResourceLimitExceeded", message)


def unsupported(what: str) -> ServiceException:
    """For a parameter that exists on AWS and is not honoured here: never a silent success."""
    return validation(
        f"{what} is not supported by local AWS. The request was refused and nothing was created."
    )


def refuse(request: dict, *parameters: str) -> None:
    """Raise for the first of `parameters` that the request gives a value."""
    for name in parameters:
        if request.get(name):
            raise unsupported(f"The parameter {name}")
