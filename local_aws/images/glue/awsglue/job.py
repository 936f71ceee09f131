"""`Job`: with bookmarks disabled, which is Glue's default, `init` and `commit` have nothing to do."""

from collections.abc import Mapping
from typing import Any


class Job:
    """The job bookmark of one run; a run that asks for bookmarks is refused before it starts."""

    def __init__(self, glue_context: Any) -> None:
        del glue_context  # kept by AWS for bookmarks
        self._name = ""

    def init(self, job_name: str, args: Mapping[str, Any] | None = None) -> None:
        """Remember the job's name."""
        del args
        self._name = job_name

    def isInitialized(self) -> bool:
        """Whether `init` was called."""
        return bool(self._name)

    def commit(self) -> None:
        """Nothing to store."""
