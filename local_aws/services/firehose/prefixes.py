"""Where a delivered object goes: Firehose's prefix expressions and its object names.

Rules and defaults: Firehose Developer Guide, "Understand custom prefixes for Amazon S3 objects" and
"Configure Amazon S3 object name format".
"""

from __future__ import annotations

import re
import secrets
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from moto.firehose.exceptions import InvalidArgumentException

LONGEST = 512  # characters of an evaluated prefix
RANDOM_LENGTH = 11
ERROR_TYPE = "!{firehose:error-output-type}"
DEFAULT_TIME = "!{timestamp:yyyy/MM/dd/HH/}"

_EXPRESSION = re.compile(r"!\{([^:{}]*):([^{}]*)\}")
_TIME_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")
_EXAMPLE = datetime(2000, 1, 1, tzinfo=UTC)
_LETTERS = string.ascii_letters + string.digits

# Java's DateTimeFormatter letters (with their count) -> text. What is not here is refused by name.
_TIME: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda t: f"{t.year:04}",
    "yy": lambda t: f"{t.year % 100:02}",
    "MM": lambda t: f"{t.month:02}",
    "M": lambda t: str(t.month),
    "dd": lambda t: f"{t.day:02}",
    "d": lambda t: str(t.day),
    "DDD": lambda t: f"{t.timetuple().tm_yday:03}",
    "HH": lambda t: f"{t.hour:02}",
    "H": lambda t: str(t.hour),
    "hh": lambda t: f"{t.hour % 12 or 12:02}",
    "mm": lambda t: f"{t.minute:02}",
    "m": lambda t: str(t.minute),
    "ss": lambda t: f"{t.second:02}",
    "s": lambda t: str(t.second),
    "SSS": lambda t: f"{t.microsecond // 1000:03}",
    "a": lambda t: "AM" if t.hour < 12 else "PM",
}


def check(prefix: str, error_prefix: str | None) -> None:
    """Refuse what AWS refuses. Raises InvalidArgumentException naming the expression."""
    for name, text in (("Prefix", prefix), ("ErrorOutputPrefix", error_prefix or "")):
        _refuse_stray_openings(name, text)
        for namespace, value in _EXPRESSION.findall(text):
            _check_expression(name, namespace, value)
        if len(evaluate(text, _EXAMPLE)) > LONGEST:
            raise InvalidArgumentException(f"{name} is longer than {LONGEST} characters once evaluated")
    if ERROR_TYPE in prefix:
        raise InvalidArgumentException("Prefix cannot contain !{firehose:error-output-type}")
    if _EXPRESSION.search(prefix) and not error_prefix:
        raise InvalidArgumentException("ErrorOutputPrefix cannot be null or empty if Prefix has expressions")
    if _EXPRESSION.search(error_prefix or "") and ERROR_TYPE not in (error_prefix or ""):
        raise InvalidArgumentException("ErrorOutputPrefix must contain !{firehose:error-output-type}")


def object_key(
    stream: str, version: str, prefix: str, opened: datetime, suffix: str, zone: str = "UTC"
) -> str:
    """Key of one delivered object.

    opened: when the oldest of its records arrived, which is what AWS's timestamps mean. suffix: ".gz" or
    what FileExtension says. A prefix without a timestamp gets YYYY/MM/dd/HH/ appended, with no slash between.
    """
    if not any(namespace == "timestamp" for namespace, _ in _EXPRESSION.findall(prefix)):
        prefix += DEFAULT_TIME
    moment = opened.astimezone(ZoneInfo(zone))
    return f"{evaluate(prefix, moment)}{stream}-{version}-{moment:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}{suffix}"


def evaluate(prefix: str, moment: datetime) -> str:
    """A prefix with its expressions filled in, by the clock of the moment's own zone."""

    def fill(match: re.Match[str]) -> str:
        namespace, value = match.groups()
        if namespace == "timestamp":
            return _format(value, moment)
        if value == "random-string":
            return "".join(secrets.choice(_LETTERS) for _ in range(RANDOM_LENGTH))
        return "processing-failed"  # only an ErrorOutputPrefix has it, and nothing here fails in processing

    return _EXPRESSION.sub(fill, prefix)


def _check_expression(name: str, namespace: str, value: str) -> None:
    expression = f"!{{{namespace}:{value}}}"
    if namespace == "timestamp":
        _format(value, _EXAMPLE)
    elif namespace in ("partitionKeyFromQuery", "partitionKeyFromLambda"):
        raise InvalidArgumentException(
            f"{name}: local AWS does not support dynamic partitioning: {expression}"
        )
    elif namespace != "firehose" or value not in ("random-string", "error-output-type"):
        raise InvalidArgumentException(f"{name}: unknown expression {expression}")


def _refuse_stray_openings(name: str, text: str) -> None:
    if "!{" in _EXPRESSION.sub("", text):
        raise InvalidArgumentException(
            f"{name}: !{{ may only open an expression !{{namespace:value}}: {text}"
        )


def _format(pattern: str, moment: datetime) -> str:
    """A Java DateTimeFormatter pattern. Raises InvalidArgumentException naming what is not supported."""
    parts = []
    position = 0
    for match in _TIME_TOKEN.finditer(pattern):
        if match.start() != position:
            break
        position = match.end()
        token = match.group()
        if match.group(1) is not None:
            parts.append(match.group(1).replace("''", "'") or "'")
        elif match.group(2) is None:
            parts.append(token)
        elif token in _TIME:
            parts.append(_TIME[token](moment))
        else:
            raise InvalidArgumentException(f"!{{timestamp:{pattern}}}: local AWS does not support {token}")
    if position != len(pattern):
        raise InvalidArgumentException(f"!{{timestamp:{pattern}}}: a quote is not closed")
    return "".join(parts)
