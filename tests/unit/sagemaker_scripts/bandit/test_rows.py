from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from policy import config
from policy.encoder import Encoder
from policy.errors import NoRows
from policy.rows import Refused, Row, read

from .conftest import logged_rows, write_rows

NOW = 1_790_000_100.0


def usable(folder: Path, parsed: config.Config) -> tuple[list[Row], Refused]:
    refused = Refused()
    encoder = Encoder(parsed, {})

    def encode(row: Row) -> Row:
        encoder.context(row.observation)
        return row

    return list(read(folder, parsed, refused, encode, now=NOW)), refused


def test_parquet_json_lines_and_gzip_are_told_apart_by_their_bytes(
    tmp_path: Path, simple: config.Config
) -> None:
    rows = logged_rows(30)
    (tmp_path / "outcome=train").mkdir()
    pq.write_table(pa.Table.from_pylist(rows[:10]), tmp_path / "outcome=train" / "part-0")
    write_rows(tmp_path, rows[10:20], "part-1")
    text = "".join(json.dumps(row) + "\n" for row in rows[20:])
    (tmp_path / "part-2").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "_SUCCESS").write_text("")
    found, refused = usable(tmp_path, simple)
    assert [row.event_id for row in found] == [row["event_id"] for row in rows]
    assert [row.place + 1 for row in found] == [int(row["action"]) for row in rows]
    assert [row.reward for row in found] == [row["reward"] for row in rows]
    assert refused.total == 0


def test_parquet_is_read_in_the_order_of_its_time(tmp_path: Path, simple: config.Config) -> None:
    rows = [{**row, "timestamp": NOW - 60 + number // 2} for number, row in enumerate(logged_rows(10))]
    shuffled = [rows[place] for place in (7, 2, 9, 0, 5, 3, 8, 1, 6, 4)]
    pq.write_table(pa.Table.from_pylist(shuffled[:4]), tmp_path / "b")
    pq.write_table(pa.Table.from_pylist(shuffled[4:]), tmp_path / "a")
    found, _ = usable(tmp_path, simple)
    assert [row.event_id for row in found] == [row["event_id"] for row in rows]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"action": "4"}, "unknown arm", "'4' is not among the 3 arms"),
        ({"action": None}, "unknown arm", "'None' is not among"),
        ({"action_prob": 0}, "probability", "action_prob is 0, not in"),
        ({"action_prob": 1.2}, "probability", "action_prob is 1.2, not in"),
        ({"action_prob": None}, "probability", "None, not a number"),
        ({"action_prob": "nan"}, "probability", "action_prob is nan"),
        ({"reward": 1.5}, "reward", r"1.5 is outside \[0, 1\]"),
        ({"reward": -0.1}, "reward", "outside"),
        ({"reward": "high"}, "reward", "'high', not a number"),
        ({"timestamp": NOW + 7200}, "clock skew", "in the future"),
        ({"observation": "[50.0]"}, "wrong feature count", "1 features, the policy has 2"),
        ({"observation": '[NaN, "red"]'}, "unusable value", "NaN"),
        ({"observation": '[null, "red"]'}, "missing feature", "size has no value"),
        ({"observation": "[50.0,"}, "unusable value", "observation is not JSON"),
        ({"event_id": None}, "no event id", "None"),
        ({"event_id": 17}, "no event id", "17"),
    ],
)
def test_one_bad_row_is_counted_listed_and_left_out(
    tmp_path: Path, simple: config.Config, changes: dict[str, Any], reason: str, detail: str
) -> None:
    good = logged_rows(3)
    rows = [good[0], {**good[1], **changes}, good[2]]
    found, refused = usable(write_rows(tmp_path, rows), simple)
    assert [row.event_id for row in found] == ["e0", "e2"]
    assert dict(refused.counts) == {reason: 1}
    [entry] = refused.listed
    assert entry["event_id"] == str(rows[1]["event_id"])
    assert entry["reason"] == reason
    assert re.search(detail, entry["detail"])


def test_an_event_counts_once_and_a_second_reward_is_refused(tmp_path: Path, simple: config.Config) -> None:
    first, second = logged_rows(2)
    other = {**first, "reward": 1 - first["reward"]}
    found, refused = usable(write_rows(tmp_path, [first, second, first, other]), simple)
    assert [(row.event_id, row.reward) for row in found] == [
        ("e0", first["reward"]),
        ("e1", second["reward"]),
    ]
    assert dict(refused.counts) == {"conflicting reward": 1}
    assert refused.listed[0]["detail"].startswith("conflicting reward: ")


def test_arms_that_come_with_the_observation(tmp_path: Path) -> None:
    parsed = config.parse(
        {
            "version": 1,
            "context": [{"name": "colour", "kind": "category"}],
            "arms": {"features": [{"name": "topic", "kind": "category"}]},
        }
    )
    arms = [{"id": "a7", "features": {"topic": "x"}}, {"id": 3, "features": {"topic": "y"}}]
    row = {"event_id": "e", "action_prob": 0.5, "observation": '["red"]', "reward": 1}
    rows = [
        {**row, "event_id": "1", "action": "3", "arms": json.dumps(arms)},
        {**row, "event_id": "2", "action": "a7", "arms": json.dumps(arms)},
        {**row, "event_id": "3", "action": "a8", "arms": json.dumps(arms)},
        {**row, "event_id": "4", "action": "a7", "arms": None},
        {**row, "event_id": "5", "action": "a7", "arms": json.dumps([arms[0], arms[0]])},
    ]
    found, refused = usable(write_rows(tmp_path, rows), parsed)
    assert [(row.event_id, row.place) for row in found] == [("1", 1), ("2", 0)]
    assert dict(refused.counts) == {"unknown arm": 3}


def test_files_that_cannot_be_read(tmp_path: Path, simple: config.Config) -> None:
    with pytest.raises(NoRows, match="there is no file in"):
        usable(tmp_path, simple)
    (tmp_path / "cut").write_bytes(gzip.compress(b"{}\n" * 1000)[:-20])
    with pytest.raises(NoRows, match="cut cannot be read"):
        usable(tmp_path, simple)
    (tmp_path / "cut").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(NoRows, match="cut cannot be read"):
        usable(tmp_path, simple)
    (tmp_path / "cut").write_bytes(b'{"event_id": "\xff"}')
    with pytest.raises(NoRows, match="cut cannot be read"):
        usable(tmp_path, simple)
    (tmp_path / "cut").write_text('{"event_id": "1"}\n{"event_')
    with pytest.raises(NoRows, match="cut, line 2 is not JSON"):
        usable(tmp_path, simple)


def test_only_the_first_refusals_are_listed(tmp_path: Path, simple: config.Config) -> None:
    rows = [{**row, "reward": 7} for row in logged_rows(150)]
    found, refused = usable(write_rows(tmp_path, rows), simple)
    assert not found
    assert (refused.total, len(refused.listed)) == (150, 100)
    assert str(refused) == "150 x reward"
