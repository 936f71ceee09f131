"""The first lines of a file tell its form, or why it has none that is accepted."""

from __future__ import annotations

import csv
from collections import Counter

from blocks import Block
from problems import InvalidData, Problem, refusal
from schema import ENCODED, RAW, Form

EXPECTED = f"{len(RAW.columns)} with a header (raw) or {len(ENCODED.columns)} without (encoded)"
UNQUOTE = "sed 's/^\"\\(.*\\)\"[[:space:]]*$/\\1/' old.csv > new.csv"
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def recognise(block: Block) -> tuple[Form, Block]:
    """The form of a file by its first block, and that block without the header. Raises InvalidData."""
    lines = block.data.decode().splitlines()
    if not any(line.strip() for line in lines):
        raise refusal("the file is empty: there is neither a header nor a customer", 1)
    if not lines[0].strip():
        raise refusal("the file begins with an empty line: remove it", 1)
    values = _split(lines[0])
    if len(values) == 1:
        raise _one_value(lines)
    if any(_is_number(value) for value in values):
        if len(values) == len(ENCODED.columns):
            return ENCODED, block
        if len(values) == len(RAW.columns):
            raise refusal("the header is missing: the raw form (21 columns) begins with one", 1)
        raise refusal(f"{len(values)} values, expected {EXPECTED}", 1)
    if len(values) == len(ENCODED.columns):
        raise refusal("the encoded form (70 columns) has no header: tail -n +2 old.csv > new.csv", 1)
    if problems := _header_problems(values):
        raise InvalidData(problems)
    _, _, rest = block.data.partition(b"\n")
    return RAW, Block(rest, block.line + 1)


def _one_value(lines: list[str]) -> InvalidData:
    line = lines[0].rstrip()
    if len(line) > 1 and line[0] == line[-1] == '"' and "," in line:
        inner = len(_split(_split(line)[0]))
        if any(len(_split(other)) != 1 for other in lines if other):
            return refusal(
                f"the line is one quoted field of {inner} values, others are not: unquote it", 1, "1"
            )
        return refusal(
            f"every line is one quoted field: {inner} values within one pair of double quotes. To a "
            "CSV reader "
            f"that is one column of text, and a model would learn nothing. Remove the quotes: {UNQUOTE}",
            1,
            "1",
        )
    for delimiter, name in DELIMITERS.items():
        count = len(line.split(delimiter))
        if count in (len(RAW.columns), len(ENCODED.columns)):
            return refusal(f"the {count} values are separated by {name}: export the file with commas", 1, "1")
    return refusal(f"one value, expected {EXPECTED}, separated by commas", 1)


def _header_problems(values: list[str]) -> list[Problem]:
    known = {spelling: column.name for column in RAW.columns for spelling in column.headers}
    wanted = [column.name for column in RAW.columns]
    names = [known.get(value, value) for value in values]
    problems = [
        Problem(
            1, f"{names.index(name) + 1} ({name})", f"the header names the column {count} times: keep one"
        )
        for name, count in Counter(names).items()
        if count > 1
    ]
    problems += [
        Problem(1, f"{place} ({name})", f"unknown column {name!r}; known are {', '.join(wanted)}")
        for place, name in enumerate(names, start=1)
        if name not in wanted
    ]
    problems += [
        Problem(1, f"{place} ({name})", "the header lacks the column")
        for place, name in enumerate(wanted, start=1)
        if name not in names
    ]
    if not problems and names != wanted:
        place = next(place for place, name in enumerate(names) if name != wanted[place])
        order = f"expected {wanted[place]!r}; the order is {', '.join(wanted)}"
        problems = [Problem(1, f"{place + 1} ({names[place]})", f"the columns are in another order: {order}")]
    return problems


def _split(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return [line]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
