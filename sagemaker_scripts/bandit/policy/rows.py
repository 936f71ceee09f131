"""Joined rows: what was seen, what was played with which probability, and what it earned.

A row that the policy's schema does not allow is refused: counted by reason, the first ones listed, and left
out, so that one bad client does not stop the learning of all the others.
"""

from __future__ import annotations

import gzip
import json
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .config import Config
from .errors import InvalidObservation, NoRows
from .examples import Arm, arm_ids

COLUMNS = ("event_id", "action", "action_prob", "observation", "reward")
OPTIONAL_COLUMNS = ("arms", "timestamp")
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, pa.ArrowException, zlib.error)
LISTED = 100
Encoded = TypeVar("Encoded")
DECODE = json.JSONDecoder().decode
BATCH_ROWS = 5_000
FUTURE_SECONDS = 3600.0  # a clock this far ahead is wrong


class Row(NamedTuple):
    """One checked row. place: of the arm played, among the arms on offer."""

    event_id: str
    observation: Mapping[str, Any] | Sequence[Any]
    arms: list[Arm] | None
    place: int
    probability: float
    reward: float


@dataclass
class Refused:
    """What was left out, and why."""

    counts: Counter[str] = field(default_factory=Counter)
    listed: list[dict[str, str]] = field(default_factory=list)

    def add(self, event_id: str, error: InvalidObservation) -> None:
        self.counts[error.reason] += 1
        if len(self.listed) < LISTED:
            self.listed.append({"event_id": event_id, "reason": error.reason, "detail": str(error)})

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        return ", ".join(f"{count} x {reason}" for reason, count in sorted(self.counts.items()))


def read(
    folder: Path,
    config: Config,
    refused: Refused,
    encode: Callable[[Row], Encoded],
    *,
    now: float | None = None,
    encode_many: Callable[[pa.RecordBatch], pa.Array | None] | None = None,
) -> Iterator[Encoded | pa.Array]:
    """`encode` of every usable row of the files below a folder.

    encode_many: encodes rows of Parquet files at once, with null for each that is to be checked and encoded
    by itself; what it made comes as arrays without null, in between.

    What `encode` or the checks refuse (InvalidObservation) is added to `refused`. An event that comes twice
    counts once; with another reward the second one is refused. Memory: about 150 bytes a row for event ids,
    unless `encode_many` finds each of them once.
    Raises NoRows when there is no file, or one cannot be read; the message names it.
    """
    latest = latest_moment(now)
    fixed = {str(arm): place for place, arm in enumerate(config.arms)} if config.arms else None
    rewards: dict[str, float] = {}

    def one_by_one(raws: Iterable[Mapping[str, Any]]) -> Iterator[Encoded]:
        for raw in raws:
            try:
                row = check(raw, config, fixed, latest)
                known = rewards.get(row.event_id)
                if known is None:
                    encoded = encode(row)
                elif known == row.reward:
                    continue
                else:
                    raise InvalidObservation("conflicting reward", f"{row.reward:g} after {known:g}")
            except InvalidObservation as error:
                refused.add(str(raw.get("event_id")), error)
                continue
            rewards[row.event_id] = row.reward
            yield encoded

    files = _files(folder)
    others = {file: magic for file, magic in files.items() if magic != PARQUET}
    table = _in_time([file for file in files if file not in others])
    once = not others and "event_id" in table.column_names and _all_differ(table["event_id"])
    for batch in table.to_batches(BATCH_ROWS):
        encoded = encode_many(batch) if encode_many else None
        if encoded is None:
            yield from one_by_one(_raw(batch))
            continue
        if not once:
            ids, values = batch["event_id"].to_pylist(), batch["reward"].to_pylist()
            encoded = _unless_known(encoded, ids, rewards)
        for begin, end in _runs(encoded):
            if not encoded[begin].is_valid:
                yield from one_by_one(_raw(batch.slice(begin, end - begin)))
                continue
            if not once:
                rewards.update(zip(ids[begin:end], values[begin:end], strict=True))
            yield encoded.slice(begin, end - begin)
    for file, magic in others.items():
        yield from one_by_one(_lines(file, zipped=magic.startswith(GZIP)))


def latest_moment(now: float | None = None) -> float:
    """Epoch seconds beyond which a clock is wrong."""
    return (time.time() if now is None else now) + FUTURE_SECONDS


def _all_differ(ids: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(ids).as_py() == len(ids))


def _unless_known(encoded: pa.Array, ids: Sequence[str], known: Mapping[str, float]) -> pa.Array:
    """Null also where an event is there twice, or is known from before."""
    if len(set(ids)) == len(ids) and known.keys().isdisjoint(ids):
        return encoded
    often = Counter(ids)
    return pc.if_else(pa.array([often[name] == 1 and name not in known for name in ids]), encoded, None)


def _runs(encoded: pa.Array) -> Iterator[tuple[int, int]]:
    """Begin and end of the stretches that are all null, or have none."""
    valid = encoded.is_valid().to_numpy(zero_copy_only=False)
    ends = [*(np.flatnonzero(valid[1:] != valid[:-1]) + 1).tolist(), len(valid)]
    return zip([0, *ends], ends, strict=False)


def check(
    raw: Mapping[str, Any], config: Config, fixed: Mapping[str, int] | None, latest: float = math.inf
) -> Row:
    """One joined row, checked but for its features. Raises InvalidObservation.

    fixed: arm -> place when the arms are fixed. latest: epoch seconds beyond which a clock is wrong.
    """
    event_id, probability, reward = raw.get("event_id"), raw.get("action_prob"), raw.get("reward")
    if not isinstance(event_id, str) or not event_id:
        raise InvalidObservation("no event id", f"event_id is {event_id!r:.80}")
    if type(probability) is not float:
        probability = _number(raw, "action_prob", "probability")
    if not 0 < probability <= 1:
        raise InvalidObservation("probability", f"action_prob is {probability:g}, not in (0, 1]")
    if type(reward) is not float:
        reward = _number(raw, "reward", "reward")
    low, high = config.reward_range
    if not low <= reward <= high:
        raise InvalidObservation("reward", f"{reward:g} is outside [{low:g}, {high:g}]")
    if raw.get("timestamp") is not None:
        timestamp = _number(raw, "timestamp", "clock skew")
        if timestamp > latest:
            raise InvalidObservation("clock skew", f"observed at {timestamp:.0f}, which is in the future")
    observation, action = _json(raw, "observation"), str(raw.get("action"))
    if fixed is not None:
        arms, place = None, fixed.get(action)
        offered = len(fixed)
    else:
        arms = _json(raw, "arms")
        ids = [str(arm) for arm in arm_ids(config, arms)]
        place, offered = ids.index(action) if action in ids else None, len(ids)
    if place is None:
        raise InvalidObservation("unknown arm", f"{action!r:.80} is not among the {offered} arms")
    return Row(event_id, observation, arms, place, probability, reward)


def _number(raw: Mapping[str, Any], key: str, reason: str) -> float:
    value = raw.get(key)
    try:
        number = float(value)  # type: ignore[arg-type]  # None is a TypeError, answered below
    except (TypeError, ValueError):
        raise InvalidObservation(reason, f"{key} is {value!r:.80}, not a number") from None
    if not math.isfinite(number):
        raise InvalidObservation(reason, f"{key} is {number}")
    return number


def _json(raw: Mapping[str, Any], key: str) -> Any:
    """The log keeps nested values as JSON text, which every SerDe can read as a string."""
    value = raw.get(key)
    if not isinstance(value, str):
        return value
    try:
        return DECODE(value)
    except ValueError:
        raise InvalidObservation("unusable value", f"{key} is not JSON: {value!r:.80}") from None


def _files(folder: Path) -> dict[Path, bytes]:
    """The files below a folder, and the first bytes that tell them apart: UNLOAD adds no suffix."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] not in "._")
    if not files:
        raise NoRows(f"there is no file in {folder}")
    return {file: _first_bytes(file) for file in files}


def _in_time(files: Sequence[Path]) -> pa.Table:
    """Rows of Parquet files in the order of their time.

    A query writes its Parquet files in no order, and what is learned depends on it. So they are sorted, in
    memory: some 300 bytes a row. Logs are in order already.
    """
    if not files:
        return pa.table({})
    table = pa.concat_tables([_naming(file, _table) for file in files], promote_options="permissive")
    if "timestamp" in table.column_names:
        table = table.sort_by([("timestamp", "ascending"), ("event_id", "ascending")])
    return table


def _raw(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    columns = [column.to_pylist() for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(len(PARQUET))


def _table(file: Path) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        names = parquet.schema_arrow.names
        return parquet.read([name for name in (*COLUMNS, *OPTIONAL_COLUMNS) if name in names])


def _naming(file: Path, read_it: Callable[[Path], Encoded]) -> Encoded:
    try:
        return read_it(file)
    except UNREADABLE as error:
        raise NoRows(f"{file} cannot be read: {error}") from None


def _lines(file: Path, *, zipped: bool) -> Iterator[Mapping[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") if zipped else file.open(encoding="utf-8") as lines:
        number = 0
        while line := _naming(file, lambda _file: lines.readline()):
            number += 1
            if line.strip():
                yield _object(line, file, number)


def _object(line: str, file: Path, number: int) -> Mapping[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise NoRows(f"{file}, line {number} is not JSON: {error}") from None
    if not isinstance(content, Mapping):
        raise NoRows(f"{file}, line {number} is not an object")
    return content
