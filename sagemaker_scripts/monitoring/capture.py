"""Captured and merged records: JSON lines -> columns of text, fast when all is well, line by line when not.

Forms: the endpoint's data capture and the ground-truth merger's output::

    {"captureData": {"endpointInput": {"data", "encoding", ...}, "endpointOutput": {...}},
     "eventMetadata": {"eventId", "inferenceId", "inferenceTime"}, "eventVersion": "0"}
    ... plus "groundTruthData": {"data", "encoding"} once merged

One line holds one request; ``data`` may hold several records, a line each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from .sources import AnalysisError, Block, Refusals

_PAYLOAD = pa.struct([("data", pa.string()), ("encoding", pa.string())])
_SCHEMA = pa.schema(
    [
        ("captureData", pa.struct([("endpointInput", _PAYLOAD), ("endpointOutput", _PAYLOAD)])),
        ("groundTruthData", _PAYLOAD),
        (
            "eventMetadata",
            pa.struct(
                [("eventId", pa.string()), ("inferenceId", pa.string()), ("inferenceTime", pa.string())]
            ),
        ),
    ]
)
PATHS = {
    "endpointInput": ("captureData", "endpointInput"),
    "endpointOutput": ("captureData", "endpointOutput"),
    "groundTruthData": ("groundTruthData",),
}
_HOUR = timedelta(hours=1)
MISMATCH = (
    "Error: Encoding mismatch: Encoding is {0} for endpointInput, but Encoding is {1} for endpointOutput. "
    "We currently only support the same type of input and output encoding at the moment."
)


@dataclass(frozen=True)
class Requests:
    """The readable lines of a block: Arrow columns, and for each its line number inside the block."""

    table: pa.Table
    line: npt.NDArray[np.int64]
    block: Block

    def field(self, *path: str) -> pa.ChunkedArray:
        column = self.table[path[0]]
        for name in path[1:]:
            column = pc.struct_field(column, name)
        return column

    def where(self, index: int) -> str:
        return self.block.where(int(self.line[index]))

    def take(self, mask: npt.NDArray[np.bool_]) -> Requests:
        return Requests(self.table.filter(pa.array(mask)), self.line[mask], self.block)


@dataclass(frozen=True)
class Rows:
    """CSV records (one string a record, output columns first) and the request each came in."""

    text: pa.Array
    parent: npt.NDArray[np.int64]
    requests: Requests

    def where(self, index: int) -> str:
        return self.requests.where(int(self.parent[index]))


def read_requests(block: Block, refusals: Refusals) -> Requests:
    """Parse a block; lines that are not a capture record are refused by name."""
    try:
        table = pj.read_json(
            pa.BufferReader(block.data),
            # Arrow parses its blocks in parallel: two of them, as long as no line can be longer than one.
            read_options=pj.ReadOptions(block_size=max(len(block.data) // 2 + 1, 1 << 22)),
            parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"),
        )
        if table.num_rows == block.lines:
            return _complete(Requests(table, np.arange(table.num_rows), block), refusals)
    except pa.ArrowInvalid:
        pass
    return _complete(_line_by_line(block, refusals), refusals)


def _line_by_line(block: Block, refusals: Refusals) -> Requests:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, text in enumerate(block.data.split(b"\n")[:-1]):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError as error:
            kind = "truncated JSON" if not text.rstrip().endswith(b"}") else "not JSON"
            refusals.add(kind, block.where(number), str(error))
            continue
        try:
            records.append({field.name: _shaped(record.get(field.name), field.type) for field in _SCHEMA})
            lines.append(number)
        except (AttributeError, TypeError) as error:
            refusals.add("not a capture record", block.where(number), str(error))
    return Requests(pa.Table.from_pylist(records, schema=_SCHEMA), np.asarray(lines, dtype=np.int64), block)


def _shaped(value: Any, form: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(form):
        return {field.name: _shaped(value.get(field.name), field.type) for field in form}
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {json.dumps(value)[:80]}")
    return value


def _complete(requests: Requests, refusals: Refusals) -> Requests:
    """Drop lines that are JSON but hold no captured payload."""
    present = pc.or_(
        pc.is_valid(requests.field("captureData", "endpointInput", "data")),
        pc.is_valid(requests.field("captureData", "endpointOutput", "data")),
    )
    mask = np.asarray(present)
    for index in np.flatnonzero(~mask):
        refusals.add("no captured data", requests.where(int(index)))
    return requests if mask.all() else requests.take(mask)


def csv_rows(requests: Requests, sections: tuple[str, ...], refusals: Refusals) -> Rows:
    """Join the sections' CSV texts side by side (``("endpointOutput", "endpointInput")``: output first).

    Raises ``AnalysisError`` with AWS's text when input and output differ in encoding.
    """
    requests = _csv_only(requests, sections, refusals)
    texts = []
    for section in sections:
        text = pc.utf8_rtrim(requests.field(*PATHS[section], "data"), characters="\r\n").combine_chunks()
        text = pc.replace_substring(text, "\r\n", "\n")
        texts.append(text)
    # A section no request carries (capture mode Output only) adds no column.
    texts = [text for text in texts if text.null_count < len(text)] or texts[:1]
    mask = np.ones(len(requests.line), dtype=bool)
    for text in texts:
        mask &= np.asarray(pc.is_valid(text))
    mask = _refuse(mask, requests, refusals, "input or output missing")
    counts = [np.asarray(pc.fill_null(pc.count_substring(text, "\n"), 0)) for text in texts]
    if len(texts) > 1:
        mask &= _refuse(
            ~mask | np.all([count == counts[0] for count in counts[1:]], axis=0),
            requests,
            refusals,
            "input and output differ in number of records",
        )
    if not mask.all():
        requests, texts, counts = (
            requests.take(mask),
            [text.filter(pa.array(mask)) for text in texts],
            [c[mask] for c in counts],
        )
    parent = np.arange(len(requests.line))
    if len(parent) and counts[0].any():
        parent = np.repeat(parent, counts[0] + 1)
        texts = [pc.list_flatten(pc.split_pattern(text, "\n")) for text in texts]
    joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, ",")
    return Rows(joined, parent, requests)


def json_records(
    requests: Requests, sections: tuple[str, ...], refusals: Refusals
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Flattened JSON records as ``(request index, {name: value})``, output fields first."""
    columns = [requests.field(*PATHS[section], "data").to_pylist() for section in sections]
    for index, texts in enumerate(zip(*columns, strict=True)):
        try:
            parts = [_json_list(text) for text in texts if text is not None]
        except ValueError as error:
            refusals.add("payload is not JSON", requests.where(index), str(error))
            continue
        if len({len(part) for part in parts}) > 1:
            refusals.add("input and output differ in number of records", requests.where(index))
            continue
        for pieces in zip(*parts, strict=True):
            record: dict[str, Any] = {}
            for piece in pieces:
                record |= flatten(piece)
            yield index, record


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested JSON as one flat object: ``{"a": {"b": 1}}`` -> ``{"a_b": 1}``; list items are numbered."""
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = ((str(i), item) for i, item in enumerate(value))  # type: ignore[assignment]
    else:
        return {prefix or "_c0": value}
    flat: dict[str, Any] = {}
    for key, item in entries:
        flat |= flatten(item, f"{prefix}_{key}" if prefix else str(key))
    return flat


def encoding_of(requests: Requests) -> str:
    """``CSV`` or ``JSON``: the encoding of the first payload; what differs is refused or fails later."""
    for section in ("endpointInput", "endpointOutput"):
        kinds = [
            kind
            for kind in pc.unique(requests.field(*PATHS[section], "encoding")).to_pylist()
            if kind in ("CSV", "JSON")
        ]
        if kinds:
            return str(kinds[0])
    return "CSV"


def in_window(requests: Requests, window: tuple[str, str], refusals: Refusals) -> Requests:
    """Leave out what lies beside the window ``(start, end)``; refuse what lies far from it.

    Captures come in folders of an hour. A window of whole hours takes its folders as they are, as the managed
    service does; of one that begins or ends within an hour the folders hold records of its neighbours. A
    record stamped more than an hour outside the folders' hours says that some clock has jumped.
    """
    if not all(window) or not len(requests.line):
        return requests
    first, last = (datetime.fromisoformat(text).astimezone(UTC) for text in window)
    time = requests.field("eventMetadata", "inferenceTime")
    low, high = _iso(_floor(first) - _HOUR), _iso(_ceiling(last) + _HOUR)
    near = pc.and_(pc.greater_equal(time, low), pc.less_equal(time, high))
    mask = _refuse(
        np.asarray(pc.fill_null(near, True)), requests, refusals, "inference time outside the window"
    )
    if bounds := within_hour(window):
        inside = pc.and_(pc.greater_equal(time, bounds[0]), pc.less(time, bounds[1]))
        mask &= np.asarray(pc.fill_null(inside, True))
    return requests if mask.all() else requests.take(mask)


def within_hour(window: tuple[str, str]) -> tuple[str, str] | None:
    """Start and end as they compare with ``inferenceTime``, of a window that is not of whole hours."""
    if not all(window):
        return None
    first, last = (datetime.fromisoformat(text).astimezone(UTC) for text in window)
    if first == _floor(first) and last == _floor(last):
        return None
    return _iso(first), _iso(last)


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    return moment if moment == _floor(moment) else _floor(moment) + _HOUR


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_encodings(requests: Requests, refusals: Refusals) -> Requests:
    """Refuse BASE64 records; fail, with AWS's text, where input and output differ."""
    given = requests.field(*PATHS["endpointInput"], "encoding").combine_chunks()
    answered = requests.field(*PATHS["endpointOutput"], "encoding").combine_chunks()
    binary = np.asarray(
        pc.or_(
            pc.fill_null(pc.equal(given, "BASE64"), False), pc.fill_null(pc.equal(answered, "BASE64"), False)
        )
    )
    differ = np.asarray(pc.fill_null(pc.not_equal(given, answered), False)) & ~binary
    if differ.any():
        first = int(np.flatnonzero(differ)[0])
        raise AnalysisError(
            MISMATCH.format(given[first].as_py(), answered[first].as_py())
            + f" First: {requests.where(first)}."
        )
    mask = _refuse(
        ~binary, requests, refusals, "BASE64 record (list its content type in the capture options)"
    )
    return requests if mask.all() else requests.take(mask)


def _csv_only(requests: Requests, sections: tuple[str, ...], refusals: Refusals) -> Requests:
    mask = np.ones(len(requests.line), dtype=bool)
    for section in sections:
        encoding = requests.field(*PATHS[section], "encoding")
        mask &= np.asarray(pc.fill_null(pc.equal(encoding, "CSV"), True))
    mask = _refuse(mask, requests, refusals, "encoding is not CSV like the records before")
    return requests if mask.all() else requests.take(mask)


def _refuse(
    mask: npt.NDArray[np.bool_], requests: Requests, refusals: Refusals, reason: str
) -> npt.NDArray[np.bool_]:
    for index in np.flatnonzero(~mask):
        refusals.add(reason, requests.where(int(index)))
    return mask


def _json_list(text: str) -> list[Any]:
    """A payload as records: one object, a list of objects, or JSON lines."""
    stripped = text.strip()
    try:
        value = json.loads(stripped)
    except ValueError:
        if "\n" not in stripped:
            raise
        return [json.loads(line) for line in stripped.splitlines() if line.strip()]
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return value
    return [value]
