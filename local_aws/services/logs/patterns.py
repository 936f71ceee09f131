"""Filter patterns of CloudWatch Logs for unstructured text.

Source: "Filter pattern syntax for metric filters, subscription filters, and filter log events" of the
CloudWatch Logs user guide. Terms are case-sensitive substrings: all must occur, of those marked `?` one, of
those marked `-` none; `"..."` is one term with spaces, `%...%` alone a regular expression. Patterns over
fields, `{ $.x = 1 }` and `[a, b]`, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from moto.logs.exceptions import InvalidParameterException

TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a message matches. Raises InvalidParameterException."""
    pattern = pattern.strip()
    if pattern[:1] in ("{", "["):
        raise InvalidParameterException(
            msg=f"Filter pattern {pattern!r}: local AWS supports terms, not patterns over fields"
        )
    if len(pattern) > 2 and pattern.startswith("%") and pattern.endswith("%"):
        try:
            expression = re.compile(pattern[1:-1])
        except re.error as error:
            raise InvalidParameterException(msg=f"Filter pattern {pattern!r}: {error}") from None
        return lambda message: expression.search(message) is not None
    terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
    for mark, quoted, word in TERM.findall(pattern):
        terms[mark].append(re.sub(r"\\(.)", r"\1", quoted) if quoted else word)
    # As AWS does it: beside required terms the optional ones say nothing.
    optional = [] if terms[""] else terms["?"]

    def matches(message: str) -> bool:
        return (
            all(term in message for term in terms[""])
            and not any(term in message for term in terms["-"])
            and (not optional or any(term in message for term in optional))
        )

    return matches
