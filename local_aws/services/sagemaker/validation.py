"""Requests checked against botocore's own model of the service, in AWS's words.

botocore checks types and required members before it sends; patterns, enumerations and lengths are the
server's to check. moto has lists of its own for some (instance types, by hand, old): the model that the
clients carry is the better source.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from . import errors


def check(shape: Shape | None, request: dict[str, Any]) -> None:
    """Raise ValidationException naming every member that breaks a constraint."""
    found: list[str] = []
    if shape is not None:
        _walk(shape, request, "", found)
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise errors.validation(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def _walk(shape: Shape, value: Any, path: str, found: list[str]) -> None:
    if isinstance(shape, StructureShape):
        _structure(shape, value, path, found)
    elif isinstance(shape, ListShape):
        if not isinstance(value, list):
            found.append(f"Value at '{path}' failed to satisfy constraint: Member must be a list")
            return
        _length(shape, value, len(value), path, found)
        for number, item in enumerate(value, start=1):
            _walk(shape.member, item, f"{path}.{number}.member", found)
    elif isinstance(shape, MapShape):
        if not isinstance(value, dict):
            found.append(f"Value at '{path}' failed to satisfy constraint: Member must be a map")
            return
        _length(shape, value, len(value), path, found)
        for key, item in value.items():
            _walk(shape.key, key, f"{path}.key", found)
            _walk(shape.value, item, f"{path}.{key}.member", found)
    elif isinstance(shape, StringShape):
        _string(shape, value, path, found)
    elif shape.type_name in ("integer", "long", "float", "double"):
        _number(shape, value, path, found)
    elif shape.type_name == "boolean" and not isinstance(value, bool):
        found.append(f"Value '{value}' at '{path}' failed to satisfy constraint: Member must be a boolean")


def _structure(shape: StructureShape, value: Any, path: str, found: list[str]) -> None:
    if not isinstance(value, dict):
        found.append(f"Value at '{path}' failed to satisfy constraint: Member must be a structure")
        return
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            found.append(
                f"Value null at '{prefix}{_camel(name)}' failed to satisfy constraint: "
                "Member must not be null"
            )
    for name, item in value.items():
        member = shape.members.get(name)
        if member is not None and item is not None:
            _walk(member, item, f"{prefix}{_camel(name)}", found)


def _string(shape: StringShape, value: Any, path: str, found: list[str]) -> None:
    if not isinstance(value, str):
        found.append(f"Value '{value}' at '{path}' failed to satisfy constraint: Member must be a string")
        return
    if shape.enum and value not in shape.enum:
        found.append(
            f"Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        )
        return
    before = len(found)
    _length(shape, value, len(value), path, found)
    pattern = shape.metadata.get("pattern")
    if len(found) == before and pattern and not _matches(pattern, value):
        found.append(
            f"Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {pattern}"
        )


def _number(shape: Shape, value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        found.append(f"Value '{value}' at '{path}' failed to satisfy constraint: Member must be a number")
        return
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        found.append(
            f"Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must have value greater than or equal to {least}"
        )
    if most is not None and value > most:
        found.append(
            f"Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )


def _length(shape: Shape, value: Any, length: int, path: str, found: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    shown = f"'{value}' " if isinstance(value, str) else ""
    if least is not None and length < least:
        found.append(
            f"Value {shown}at '{path}' failed to satisfy constraint: "
            f"Member must have length greater than or equal to {least}"
        )
    if most is not None and length > most:
        found.append(
            f"Value {shown}at '{path}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """None for patterns that only Java understands (`\\p{L}`): those are for descriptions."""
    try:
        return re.compile(pattern)
    except re.error:
        return None
