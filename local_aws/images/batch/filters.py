"""InputFilter, OutputFilter and JoinSource of batch transform: the subset of JSONPath that AWS documents.

`$`, `.name`, `['a','b']`, `[*]`, `.*`, `[1,3]`, `[-1]`, slices, and mixtures such as `$[0,5:]`. A CSV row is
an array of texts, so only indices apply to it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

Selector = Callable[[Any], Any]


class FilterError(ValueError):
    """A filter that cannot be read, or that does not fit a record. The message holds both."""


_NAME = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*|\*)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_ITEM = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)"|(\*)|(-?\d+)?:(-?\d+)?(?::(-?\d+))?|(-?\d+))\s*(?:,|$)""")


def parse(path: str) -> Selector:
    """A filter as a function of one record. Raises FilterError for what is not in the subset."""
    if not path.startswith("$"):
        raise FilterError(f"The filter {path!r} does not begin with $.")
    position, steps = 1, []
    while position < len(path):
        match = _NAME.match(path, position) or _BRACKET.match(path, position)
        if match is None:
            raise FilterError(f"The filter {path!r} cannot be read from character {position + 1} on.")
        steps.append(_by_name(match[1]) if match.re is _NAME else _by_bracket(match[1], path))
        position = match.end()

    def select(record: Any) -> Any:
        for step in steps:
            try:
                record = step(record)
            except (LookupError, TypeError) as error:
                raise FilterError(
                    f"The filter {path!r} does not fit the record {str(record)[:100]!r}: {error}"
                ) from error
        return record

    return select


def _by_name(name: str) -> Selector:
    if name == "*":
        return lambda record: list(record.values()) if isinstance(record, dict) else list(record)
    return lambda record: _member(record, name)


def _by_bracket(text: str, path: str) -> Selector:
    """One item selects a value, several or a slice select a list."""
    items, position = [], 0
    while position < len(text):
        match = _ITEM.match(text, position)
        if match is None:
            break
        items.append(_item(match))
        position = match.end()
    if not items or position < len(text):
        raise FilterError(f"The filter {path!r} holds [{text}], which is neither names nor indices.")
    if len(items) == 1 and not items[0][1]:
        return items[0][0]

    def several(record: Any) -> list[Any]:
        chosen: list[Any] = []
        for select, is_list in items:
            chosen.extend(select(record) if is_list else [select(record)])
        return chosen

    return several


def _item(match: re.Match[str]) -> tuple[Selector, bool]:
    """(selector, whether it gives a list)."""
    quoted = match[1] if match[1] is not None else match[2]
    if quoted is not None:
        return (lambda record: _member(record, quoted)), False
    if match[3]:
        return _by_name("*"), True
    if match[7] is not None:
        index = int(match[7])
        return (lambda record: _array(record)[index]), False
    bounds = slice(*(int(match[n]) if match[n] else None for n in (4, 5, 6)))
    return (lambda record: _array(record)[bounds]), True


def _member(record: Any, name: str) -> Any:
    if not isinstance(record, dict):
        raise TypeError("it is no object, so it has no names")
    return record[name]


def _array(record: Any) -> list[Any]:
    if not isinstance(record, list):
        raise TypeError("it is no array, so it has no indices")
    return record


class Records:
    """Reads and writes records of one content type, so that filters can look into them."""

    def __init__(self, content_type: str | None) -> None:
        self.media_type = (content_type or "").split(";")[0].strip().lower()
        if self.media_type not in ("text/csv", "application/json", "application/jsonlines"):
            raise FilterError(f"DataProcessing needs text/csv or JSON; the content type is {content_type!r}.")

    @property
    def is_csv(self) -> bool:
        return self.media_type == "text/csv"

    def split(self, body: bytes) -> list[bytes]:
        """The records of a response. JSON that is no JSON lines is one record, or the predictions list's
        items.
        """
        if self.media_type == "application/json":
            return [body]
        return [line for line in body.splitlines() if line.strip()]

    def decode(self, record: bytes) -> Any:
        text = record.decode()
        if self.is_csv:
            return next(csv.reader([text]), [])
        try:
            return json.loads(text)
        except ValueError as error:
            raise FilterError(f"The record {text[:100]!r} is no JSON: {error}") from error

    def encode(self, value: Any) -> bytes:
        if not self.is_csv:
            return json.dumps(value).encode()
        target = io.StringIO()
        csv.writer(target, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return target.getvalue().encode()

    def join(self, given: Any, answer: Any) -> Any:
        """Input and prediction in one record."""
        if self.is_csv:
            return [*given, *answer]
        if isinstance(given, dict):
            return {**given, "SageMakerOutput": answer}
        return {"SageMakerInput": given, "SageMakerOutput": answer}
