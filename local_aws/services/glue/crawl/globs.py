"""Exclusion patterns of crawlers (https://docs.aws.amazon.com/glue/latest/dg/define-crawler.html#crawler-data-stores-exclude)."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?P<deep>\*\*)|(?P<star>\*)|(?P<one>\?)|\\(?P<escaped>.)|(?P<set>\[[^\]]+\])|(?P<group>[{},])|(?P<plain>.)",
    re.DOTALL,
)


def compiled(pattern: str) -> re.Pattern[str]:
    """`*` within a folder, `**` across folders, `?`, `[a-z]`, `[!a]`, `{a,b}`. Raises ValueError."""
    depth, found = 0, []
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token["group"] == "{":
            depth += 1
            found.append("(?:")
        elif token["group"] == "}" and depth:
            depth -= 1
            found.append(")")
        elif token["group"] == "," and depth:
            found.append("|")
        elif token["set"]:
            found.append(text.replace("[!", "[^", 1))
        else:
            fixed = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
            found.append(fixed.get(text) or re.escape(token["escaped"] or text))
    try:
        if depth:
            raise re.error("a { has no }")
        return re.compile("".join(found), re.DOTALL)
    except re.error as error:
        raise ValueError(f"Exclusion {pattern!r} is not a glob pattern: {error}") from None
