"""Fields of a trigger form that settings declare already: title, explanation and limits come from there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from config.settings import VERSION

if TYPE_CHECKING:
    from config import Settings
    from config.section import Section

# The form refuses to be sent while a text is empty, unless the text may be missing.
OPTIONAL_TEXT = ["null", "string"]


class UnknownParams(ValueError):
    """A run was given params that its form does not have; the message lists them and those that it has."""


def require_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises UnknownParams. Airflow lets them pass, and a misspelt one would do nothing, silently."""
    if surplus := sorted(set(given) - set(known)):
        raise UnknownParams(f"unknown parameter {', '.join(surplus)}: there are {', '.join(known)}")


def setting(section: Section, name: str, tab: str) -> Param:
    """The form's field for a setting: its default is the environment's value, its schema the model's."""
    fields = _fields(type(section).__name__)
    schema = {key: value for key, value in fields[name].items() if key != "default"}
    return Param(getattr(section, name), **schema, section=tab)


def code_version(settings: Settings, tab: str) -> Param:
    """Which upload of the jobs' scripts a run uses."""
    return Param(
        settings.code_version,
        type="string",
        pattern=f"^{VERSION.pattern}$",
        title="Version of the scripts",
        description="Which upload under code/ the jobs run.",
        section=tab,
    )


@cache
def _fields(section: str) -> dict[str, dict[str, Any]]:
    """JSON schema of each field of a section; the slowest part of the form, so made once."""
    from config import settings

    return dict(getattr(settings, section).model_json_schema()["properties"])
