"""What one pass over a data set learns of each column.

Types, completeness, moments, distribution, broken cells.

Memory does not grow with rows: a numeric column is a ``Sketch`` and five moments, a text column its value
counts (the first 10,000 distinct values), broken cells are counted and the first few named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .sketch import Floats, Sketch
from .tables import Chunk, Dataset, Kinds

CATEGORIES = 10_000
NAMED_ROWS = 10

# deequ's StatefulDataType, in RE2 terms: what Model Monitor takes for a number.
_INTEGRAL = r"^[+-]? ?\d+$"
_FRACTIONAL = r"^[+-]? ?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][+-]?\d+|\.\d+[eE][+-]?\d+)$"
_BOOLEAN = r"^(true|false)$"


@dataclass
class ColumnProfile:
    """Counts of one column.

    ``kinds`` counts present cells by type; ``broken`` those the baseline does not allow.
    """

    name: str
    present: int = 0
    missing: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    broken_in_mangled_rows: int = 0
    first_broken: str = ""
    numbers: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    sketch: Sketch = field(default_factory=Sketch)
    categories: Counter[str] = field(default_factory=Counter)
    more_categories: bool = False

    @property
    def total(self) -> int:
        return self.present + self.missing

    @property
    def inferred_type(self) -> str:
        """deequ's rule.

        Any text -> String, else any fraction -> Fractional, else Integral; nothing -> Unknown.
        """
        if self.kinds["String"] or self.kinds["Boolean"]:
            return "String"
        if self.kinds["Fractional"]:
            return "Fractional"
        return "Integral" if self.kinds["Integral"] else "Unknown"

    @property
    def std_dev(self) -> float:
        """Population standard deviation, as Model Monitor writes it."""
        return math.sqrt(self.squares / self.numbers) if self.numbers else math.nan

    def counts(self) -> Counter[str]:
        """Value counts as text, also of cells that were numbers in an otherwise textual column."""
        values, weights = self.sketch.items()
        typed = self.numbers - sum(
            count for value, count in self.categories.items() if _number(value) is not None
        )
        if typed <= 0 or not self.sketch.exact:
            return self.categories
        return (
            Counter({f"{value:g}": int(count) for value, count in zip(values, weights, strict=True)})
            | self.categories
        )

    def update(self, column: pa.ChunkedArray) -> None:
        """Take in a column of a chunk (integers, floats, booleans or text)."""
        present = len(column) - column.null_count
        self.present += present
        self.missing += column.null_count
        if not present:
            return
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = np.asarray(column.drop_null(), dtype=float)
            finite = values[np.isfinite(values)]
            self.kinds["Integral" if pa.types.is_integer(column.type) else "Fractional"] += present
            self._numbers(finite, None)
            return
        self._texts(column if pa.types.is_string(column.type) else pc.cast(column, pa.string()))

    def _texts(self, column: pa.ChunkedArray) -> None:
        counted = pc.value_counts(column.drop_null())
        values, counts = counted.field("values"), counted.field("counts").to_numpy().astype(float)
        integral, fractional = (
            np.asarray(pc.match_substring_regex(values, r)) for r in (_INTEGRAL, _FRACTIONAL)
        )
        boolean = np.asarray(pc.match_substring_regex(values, _BOOLEAN))
        for kind, mask in (("Integral", integral), ("Fractional", fractional), ("Boolean", boolean)):
            self.kinds[kind] += int(counts[mask].sum())
        self.kinds["String"] += int(counts[~(integral | fractional | boolean)].sum())
        numeric = integral | fractional
        if numeric.any():
            numbers = [float(text.replace(" ", "")) for text in values.filter(pa.array(numeric)).to_pylist()]
            self._numbers(np.asarray(numbers), counts[numeric])
        for value, count in zip(values.to_pylist(), counts, strict=True):
            if value in self.categories or len(self.categories) < CATEGORIES:
                self.categories[value] += int(count)
            else:
                self.more_categories = True

    def _numbers(self, values: Floats, counts: Floats | None) -> None:
        if not len(values):
            return
        n = float(len(values) if counts is None else counts.sum())
        mean = float(values.mean() if counts is None else np.average(values, weights=counts))
        squares = float(np.sum((values - mean) ** 2 * (1.0 if counts is None else counts)))
        delta, total = mean - self.mean, self.numbers + n
        # Chan, Golub, LeVeque 1979: merging two sets' moments without cancellation.
        self.squares += squares + delta * delta * self.numbers * n / total
        self.mean += delta * n / total
        self.numbers = int(total)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.sketch.add(values, counts)


@dataclass
class Profile:
    """A data set in one pass. ``mangled`` names rows in which several cells break the baseline's types."""

    columns: dict[str, ColumnProfile]
    rows: int = 0
    mangled: int = 0
    mangled_rows: list[str] = field(default_factory=list)
    first_mangled: str = ""


def profile(dataset: Dataset) -> Profile:
    """Read every chunk of ``dataset`` once."""
    return profile_chunks(dataset.chunks(), dataset.kinds)


def profile_chunks(chunks: Iterable[Chunk], kinds: Kinds) -> Profile:
    """Profile tables as they come; ``kinds`` are the baseline's types (empty: anything goes)."""
    result = Profile({})
    for chunk in chunks:
        for name in chunk.table.column_names:
            if name not in result.columns:
                # A field that first shows up in a later block was missing in all the rows before.
                result.columns[name] = ColumnProfile(name, missing=result.rows)
            result.columns[name].update(chunk.table[name])
        for name in result.columns.keys() - set(chunk.table.column_names):
            result.columns[name].missing += chunk.table.num_rows
        _find_broken(result, chunk, kinds)
        result.rows += chunk.table.num_rows
    return result


def _find_broken(result: Profile, chunk: Chunk, kinds: Kinds) -> None:
    masks = {
        name: mask
        for name in chunk.table.column_names
        if (mask := _broken(chunk.table[name], kinds.get(name, ""))) is not None
    }
    if not masks:
        return
    # A column that is wrong in most rows is a broken column; rows are mangled by what breaks in few.
    sparse = {name: mask for name, mask in masks.items() if mask.mean() <= 0.5}
    per_row = np.sum(list(sparse.values()), axis=0) if sparse else np.zeros(chunk.table.num_rows)
    mangled = per_row >= 2
    result.mangled += int(mangled.sum())
    for row in np.flatnonzero(mangled)[: max(0, NAMED_ROWS - len(result.mangled_rows))]:
        where = chunk.where(int(row))
        result.mangled_rows.append(where)
        if not result.first_mangled:
            cells = [(name, _cell(chunk, name, row)) for name, mask in sparse.items() if mask[row]]
            shown = ", ".join(f"{_position(chunk, name)} = {cell!r}" for name, cell in cells[:3])
            more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
            result.first_mangled = f"{where}: {shown}{more}"
    for name, mask in masks.items():
        column = result.columns[name]
        column.broken += int(mask.sum())
        inside = mask & mangled if name in sparse else np.zeros_like(mask)
        column.broken_in_mangled_rows += int(inside.sum())
        alone = np.flatnonzero(mask & ~inside)
        if len(alone) and not column.first_broken:
            row = int(alone[0])
            column.first_broken = (
                f"{chunk.where(row)}: {_position(chunk, name)} = {_cell(chunk, name, row)!r}"
            )


def _broken(column: pa.ChunkedArray, kind: str) -> npt.NDArray[np.bool_] | None:
    """Cells present but not of the baseline's type.

    None when all are. A whole number counts as Fractional.
    """
    if kind not in ("Integral", "Fractional") or column.null_count == len(column):
        return None
    if pa.types.is_integer(column.type) or (pa.types.is_floating(column.type) and kind == "Fractional"):
        return None
    if pa.types.is_floating(column.type):
        values = np.asarray(column, dtype=float)
        mask = ~np.isnan(values) & (values != np.floor(values))
    else:
        text = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
        allowed = _INTEGRAL if kind == "Integral" else f"{_INTEGRAL}|{_FRACTIONAL}"
        mask = ~np.asarray(pc.fill_null(pc.match_substring_regex(text, allowed), True))
    return mask if mask.any() else None


def _cell(chunk: Chunk, name: str, row: Any) -> str:
    return str(chunk.table[name][int(row)].as_py())


def _position(chunk: Chunk, name: str) -> str:
    return f"column {chunk.table.column_names.index(name) + 1} ({name})"


def _number(text: str) -> float | None:
    try:
        return float(text.replace(" ", ""))
    except ValueError:
        return None
