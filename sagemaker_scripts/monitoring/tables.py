"""Data sets as a stream of column chunks: CSV, JSON lines, Parquet, endpoint capture, merged capture.

Cells of CSV records stay text where they do not have the type the baseline expects, so that a profile can say
which cell of which row broke it; columns that do are typed by Arrow, which is what makes a million rows
cheap.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from .capture import check_encodings, csv_rows, encoding_of, in_window, json_records, read_requests
from .hooks import Preprocess, preprocessed
from .sources import AnalysisError, Block, Locations, Refusals, find_files, line_blocks, no_data

Kinds = Mapping[str, str]  # column -> Integral | Fractional | String, as the baseline inferred them

_ARROW = {"Integral": pa.int64(), "Fractional": pa.float64(), "String": pa.string()}


@dataclass(frozen=True)
class Chunk:
    """Some rows; ``where(i)`` names row ``i`` (``s3://bucket/key line 12``)."""

    table: pa.Table
    where: Callable[[int], str]


@dataclass
class Dataset:
    """What to read.

    ``names``/``kinds`` come from the baseline where there is one; ``columns`` is what was found.
    """

    source: Path
    format: str  # csv | json | parquet | capture
    header: bool = False
    sections: tuple[str, ...] = ("endpointOutput", "endpointInput")
    names: Sequence[str] = ()
    kinds: Kinds = field(default_factory=dict)
    locations: Locations = field(default_factory=Locations)
    refusals: Refusals = field(default_factory=Refusals)
    columns: list[str] = field(default_factory=list)
    window: tuple[str, str] = ("", "")
    preprocess: Preprocess | None = None
    block_bytes: int = 16 << 20

    def chunks(self) -> Iterator[Chunk]:
        """Raises ``AnalysisError`` when there is nothing to read or records cannot be told apart."""
        suffixes = {
            "csv": (".csv", ".txt", ".out", ""),
            "json": (".json", ".jsonl", ".out", ""),
            "parquet": (".parquet",),
            "capture": (".jsonl",),
        }[self.format]
        files = find_files(self.source, suffixes) if self.source.exists() else []
        if not files:
            kinds = " or ".join(suffix for suffix in suffixes if suffix)
            raise no_data(f"{kinds} file under {self.locations.name(self.source)}")
        readers = {"csv": self._csv, "json": self._json, "parquet": self._parquet, "capture": self._capture}
        yield from readers[self.format](files)

    def _csv(self, files: list[Path]) -> Iterator[Chunk]:
        for path in files:
            header = self.header
            for block in line_blocks([path], self.locations, self.block_bytes):
                data, skipped = block.data, 0
                if header:
                    first, data = data.split(b"\n", 1)
                    names = next(csv.reader([_decoded(first, block, 0).lstrip("\ufeff").rstrip("\r")]))
                    self._named(names, block.where(0))
                    header, skipped = False, 1
                yield from self.text_chunks(
                    pa.array(
                        _decoded(data, block, skipped).replace("\r\n", "\n").split("\n")[:-1], pa.string()
                    ),
                    partial(_shifted, block.where, skipped),
                )

    def _named(self, names: list[str], where: str) -> None:
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise AnalysisError(f"{where}: the header names column {repeated[0]!r} more than once.")
        if self.columns and names != self.columns:
            raise AnalysisError(f"{where}: the header differs from that of the files before.")
        self.columns = names

    def _json(self, files: list[Path]) -> Iterator[Chunk]:
        for block in line_blocks(files, self.locations, self.block_bytes):
            records, lines = [], []
            for number, text in enumerate(block.data.split(b"\n")[:-1]):
                if text.strip():
                    try:
                        records.append(json.loads(text))
                        lines.append(number)
                    except ValueError as error:
                        self.refusals.add("not JSON", block.where(number), str(error))
            yield self._from_records(records, partial(_looked_up, block.where, lines))

    def _parquet(self, files: list[Path]) -> Iterator[Chunk]:
        for path in files:
            name, start = self.locations.name(path), 0
            for batch in pq.ParquetFile(path).iter_batches(65_536):
                table = pa.Table.from_batches([batch])
                self._named(table.column_names, name)
                yield Chunk(table, partial(_row_name, name, start + 1))
                start += batch.num_rows

    def _capture(self, files: list[Path]) -> Iterator[Chunk]:
        encoding = ""
        for block in line_blocks(files, self.locations, self.block_bytes):
            requests = in_window(read_requests(block, self.refusals), self.window, self.refusals)
            if self.preprocess is not None:  # before the encodings are judged: it may be there to decode them
                made = list(preprocessed(requests, self.preprocess))
                places = [index for index, _ in made]
                records = [self._by_position(record) for _, record in made]
                yield self._from_records(records, partial(_looked_up, requests.where, places))
                continue
            requests = check_encodings(requests, self.refusals)
            if not len(requests.line):
                continue
            encoding = encoding or encoding_of(requests)
            if encoding == "CSV":
                rows = csv_rows(requests, self.sections, self.refusals)
                yield from self.text_chunks(rows.text, rows.where)
            else:
                pairs = list(json_records(requests, self.sections, self.refusals))
                yield self._from_records(
                    [record for _, record in pairs],
                    partial(_looked_up, requests.where, [index for index, _ in pairs]),
                )

    def _by_position(self, record: dict[str, Any]) -> dict[str, Any]:
        """A preprocessor may number its columns ("0000"): as many as the baseline's are the baseline's."""
        if len(record) == len(self.names) and record.keys() != set(self.names):
            return dict(zip(self.names, record.values(), strict=True))
        return record

    def _from_records(self, records: list[dict[str, Any]], where: Callable[[int], str]) -> Chunk:
        if not self.columns:
            self.columns = list(self.names) or list(
                dict.fromkeys(key for record in records for key in record)
            )
        known = set(self.columns)
        self.columns += dict.fromkeys(key for record in records for key in record if key not in known)
        arrays = [_json_column([record.get(name) for record in records]) for name in self.columns]
        return Chunk(pa.table(arrays, names=self.columns), where)

    def text_chunks(self, rows: pa.Array, where: Callable[[int], str]) -> Iterator[Chunk]:
        """CSV records of one block -> a typed chunk; records with another number of values are refused."""
        blank = np.asarray(pc.equal(rows, ""))
        widths = _widths(rows)
        if not self.columns:
            if blank.all():
                return
            width = Counter(widths[~blank].tolist()).most_common(1)[0][0]
            same = len(self.names) == width
            self.columns = list(self.names) if same else [f"_c{i}" for i in range(width)]
        good = (widths == len(self.columns)) & ~(blank & (len(self.columns) > 1))
        if not good.all():
            for index in np.flatnonzero(~good & ~blank):
                detail = f"{widths[index]} values, {len(self.columns)} expected"
                self.refusals.add("another number of columns", where(int(index)), detail)
            kept = np.flatnonzero(good).tolist()
            rows = rows.filter(pa.array(good))
            if len(rows):
                yield Chunk(parse_csv(rows, self.columns, self.kinds), partial(_looked_up, where, kept))
        elif len(rows):
            yield Chunk(parse_csv(rows, self.columns, self.kinds), where)


def parse_csv(rows: pa.Array, names: Sequence[str], kinds: Kinds) -> pa.Table:
    """Typed columns where every cell has the expected type (or, unexpected, any one type); text elsewhere."""
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows), "\n")
    buffer = pa.py_buffer(whole[0].as_buffer().to_pybytes() + b"\n")
    try:
        return _read(buffer, names, {name: _ARROW.get(kind, pa.string()) for name, kind in kinds.items()})
    except pa.ArrowInvalid:
        table = _read(buffer, names, dict.fromkeys(names, pa.string()))
        return pa.table([_tighten(table[name], kinds.get(name)) for name in names], names=list(names))


def _read(buffer: pa.Buffer, names: Sequence[str], types: dict[str, pa.DataType]) -> pa.Table:
    table = pv.read_csv(
        pa.BufferReader(buffer),
        read_options=pv.ReadOptions(column_names=list(names), block_size=max(len(buffer) // 2, 1 << 20)),
        parse_options=pv.ParseOptions(ignore_empty_lines=False),
        convert_options=pv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, timestamp_parsers=["%"]
        ),
    )
    for i, column in enumerate(table.columns):
        finite = not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() is not False
        odd = pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type)
        if not finite or odd:
            # What looks like a date, a flag or "nan" is text to Model Monitor: read the cells again as they
            # are.
            return _read(buffer, names, types | {table.column_names[i]: pa.string()})
    return table


def _tighten(column: pa.ChunkedArray, kind: str | None) -> pa.ChunkedArray:
    """The column in its expected type (any number without one), or as text, cell by cell as written."""
    for target in (pa.int64(), pa.float64()) if kind is None else (_ARROW.get(kind, pa.string()),):
        try:
            typed = pc.cast(column, target)
        except pa.ArrowInvalid:
            continue
        if not pa.types.is_floating(target) or pc.all(pc.is_finite(typed)).as_py() is not False:
            return typed
    return column


def _widths(rows: pa.Array) -> Any:
    counts = np.asarray(pc.add(pc.count_substring(rows, ","), 1)).copy()
    quoted = np.asarray(pc.match_substring(rows, '"'))
    for index in np.flatnonzero(quoted):
        counts[index] = len(next(csv.reader([rows[int(index)].as_py()])))
    return counts


def _json_column(values: list[Any]) -> pa.Array:
    """One JSON field as an Arrow column; mixed types become text, as Spark reads them."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {int, float}:
        return pa.array(values, pa.int64() if kinds <= {int} else pa.float64())
    return pa.array(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    )


def _decoded(data: bytes, block: Block, skipped: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        where = block.where(data.count(b"\n", 0, error.start) + skipped)
        raise AnalysisError(f"{where}: byte {data[error.start]:#04x} is not UTF-8 text.") from error


def _shifted(where: Callable[[int], str], by: int, row: int) -> str:
    return where(row + by)


def _looked_up(where: Callable[[int], str], places: Sequence[int], row: int) -> str:
    return where(int(places[row]))


def _row_name(name: str, first: int, row: int) -> str:
    return f"{name} row {first + row}"
