"""The first lines of a file tell its form, or why it has none that is accepted."""

from __future__ import annotations

import csv
from collections import Counter

from blocks import Block
from problems import InvalidData, Problem
from schema import ENCODED, RAW, Form

UNQUOTE = "sed 's/^\"\\(.*\\)\"[[:space:]]*$/\\1/' old.csv > new.csv"
MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def recognise(block: Block) -> tuple[Form, Block]:
    """The form of a file by its first block, and that block without the header. Raises InvalidData."""
    data = block.data
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            raise _at_start(
                f"the file begins with a byte order mark ({encoding}), which would become part of the first value: "
                "save it as UTF-8 without one, e.g. sed '1s/^\\xEF\\xBB\\xBF//' old.csv > new.csv"
            )
    lines = data.decode().splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InvalidData([Problem(1, None, "the file is empty: there is neither a header nor a customer")])
    if first > 0:
        raise InvalidData([Problem(1, None, "the file begins with an empty line: remove it")])
    values = _split(lines[0])
    if len(values) == 1:
        raise _one_value(lines)
    if any(_is_number(value) for value in values):
        return _headerless(values), block
    if len(values) == len(ENCODED.columns):
        raise InvalidData(
            [Problem(1, None, "the encoded form (70 columns) has no header: remove it with tail -n +2 old.csv > new.csv")]
        )
    _check_header(values)
    _, _, rest = data.partition(b"\n")
    return RAW, Block(rest, block.line + 1)


def _one_value(lines: list[str]) -> InvalidData:
    line = lines[0]
    if line.startswith('"') and line.rstrip().endswith('"') and "," in line:
        inner = len(_split(_split(line)[0]))
        return _at_start(
            f"every line is one quoted field: {inner} values in one pair of double quotes, so that a CSV reader sees one "
            f"column of text and a model would learn nothing. Remove the quotes: {UNQUOTE}"
            if all(len(_split(other)) == 1 for other in lines if other)
            else f"the line is one quoted field of {inner} values, other lines are not: remove the quotes around it"
        )
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        count = len(line.split(delimiter))
        if count in (len(RAW.columns), len(ENCODED.columns)):
            return _at_start(f"the {count} values are separated by {name}, expected commas: export the file again with commas")
    return InvalidData(
        [Problem(1, None, f"one value, expected {len(RAW.columns)} (raw) or {len(ENCODED.columns)} (encoded) separated by commas")]
    )


def _headerless(values: list[str]) -> Form:
    if len(values) == len(ENCODED.columns):
        return ENCODED
    if len(values) == len(RAW.columns):
        raise InvalidData(
            [Problem(1, None, "the header is missing: the first line of the raw form (21 columns) must name the columns")]
        )
    raise InvalidData(
        [
            Problem(
                1,
                None,
                f"{len(values)} values, expected {len(RAW.columns)} with a header (raw) or "
                f"{len(ENCODED.columns)} without (encoded)",
            )
        ]
    )


def _check_header(values: list[str]) -> None:
    known = {spelling: column.name for column in RAW.columns for spelling in column.headers}
    wanted = [column.name for column in RAW.columns]
    names = [known.get(value, value) for value in values]
    problems = [
        Problem(1, f"{names.index(name) + 1} ({name})", f"the header has the column {count} times: keep one")
        for name, count in Counter(names).items()
        if count > 1
    ]
    problems += [
        Problem(1, f"{position + 1} ({name})", f"unknown column {name!r}; expected {', '.join(wanted)}")
        for position, name in enumerate(names)
        if name not in wanted
    ]
    missing = [name for name in wanted if name not in names]
    problems += [
        Problem(1, f"{wanted.index(name) + 1} ({name})", "the column is missing from the header") for name in missing
    ]
    if not problems and names != wanted:
        position = next(place for place, name in enumerate(names) if name != wanted[place])
        problems = [
            Problem(
                1,
                f"{position + 1} ({names[position]})",
                f"the columns are in another order: expected {wanted[position]!r} here; expected order: {', '.join(wanted)}",
            )
        ]
    if problems:
        raise InvalidData(problems)


def _at_start(message: str) -> InvalidData:
    return InvalidData([Problem(1, "1", message)])


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
