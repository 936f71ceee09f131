"""Training channels: which files count, what they hold, and how they become DMatrices.

Content types and their traps are the image's own: without a ContentType a channel is read as LIBSVM, CSV has
no header and its label first, files that begin with `_` are skipped and those that begin with `.` an error.
Tables are read as float32, the type XGBoost computes in, so that no wider copy of the data ever exists.
"""

from __future__ import annotations

import csv
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import xgboost as xgb
from numpy.typing import NDArray

from local_aws.images.xgboost.errors import UserError

log = logging.getLogger(__name__)

CSV, LIBSVM, PARQUET, RECORDIO = "csv", "libsvm", "parquet", "recordio-protobuf"
CONTENT_TYPES = {
    "csv": CSV,
    "libsvm": LIBSVM,
    "parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
    "text/csv": CSV,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-parquet": PARQUET,
    "application/x-recordio-protobuf": RECORDIO,
}
MAX_FOLDER_DEPTH = 3
ROWS_AT_ONCE = 4096  # a block of 4096 x 70 float32 stays in the processor's cache while it is transposed


def content_type_of(channel: dict[str, Any]) -> str:
    """The channel's format: csv, libsvm, parquet or recordio-protobuf. No ContentType means libsvm.

    Raises UserError for a type the image does not take, and for a label_size other than 1.
    """
    given = channel.get("ContentType")
    if given is None:
        return LIBSVM
    name, *parameters = (part.strip() for part in given.lower().split(";"))
    if name not in CONTENT_TYPES:
        raise UserError(f"{given} is not an accepted ContentType: {', '.join(CONTENT_TYPES)}.")
    sizes = [
        value.strip()
        for key, _, value in (p.partition("=") for p in parameters)
        if key.strip() == "label_size"
    ]
    if CONTENT_TYPES[name] == CSV and any(size != "1" for size in sizes):
        raise UserError(
            f"{given} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1"
        )
    return CONTENT_TYPES[name]


def data_files(folder: Path) -> list[Path]:
    """The channel's data files in name order, at most three folders deep.

    Raises UserError for a hidden file and for deeper folders.
    """
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        if any(name.startswith(".") for name in names):
            raise UserError("Hidden file found in the data path! Remove that before training.")
        if folders and len(Path(root).relative_to(folder).parts) >= MAX_FOLDER_DEPTH:
            raise UserError(
                f"Folder depth exceed the limit: {MAX_FOLDER_DEPTH}. Found {Path(root) / folders[0]}"
            )
        found += [Path(root) / name for name in sorted(names) if not name.startswith("_")]
    return found


def has_data(folder: Path) -> bool:
    """Whether there is a data file that is not empty. Raises UserError as `data_files`."""
    return any(file.stat().st_size for file in data_files(folder))


def load(channel: str, folder: Path, content_type: str, *, weights: bool = False) -> xgb.DMatrix:
    """All data files of one channel as a DMatrix: label, then (with weights) the row's weight, then features.

    Raises UserError when there is no data, or when a file is not what the content type says.
    """
    files = data_files(folder)
    if not has_data(folder):
        raise UserError(f"No data in {'training' if channel == 'train' else channel} channel path {folder}")
    if content_type == CSV:
        return _matrix(_read_csv(files), weights=weights)
    if content_type == PARQUET:
        return _matrix(_read_parquet(files), weights=False)
    if content_type == LIBSVM:
        return _read_libsvm(files)
    raise UserError(f"Content type {content_type} is not supported by local AWS; use csv, libsvm or parquet.")


def sniff_delimiter(line: str) -> str:
    """The delimiter of a CSV line. Raises UserError when there is none to be seen."""
    try:
        return csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise UserError(f"Could not determine delimiter on line {line[:50]}:\n{error}") from error


def _read_csv(files: list[Path]) -> Iterator[pa.Table]:
    columns: list[str] = []
    for file in files:
        with file.open(encoding="utf-8", errors="ignore") as lines:
            first = lines.readline()
        delimiter = sniff_delimiter(first)
        width = len(first.rstrip("\r\n").split(delimiter))
        log.info("Determined delimiter of CSV input is '%s'", delimiter)
        columns = columns or [f"f{index}" for index in range(width)]
        try:
            table = pyarrow.csv.read_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(column_names=columns),
                # XGBoost's CSV has no quotes: a quoted number is an error, not a number.
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char=False),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.float32()), null_values=["", "NA", "NaN", "nan"]
                ),
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"Failed to load csv data with exception:\n{file.name}: {error}{_hint(first)}"
            ) from error
        yield table


def _hint(line: str) -> str:
    if line.startswith('"'):
        return " (its lines are quoted as one field: unquote them)"
    if any(cell.strip() and not _is_number(cell) for cell in line.replace(";", ",").split(",")):
        return " (training data must be numbers without a header line)"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(files: list[Path]) -> Iterator[pa.Table]:
    for file in files:
        try:
            table = pyarrow.parquet.ParquetFile(file).read()
            yield table.cast(pa.schema([(name, pa.float32()) for name in table.column_names]), safe=False)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"Failed to load parquet data with exception:\n{file.name}: {error}") from error


def _matrix(tables: Iterator[pa.Table], *, weights: bool) -> xgb.DMatrix:
    blocks = list(tables)
    widths = {table.num_columns for table in blocks}
    first = 2 if weights else 1
    if len(widths) > 1 or min(widths) <= first:
        raise UserError(
            f"The channel's files have {sorted(widths)} columns; all need the same number: the label, "
            f"{'the weight, ' if weights else ''}and at least one feature."
        )
    rows = sum(table.num_rows for table in blocks)
    features = np.empty((rows, widths.pop() - first), dtype=np.float32)
    heads = np.empty((first, rows), dtype=np.float32)
    start = 0
    while blocks:  # each table is dropped as soon as it is copied
        for batch in blocks.pop(0).to_batches(max_chunksize=ROWS_AT_ONCE):
            stop = start + batch.num_rows
            for index, column in enumerate(batch.columns):
                values = _values(column)
                if index < first:
                    heads[index, start:stop] = values
                else:
                    features[start:stop, index - first] = values
            start = stop
    if np.isnan(heads).any():
        row = int(np.isnan(heads).any(axis=0).argmax())
        raise UserError(f"Row {row + 1} of the channel has no {'label or weight' if weights else 'label'}.")
    return xgb.DMatrix(features, label=heads[0], weight=heads[1] if weights else None)


def _values(column: pa.Array) -> NDArray[np.float32]:
    """float32 values, missing ones as NaN."""
    return column.to_numpy(zero_copy_only=False)


def _read_libsvm(files: list[Path]) -> xgb.DMatrix:
    """XGBoost's own text parser, after the image's look at the first line with features."""
    for file in files:
        with file.open(encoding="utf-8", errors="ignore") as lines:
            for line in itertools.islice(lines, 1000):
                if not is_libsvm(line):
                    raise UserError(
                        f"First line '{line[:50].rstrip()}...' of file '{file.name}' is not 'LIBSVM' format. "
                        "Please ensure the file is in 'LIBSVM' format."
                    )
                if len(line.split()) > 2:
                    break
    folder = files[0].parent if len(files) > 1 else files[0]
    if len(files) > 1 and {file.parent for file in files} != {folder}:
        raise UserError("LIBSVM files in several folders are not supported by local AWS; put them in one.")
    try:
        return xgb.DMatrix(f"{folder}?format=libsvm")
    except xgb.core.XGBoostError as error:
        raise UserError(f"Failed to load libsvm data with exception:\n{error}") from error


def is_libsvm(line: str) -> bool:
    """Whether a line reads `<label>[:<weight>] <index>:<value> ...`."""
    label, *features = line.split() or [""]
    numbers = label.split(":")
    return (
        len(numbers) <= 2
        and all(_is_number(number) for number in numbers)
        and all(len(feature.split(":")) == 2 for feature in features)
    )
