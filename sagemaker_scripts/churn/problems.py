"""What can be wrong with a file, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault. `line` counts from 1, the header included; None where there is no single place."""

    line: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        place += [f"column {self.column}"] if self.column else []
        return f"{', '.join(place)}: {self.message}" if place else self.message


class InvalidData(ValueError):
    """The file does not hold what the schema declares; `problems` has at least one entry."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = list(problems)


def refusal(message: str, line: int | None = None, column: str | None = None) -> InvalidData:
    """The exception for a single problem."""
    return InvalidData([Problem(line, column, message)])


def at(data: bytes, index: int, first_line: int) -> tuple[int, str]:
    """Line and column number of a byte of a block of lines."""
    start = data.rfind(b"\n", 0, index) + 1
    return first_line + data.count(b"\n", 0, index), str(data.count(b",", start, index) + 1)
