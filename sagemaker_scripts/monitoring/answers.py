"""Truth and prediction, row by row, out of a baseline table or merged capture.

What cannot be used is refused by name.

Attributes name columns of a table, or positions in the endpoint's *output* (``"0"``), or a JSON path
(``$.score``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .capture import (
    Requests,
    Rows,
    check_encodings,
    csv_rows,
    encoding_of,
    flatten,
    in_window,
    json_records,
    read_requests,
)
from .model_quality import Answers, Problem
from .sources import AnalysisError, Refusals, find_files, line_blocks, no_data
from .tables import Chunk, Dataset

_FLAGS = {"true": "1", "false": "0", "True": "1", "False": "0", "True.": "1", "False.": "0"}


@dataclass(frozen=True)
class Attributes:
    """Where to find what.

    With a probability and a threshold the prediction is ``probability > threshold``.
    """

    problem: Problem
    inference: str | None = None
    probability: str | None = None
    threshold: float | None = None
    truth: str | None = None
    classes: tuple[str, ...] = ()


def read_answers(dataset: Dataset, attributes: Attributes) -> Answers:
    """All usable rows of ``dataset`` (``format`` "merged" for merged capture).

    Raises ``AnalysisError`` when attributes do not fit the data or no row is usable.
    """
    if attributes.inference is None and attributes.probability is None:
        raise AnalysisError(
            "Neither inference_attribute nor probability_attribute is set: nothing to compare with."
        )
    chunks = _merged(dataset) if dataset.format == "merged" else dataset.chunks()
    parts = [_answers(chunk, attributes, dataset.refusals) for chunk in chunks]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise dataset.refusals.nothing_left("record with a usable label and prediction")
    scores = None if parts[0].scores is None else np.concatenate([part.scores for part in parts])
    return Answers(
        attributes.problem,
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        scores,
    )


def _merged(dataset: Dataset) -> Iterator[Chunk]:
    """Output columns ``0, 1, ...`` (or flattened names) and the label, ``ground_truth``, as the last."""
    if not dataset.source.exists() or not (files := find_files(dataset.source, (".jsonl",))):
        raise no_data(f"merged records under {dataset.locations.name(dataset.source)}")
    for block in line_blocks(files, dataset.locations, dataset.block_bytes):
        requests = in_window(read_requests(block, dataset.refusals), dataset.window, dataset.refusals)
        if not len(requests.line):
            continue
        if encoding_of(requests) == "JSON":
            truths = requests.field("groundTruthData", "data").to_pylist()
            pairs = list(json_records(requests, ("endpointOutput",), dataset.refusals))
            rows = [record | {"ground_truth": _label(truths[index])} for index, record in pairs]
            names = list(dict.fromkeys(key for row in rows for key in row))
            table = pa.table(
                {name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names}
            )
            yield Chunk(table, partial(_request_name, requests, pairs))
        else:
            # A row is as wide as the output plus one label, whatever the features are.
            part = replace(dataset, sections=("endpointOutput", "groundTruthData"), columns=[], names=())
            found = csv_rows(check_encodings(requests, dataset.refusals), part.sections, dataset.refusals)
            yield from _numbered(part, found)


def _request_name(requests: Requests, pairs: list[tuple[int, dict[str, Any]]], row: int) -> str:
    return requests.where(pairs[row][0])


def _numbered(part: Dataset, rows: Rows) -> Iterator[Chunk]:
    for chunk in part.text_chunks(rows.text, rows.where):
        names = [str(i) for i in range(chunk.table.num_columns - 1)] + ["ground_truth"]
        yield Chunk(chunk.table.rename_columns(names), chunk.where)


def _answers(chunk: Chunk, attributes: Attributes, refusals: Refusals) -> Answers:
    truth = _column(chunk.table, attributes.truth or "ground_truth", "ground_truth_attribute")
    said = _column(chunk.table, attributes.inference, "inference_attribute") if attributes.inference else None
    score = (
        _column(chunk.table, attributes.probability, "probability_attribute")
        if attributes.probability
        else None
    )
    good = np.ones(chunk.table.num_rows, dtype=bool)

    def refuse(mask: npt.NDArray[np.bool_], reason: str, column: Any) -> None:
        nonlocal good
        for row in np.flatnonzero(good & ~mask):
            refusals.add(reason, chunk.where(int(row)), str(column[int(row)].as_py()))
        good &= mask

    scores = None
    if score is not None:
        scores = _floats(score)
        refuse(~np.isnan(scores), "probability is not a number", score)
        with np.errstate(invalid="ignore"):
            refuse((scores >= 0) & (scores <= 1) | np.isnan(scores), "probability outside [0,1]", score)
    if attributes.problem == "Regression":
        answer = said if said is not None else score
        truths, predicted = _floats(truth), _floats(answer)
        refuse(np.isfinite(truths), "label is not a number", truth)
        refuse(np.isfinite(predicted), "prediction is not a number", answer)
        return Answers(attributes.problem, truths[good], predicted[good])
    binary = attributes.problem == "BinaryClassification"
    names, codes = _classes(truth, ("0", "1") if binary else attributes.classes)
    refuse(codes >= 0, "label outside the classes", truth)
    if binary and scores is not None and (said is None or attributes.threshold is not None):
        limit = 0.5 if attributes.threshold is None else attributes.threshold
        with np.errstate(invalid="ignore"):
            predicted = (scores > limit).astype(np.int8)
    elif said is None:
        raise AnalysisError("inference_attribute is not set: a multiclass monitor needs the predicted class.")
    else:
        said_names, predicted = _classes(said, ("0", "1") if binary else attributes.classes)
        refuse(predicted >= 0, "prediction outside the classes", said)
    if binary:
        kept = None if scores is None else scores[good]
        return Answers(attributes.problem, codes[good].astype(np.int8), predicted[good].astype(np.int8), kept)
    return Answers(attributes.problem, names[codes[good]], said_names[predicted[good]])


def _column(table: pa.Table, attribute: str, setting: str) -> pa.ChunkedArray:
    name = attribute.removeprefix("$.").replace(".", "_")
    if name in table.column_names:
        return table[name]
    if attribute.isdigit() and int(attribute) < table.num_columns:
        return table.column(int(attribute))
    raise AnalysisError(
        f"{setting}={attribute!r} names no column; found: {', '.join(table.column_names[:20])}. "
        "Correct the setting."
    )


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(pc.cast(column, pa.float64()).fill_null(float("nan")), dtype=float)
    numeric = pc.match_substring_regex(column, r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")
    kept = pc.if_else(pc.fill_null(numeric, False), pc.utf8_trim_whitespace(column), None)
    return np.asarray(pc.cast(kept, pa.float64()).fill_null(float("nan")), dtype=float)


def _classes(
    column: pa.ChunkedArray, allowed: tuple[str, ...]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """``(class names, code of every row)``; -1 for missing or not ``allowed`` (empty: all are).

    ``1`` and ``1.0`` are one class, true/false are 1/0. With ``allowed`` the codes are positions in it.
    """
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    encoded = (
        pa.chunked_array([pc.cast(column, pa.string()).combine_chunks()]).combine_chunks().dictionary_encode()
    )
    found = [_class_name(str(name)) for name in encoded.dictionary.to_pylist()]
    names = list(allowed) or list(dict.fromkeys(found))
    code = {name: i for i, name in enumerate(names)}
    table = np.array([*(code.get(name, -1) for name in found), -1])
    return np.array(names, dtype=str), table[np.asarray(encoded.indices.fill_null(len(found)))]


def _class_name(name: str) -> str:
    name = _FLAGS.get(name.strip(), name.strip())
    try:
        number = float(name)
    except ValueError:
        return name
    return str(int(number)) if number == int(number) and abs(number) < 2**53 else name


def _label(text: str | None) -> Any:
    """A JSON label: the value itself, or the only value of an object."""
    if text is None:
        return None
    try:
        flat = flatten(json.loads(text))
    except ValueError:
        return text
    return next(iter(flat.values())) if len(flat) == 1 else text


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
