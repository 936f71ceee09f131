"""Glue's errors that moto does not have, or words differently."""

from moto.glue.exceptions import GlueClientError


class JobExists(GlueClientError):
    """CreateJob with the name of another job."""

    def __init__(self, name: str) -> None:
        super().__init__("AlreadyExistsException", f"Job with name {name} already exists.")


class ConcurrentRunsExceeded(GlueClientError):
    """More runs of one job than its MaxConcurrentRuns."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(
            "ConcurrentRunsExceededException",
            f"Concurrent runs exceeded for {name}: MaxConcurrentRuns is {limit}",
        )


class InvalidInput(GlueClientError):
    """A request that Glue, or this Glue, does not take."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidInputException", message)
