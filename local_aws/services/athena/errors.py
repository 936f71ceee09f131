"""Athena's API errors."""

from moto.core.exceptions import JsonRESTError


class InvalidRequest(JsonRESTError):
    """InvalidRequestException: the request names something that does not exist, or lacks something."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("InvalidRequestException", message)


class ResourceNotFound(JsonRESTError):
    """ResourceNotFoundException: there is no prepared statement of that name."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message)


class MetadataError(JsonRESTError):
    """MetadataException: the catalog has no such database or table."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MetadataException", message)
