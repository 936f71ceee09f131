"""Request bodies to feature matrices, predictions to response bodies, as in SageMaker's XGBoost image."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

CSV = "text/csv"
LIBSVM = ("text/libsvm", "text/x-libsvm")
JSON = "application/json"
JSON_LINES = "application/jsonlines"
ACCEPTED = (CSV, JSON, JSON_LINES)

DELIMITERS = ",;\t| "
SNIFFED_CHARACTERS = 512


class Answer(NamedTuple):
    """A model's answer to a request. `custom_attributes`: what it returned in its own header, if anything."""

    status: int
    content_type: str
    body: bytes
    custom_attributes: str = ""


class PayloadError(Exception):
    """The request cannot be answered. `status` is the HTTP status the image gives."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def media_type(header: str) -> str:
    """`Text/CSV; charset=utf-8` -> `text/csv`."""
    return header.partition(";")[0].strip().lower()


def choose_accept(header: str, default: str) -> str:
    """The response's media type. Raises PayloadError 406 when none of the header's is available."""
    wanted = [media_type(part) for part in header.split(",") if part.strip()] or ["*/*"]
    for name in wanted:
        if name in ("*/*", "text/*", ""):
            return default
        if name in ACCEPTED:
            return name
    raise PayloadError(
        406, f"Accept type {header} is not supported. Please use one of: {', '.join(ACCEPTED)}."
    )


def parse(body: bytes, content_type: str, features: int) -> Array:
    """A body -> features of shape (rows, features), missing values as NaN.

    Raises PayloadError: 415 for a type or text that cannot be read, 400 for another number of features.
    """
    name = media_type(content_type) or CSV
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError(415, f"The payload is not UTF-8 text: {error}.") from error
    if name == CSV:
        return _parse_csv(text, features)
    if name in LIBSVM:
        return _parse_libsvm(text, features)
    raise PayloadError(
        415,
        f"Content-type {name} not supported. Supported content-type is text/csv, text/libsvm, text/x-libsvm.",
    )


def _parse_csv(text: str, features: int) -> Array:
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = _delimiter(text[:SNIFFED_CHARACTERS])
    rows = [line.split(delimiter) for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != features:
            where = f" (line {number})" if len(rows) > 1 else ""
            raise PayloadError(
                400,
                f"Unable to evaluate payload provided: Feature size of csv inference data {len(row)}{where} "
                f"is not consistent with feature size of trained model {features}",
            )
    if "_" in text:  # Python reads 1_0 as a number; nobody else does
        raise PayloadError(415, "Loading csv data failed: '_' cannot be part of a number.")
    try:
        values = [[float(cell) if cell else math.nan for cell in row] for row in rows]
    except ValueError:
        values = [[_number(cell, number) for cell in row] for number, row in enumerate(rows, start=1)]
    return np.array(values, dtype=np.float32)


def _number(cell: str, line: int) -> float:
    if not cell.strip():
        return math.nan
    try:
        return float(cell)
    except ValueError:
        message = f"Loading csv data failed: line {line}: could not convert string to float: '{cell[:40]}'."
        raise PayloadError(415, message) from None


def _delimiter(sample: str) -> str:
    """The only one of the usual delimiters that occurs, which is quick; what csv.Sniffer says otherwise."""
    present = [delimiter for delimiter in DELIMITERS if delimiter in sample.strip()]
    if len(present) <= 1:
        return present[0] if present else ","
    if "," in present and set(present) <= {",", " "}:
        return ","
    try:
        return csv.Sniffer().sniff(sample, DELIMITERS).delimiter
    except csv.Error as error:
        raise PayloadError(415, f"Loading csv data failed: {error}.") from error


def _parse_libsvm(text: str, features: int) -> Array:
    """Sparse rows; what is not named is missing. Indices from 1 are shifted to 0 if none of the payload is 0.

    That shift is the image's own, and wrong for a 0-based payload that never names feature 0.
    """
    rows = [_sparse_row(line) for line in text.splitlines() if line.strip()]
    indices = [index for row in rows for index in row]
    shift = 1 if indices and min(indices) >= 1 else 0
    largest = max(indices, default=0) - shift
    if largest >= features:
        raise PayloadError(
            400,
            f"Unable to evaluate payload provided: Feature size of libsvm inference data {largest + 1} "
            f"is larger than feature size of trained model {features}",
        )
    matrix = np.full((len(rows), features), np.nan, dtype=np.float32)
    for number, row in enumerate(rows):
        for index, value in row.items():
            matrix[number, index - shift] = value
    return matrix


def _sparse_row(line: str) -> dict[int, float]:
    words = line.split()
    pairs = words if ":" in words[0] else words[1:]  # the label may be left out
    try:
        return {int(index): float(value) for index, value in (pair.split(":") for pair in pairs)}
    except ValueError as error:
        raise PayloadError(415, f"Loading libsvm data failed: '{line[:60]}': {error}.") from error


def encode(predictions: Array, accept: str) -> bytes:
    """Predictions of shape (rows,) or (rows, classes) -> a body.

    Numbers are the shortest text that reads back as the same float32.
    """
    if accept == CSV:
        if predictions.ndim == 1:
            return ("\n".join(map(str, predictions)) + "\n").encode()
        return ("\n".join("[" + ", ".join(map(str, row)) + "]" for row in predictions) + "\n").encode()
    scores = [{"score": _plain(value)} for value in predictions]
    if accept == JSON:
        return json.dumps({"predictions": scores}).encode()
    return "".join(json.dumps(score) + "\n" for score in scores).encode()


def encode_selected(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], accept: str) -> bytes:
    """Selected values of each row (SAGEMAKER_INFERENCE_OUTPUT) -> a body. Lists are quoted in CSV."""
    if accept == CSV:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([json.dumps(row[key]) for key in keys] for row in rows)
        return text.getvalue().encode()
    if accept == JSON:
        return json.dumps({"predictions": list(rows)}).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _plain(value: Any) -> Any:
    """float32 -> the Python float that prints as shortly; an array -> a list of them."""
    return [_plain(element) for element in value] if np.ndim(value) else float(str(value))
