"""Joined rows as columns: many of them encoded at once, where one by one they would cost as much as learning.

Only what is plain is encoded here: fixed arms, and observations that are lists of numbers, lists of
categories, or objects. Whatever else a row is, its text is null, and `rows.check` and `Examples.text` encode
or refuse it. Both ways write the same bytes; a test compares them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from .config import Feature
from .encoder import MISSING, bins_of, token
from .errors import InvalidObservation
from .examples import Examples

TYPES = {
    "event_id": pa.string(),
    "action": pa.string(),
    "action_prob": pa.float64(),
    "observation": pa.string(),
    "reward": pa.float64(),
}
MOMENT = (pa.types.is_null, pa.types.is_integer, pa.types.is_floating)
ARROW = {"number": pa.float64(), "category": pa.string()}
EXACT = 2.0**53  # whole numbers beyond it would be rounded here
FEWEST = 32  # rows that are worth a parser of their own

Write = Callable[[Any], str | None]


class Columns:
    """Encodes the rows of a Parquet file's batches for one policy."""

    def __init__(self, examples: Examples, latest: float = math.inf) -> None:
        """latest: epoch seconds beyond which a clock is wrong."""
        self._examples = examples
        self._config = examples.config
        self._latest = latest
        self._arms = pa.array([str(arm) for arm in self._config.arms or ()], pa.string())
        before, rest = zip(*examples.around, strict=True) if examples.around else ((), ())
        self._before, self._rest = pa.array(before, pa.string()), pa.array(rest, pa.string())

    def texts(self, batch: pa.RecordBatch) -> pa.Array | None:
        """What `Examples.text` writes for each row, null for a row that is to be looked at by itself.

        None when that goes for all of them.
        """
        types = {field.name: field.type for field in batch.schema}
        moment = types.get("timestamp", pa.null())
        plain = all(types.get(name) == kind for name, kind in TYPES.items())
        if not (plain and self._config.arms and any(is_kind(moment) for is_kind in MOMENT)):
            return None
        place = pc.index_in(batch["action"], value_set=self._arms)
        probability = pc.if_else(self._usable(batch), batch["action_prob"], None)
        label = pc.binary_join_element_wise(
            each(batch["reward"], lambda reward: f"0:{self._config.cost(reward):.6g}:"),
            each(probability, "{:.6g} ".format),
            "",
        )
        return pc.binary_join_element_wise(
            "shared",
            self._contexts(batch["observation"]),
            "\n",
            self._before.take(place),
            label,
            self._rest.take(place),
            "\n",
            "",
        )

    def _usable(self, batch: pa.RecordBatch) -> pa.Array:
        """Whether `rows.check` would take a row, but for its arm and its observation."""
        probability, reward = batch["action_prob"], batch["reward"]
        low, high = self._config.reward_range
        checks = [
            pc.greater(pc.binary_length(batch["event_id"]), 0),
            pc.greater(probability, 0.0),
            pc.less_equal(probability, 1.0),
            pc.greater_equal(reward, low),
            pc.less_equal(reward, high),
        ]
        if "timestamp" in batch.schema.names:
            moment = batch["timestamp"].cast(pa.float64())
            checks.append(pc.or_kleene(pc.is_null(moment), pc.less_equal(moment, self._latest)))
        return functools.reduce(pc.and_, checks)

    def _contexts(self, observations: pa.Array) -> pa.Array:
        """What `Encoder.context` writes, null where it is to be asked."""
        features = self._config.context
        columns = _parsed(observations, features)
        if columns is not None:
            tokens = [
                _tokens(column, feature, self._examples.encoder.state.get(feature.name))
                for column, feature in zip(columns, features, strict=True)
            ]
            parts = []
            for namespace, members in self._examples.encoder.namespaces:
                words = [tokens[place] for place in members]
                parts += [f" |{namespace} ", pc.binary_join_element_wise(*words, " ")]
            return pc.binary_join_element_wise(*parts, "")
        if len(observations) < FEWEST:
            return pa.nulls(len(observations), pa.string())
        # One that cannot be read spoils all it is read with: look for it.
        half = len(observations) // 2
        return pa.concat_arrays(
            [self._contexts(observations.slice(0, half)), self._contexts(observations.slice(half))]
        )


def each(column: pa.Array, write: Write) -> pa.Array:
    """`write` of every value, asked once for each different one; null stays null."""
    known = column.dictionary_encode()
    written = [None if value is None else write(value) for value in known.dictionary.to_pylist()]
    return pa.array(written, pa.string()).take(known.indices)


def data(texts: pa.Array) -> memoryview:
    """The bytes of all texts, one after the other, without a copy. There must be no null."""
    _, offsets, content = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[[texts.offset, texts.offset + len(texts)]]
    return memoryview(content or b"")[ends[0] : ends[1]]


def _parsed(observations: pa.Array, features: Sequence[Feature]) -> list[pa.Array] | None:
    """A column for each feature, null where an observation has none; None when they are not all plain."""
    kinds = {feature.kind for feature in features}
    first = next((text.as_py() for text in observations if text.is_valid), "")
    as_list = first.lstrip().startswith("[")
    if as_list and len(kinds) > 1:
        return None
    if as_list:
        kind = pa.list_(ARROW[features[0].kind])
    else:
        kind = pa.struct([(feature.name, ARROW[feature.kind]) for feature in features])
    # An object a line. A text can close it and open others, but never leave one out: their number shows it.
    lines = pc.binary_join_element_wise('{"o":', observations.fill_null("null"), "}\n", "")
    try:
        parsed = pa.json.read_json(
            pa.BufferReader(data(lines)),
            read_options=pa.json.ReadOptions(use_threads=False, block_size=max(lines.nbytes, 1)),
            parse_options=pa.json.ParseOptions(
                explicit_schema=pa.schema([("o", kind)]), unexpected_field_behavior="error"
            ),
        )["o"].combine_chunks()
    except pa.ArrowInvalid:
        return None
    if len(parsed) != len(observations) or parsed.null_count:
        return None
    if not as_list:
        return parsed.flatten()
    if pc.unique(pc.list_value_length(parsed)).to_pylist() != [len(features)]:
        return None
    return [pc.list_element(parsed, place) for place in range(len(features))]


def _tokens(column: pa.Array, feature: Feature, learned: Any) -> pa.Array:
    """The token of each value, null where it is to be looked at by itself."""
    write = token(feature, learned)

    def written(value: Any) -> str | None:
        try:
            return write(value)
        except InvalidObservation:
            return None

    absent = pc.is_null(column)
    if feature.kind == "number":
        column = pc.if_else(pc.less_equal(pc.abs(column), EXACT), column, None)
    if bins := bins_of(feature, learned):
        edges, tokens = bins
        values = column.to_numpy(zero_copy_only=False)
        places = pa.array(np.searchsorted(edges, values, side="right"), mask=np.isnan(values))
        texts = pa.array(tokens, pa.string()).take(places)
    else:
        texts = each(column, written)
    return pc.if_else(absent, f"{feature.name}_{MISSING}" if feature.optional else None, texts)
