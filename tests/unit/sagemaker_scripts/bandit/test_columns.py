"""Many rows at once are what the same rows are one by one, byte by byte."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from policy import config, rows, training
from policy.columns import Columns, data
from policy.encoder import Encoder
from policy.examples import Examples

NOW = 1_790_000_000.0
EVENT: dict[str, Any] = {"action": "2", "action_prob": 1 / 3, "reward": 1.0, "timestamp": NOW}
NAMED: list[dict[str, Any]] = [
    {"name": "size"},
    {"name": "colour", "kind": "category", "namespace": "u", "optional": True},
]
# What an observation of three numbers may be, and what it is not.
ODD = [
    "[0.1, -0.0, 1e-300]",
    " [1 ,2,\t3 ] ",
    "[9007199254740993, 1, 2]",
    "[1e308, 1, 2]",
    "[12345678901234567890123, 1, 2]",
    "[NaN, 1, 2]",
    "[Infinity, 1, 2]",
    "[null, 1, 2]",
    "[true, 1, 2]",
    '["1", 1, 2]',
    "[1, 2]",
    "[1, 2, 3, 4]",
    "[]",
    "[01, 2, 3]",
    "[1, 2, 3",
    '[1, 2, 3]}\n{"o":[4, 5, 6]',
    '[1, 2, 3]} {"o":[4, 5, 6]',
    '[1, 2, 3],"o":[4, 5, 6]',
    '{"x0": 1, "x1": 2, "x2": 3}',
    "",
    "null",
    "17",
    None,
]
OTHERWISE: list[dict[str, Any]] = [
    {"action": "9"},
    {"action": None},
    {"action_prob": 0.0},
    {"action_prob": 1.5},
    {"action_prob": float("nan")},
    {"action_prob": None},
    {"reward": 1.01},
    {"reward": None},
    {"timestamp": NOW + 7200},
    {"timestamp": float("nan")},
    {"timestamp": None},
    {"event_id": ""},
    {"event_id": None},
]


def examples(content: list[dict[str, Any]], contexts: list[Any], **more: Any) -> Examples:
    given = {"version": 1, "context": content, "arms": {"fixed": [1, "two words", 2]}}
    parsed = config.parse(given | more)
    return Examples(parsed, Encoder.fit(parsed, contexts, []))


def both_ways(folder: Path, found: Examples, written: list[dict[str, Any]]) -> int:
    """Asserts that both ways write and refuse the same; returns how many rows went together."""
    together = 0

    class Alone(training.Feed):
        def _texts(self, batch: pa.RecordBatch) -> None:
            return None

    class Counted(training.Feed):
        def _texts(self, batch: pa.RecordBatch) -> pa.Array | None:
            nonlocal together
            texts = super()._texts(batch)
            together += 0 if texts is None else len(texts) - texts.null_count
            return texts

    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(written), folder / "rows.parquet")
    feeds = [kind(folder, found, 1, NOW) for kind in (Alone, Counted)]
    texts = [b"".join(map(bytes, feed)) for feed in feeds]
    assert texts[0] == texts[1]
    assert feeds[0].rows == feeds[1].rows == texts[0].count(b"\n\n")
    assert feeds[0].refused == feeds[1].refused
    assert feeds[0].first == feeds[1].first
    return together


def test_plain_rows_go_together(tmp_path: Path) -> None:
    chance = random.Random(0)
    contexts = [[chance.gauss(0, 1), chance.randint(0, 9), 5e6 * chance.random()] for _ in range(500)]
    found = examples([{"name": f"x{place}"} for place in range(3)], contexts)
    written = [
        {
            **EVENT,
            "event_id": f"e{number}",
            "action_prob": chance.random(),
            "observation": json.dumps(context),
        }
        | {"reward": chance.random(), "action": chance.choice(["1", "two words", "2"])}
        for number, context in enumerate(contexts)
    ]
    assert both_ways(tmp_path, found, written) == 500 - training.PROBES


@pytest.mark.parametrize("numbers", ["quantile", "standard"])
def test_every_odd_row_is_what_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: str
) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 300)  # so that events come again in another batch, too
    chance = random.Random(1)
    contexts = [[chance.gauss(0, 1), chance.randint(0, 9), chance.random()] for _ in range(900)]
    features = [{"name": f"x{place}"} for place in range(3)]
    found = examples(features, contexts, encoding={"numbers": numbers, "bins": 7})
    written = [
        {**EVENT, "event_id": f"e{number}", "observation": json.dumps(context), "timestamp": NOW + number}
        for number, context in enumerate(contexts)
    ]
    places = random.Random(2).sample(range(50, 900), len(ODD) + len(OTHERWISE) + 20)
    for observation in ODD:
        written[places.pop()]["observation"] = observation
    for changes in OTHERWISE:
        written[places.pop()] |= changes
    for place in places:  # an event twice: at once or later, with the same reward or another
        written[place] |= {"event_id": f"e{place - chance.choice([1, 40])}", "reward": place % 2 / 1}
    together = both_ways(tmp_path, found, written)
    assert together > 300


@pytest.mark.parametrize("as_object", [True, False])
def test_categories_namespaces_and_what_is_optional(tmp_path: Path, as_object: bool) -> None:
    """A list of numbers and categories is looked at one by one: JSON has no columns for it."""
    colours = ["red", "dark blue", "é|:", "x" * 256, "x" * 257, "", 7, None]
    contexts = [{"size": number % 13, "colour": colours[number % len(colours)]} for number in range(240)]
    usable = [context for number, context in enumerate(contexts) if number % len(colours) not in (4, 5)]
    found = examples(NAMED, usable)
    del contexts[100]["colour"]
    contexts[101]["unknown"] = 1
    del contexts[102]["size"]
    written = [
        {
            **EVENT,
            "event_id": f"e{number}",
            "observation": json.dumps(context if as_object else list(context.values())),
        }
        for number, context in enumerate(contexts)
    ]
    plain = [row for number, row in enumerate(written) if number % len(colours) in (0, 1, 2, 3, 7)]
    assert both_ways(tmp_path / "all", found, written) >= 0
    together = both_ways(tmp_path / "plain", found, plain)
    assert (together > 100) == as_object


def test_rows_of_other_types_and_arms_are_looked_at_one_by_one() -> None:
    found = examples([{"name": "size"}], [[1], [2]])
    row = {**EVENT, "event_id": "e", "observation": "[1]"}
    for changes in ({"action": 2}, {"reward": 1}, {"timestamp": "today"}):
        [batch] = pa.Table.from_pylist([row | changes]).to_batches()
        assert Columns(found).texts(batch) is None
    parsed = config.parse(
        {"version": 1, "context": [{"name": "size"}], "arms": {"features": [{"name": "topic"}]}}
    )
    [batch] = pa.Table.from_pylist([row]).to_batches()
    assert Columns(Examples(parsed, Encoder(parsed, {}))).texts(batch) is None


def test_the_bytes_of_a_slice() -> None:
    texts = pa.array(["ab", "", "cde", "f"])
    assert bytes(data(texts)) == b"abcdef"
    assert bytes(data(texts.slice(1, 2))) == b"cde"
    assert bytes(data(texts.slice(4))) == b""
