"""A file as blocks of whole lines, and the slow look at a block that tells which line and column is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from problems import Problem, at, refusal
from schema import Form

BLOCK_BYTES = 16 * 1024 * 1024
MARKS = {
    b"\xef\xbb\xbf": ("UTF-8", "sed '1s/^\\xEF\\xBB\\xBF//'"),
    b"\xff\xfe": ("UTF-16", "iconv -f utf-16 -t utf-8"),
    b"\xfe\xff": ("UTF-16", "iconv -f utf-16 -t utf-8"),
}
PROBLEMS = 20  # how many are worth listing


@dataclass(frozen=True)
class Block:
    """Whole lines of UTF-8; `line` is the number of the first one."""

    data: bytes
    line: int


def read(path: Path, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Blocks of about `size` bytes, decompressed. Raises InvalidData: no text, or not all of it."""
    line = 1
    rest = b""
    with _open(path) as stream:
        while chunk := _next(stream, size, line + rest.count(b"\n")):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                yield _checked(lines + newline, line)
                line += lines.count(b"\n") + 1
            elif len(rest) > size:
                raise refusal(f"the line is longer than {size:,} bytes: this is no CSV file", line)
    if rest:
        yield _checked(rest, line)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    if compressed and path.suffix != ".gz":
        raise refusal("the file is compressed with gzip, but its name does not end in .gz: rename it")
    if not compressed and path.suffix == ".gz":
        raise refusal("the name ends in .gz, but the file is not compressed with gzip: rename it")
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


def _refuse_mark(data: bytes) -> None:
    for mark, (encoding, remedy) in MARKS.items():
        if data.startswith(mark):
            what = f"the file begins with a byte order mark ({encoding})"
            raise refusal(f"{what}: save it without one, {remedy} old.csv > new.csv", 1, "1")


def _next(stream: BinaryIO, size: int, line: int) -> bytes:
    try:
        return stream.read(size)
    except EOFError:
        raise refusal("the gzip file is truncated, here or later: upload it again", line) from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise refusal(f"the gzip file is damaged, here or later ({error}): upload it again", line) from None


def _checked(data: bytes, line: int) -> Block:
    if line == 1:
        _refuse_mark(data)
    if (nul := data.find(b"\0")) >= 0:
        raise refusal("a NUL byte: the file is damaged, or it is no text in UTF-8", *at(data, nul, line))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02X} is not UTF-8"
        remedy = "if the file is in Latin-1, iconv -f latin1 -t utf-8 old.csv > new.csv"
        raise refusal(f"{byte}; {remedy}", *at(data, error.start, line)) from None
    # Empty lines at the end of a file are harmless, others are not.
    return Block(data.rstrip(b"\r\n"), line)


def locate(block: Block, form: Form) -> list[Problem]:
    """The first problems of a block, line by line."""
    found: list[Problem] = []
    reader = csv.reader(io.StringIO(block.data.decode(), newline=""), strict=True)
    line = block.line
    try:
        for row in reader:
            following = block.line + reader.line_num
            if following > line + 1:
                found.append(Problem(line, None, "a line break within quotes: a customer is one line"))
            else:
                found += _row_problems(row, line, form)
            if len(found) >= PROBLEMS:
                break
            line = following
    except csv.Error as error:
        found.append(Problem(line, None, f"not a line of CSV: {error}"))
    return found[:PROBLEMS]


def _row_problems(row: list[str], line: int, form: Form) -> Iterator[Problem]:
    if not row:
        yield Problem(line, None, "the line is empty: remove it")
        return
    if len(row) != len(form.columns):
        hint = " (the whole line is in quotes)" if len(row) == 1 and "," in row[0] else ""
        yield Problem(line, None, f"{len(row)} values{hint}, expected {len(form.columns)}")
        return
    faulty: set[int] = set()
    for position, (text, column) in enumerate(zip(row, form.columns, strict=True)):
        if message := column.problem(text):
            faulty.add(position)
            yield Problem(line, f"{position + 1} ({column.name})", message)
    for name, first, end in form.groups:
        ones = row[first:end].count("1")
        if ones != 1 and faulty.isdisjoint(range(first, end)):
            yield Problem(
                line,
                f"{first + 1} to {end}",
                f"the one-hot group {name} has {ones} ones, expected exactly one",
            )
