"""MWAA's errors, as its service model has them."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class ValidationException(ServiceException):
    code = "ValidationException"


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"


class InternalServerException(ServiceException):
    code = "InternalServerException"


class RestApiException(ServiceException):
    """Airflow answered with an error (or not at all). Its status and words are members of the error."""

    def __init__(self, status: int, answer: Any) -> None:
        self.code = "RestApiClientException" if 400 <= status < 500 else "RestApiServerException"
        super().__init__(self.code, f"Airflow answered {status}")
        self.rest_api_status_code = self.RestApiStatusCode = status
        self.rest_api_response = self.RestApiResponse = answer
