"""Worlds whose every step can be asked again, and what is known of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.bandit_worlds import (
    GeneratedTable,
    LabelledTable,
    News,
    UnusableTable,
    World,
    best_constant,
    make,
    read_table,
)


@pytest.fixture(params=["table", "news"])
def world(request: pytest.FixtureRequest) -> World:
    return make(request.param, 3)


def test_a_step_is_the_same_whenever_it_is_asked(world: World) -> None:
    def seen(step: int) -> Any:
        found = world.situation(step)
        return found.observation, found.arms, found.expected.tolist(), found.features, found.uniform

    first = [seen(step) for step in (5, -3, 700, 5)]
    assert first[0] == first[3]
    assert first == [seen(step) for step in (5, -3, 700, 5)]
    json.dumps(first)


def test_another_seed_is_another_world(world: World) -> None:
    name = "news" if isinstance(world, News) else "table"
    other = make(name, 4)
    assert [world.situation(n).observation for n in range(5)] != [
        other.situation(n).observation for n in range(5)
    ]


def test_mean_rewards_are_what_is_paid(world: World) -> None:
    paid, expected = [], []
    for step in range(4000):
        now = world.situation(step)
        arm = now.arms[step % len(now.arms)]
        paid.append(now.reward(arm))
        expected.append(now.expected[now.arms.index(arm)])
    assert set(paid) <= {0.0, 1.0}
    deviation = np.sqrt(np.mean(np.array(expected) * (1 - np.array(expected))) / 4000)
    assert abs(np.mean(paid) - np.mean(expected)) <= 4 * deviation + 1e-9


def test_an_arm_that_is_not_there_pays_nothing_but_an_error(world: World) -> None:
    with pytest.raises(ValueError, match="is not in list"):
        world.situation(0).reward("article-999999")


def test_the_generated_table_is_unbalanced_and_learnable() -> None:
    world = GeneratedTable(0)
    majority = best_constant(world, range(2000))
    assert majority == 1
    share = np.mean([world.situation(step).expected[0] for step in range(2000)])
    assert 0.7 < share < 0.85
    assert [arm["name"] for arm in world.policy["context"]] == [f"x{n}" for n in range(1, 10)]
    assert world.policy["arms"] == {"fixed": [1, 2, 3, 4, 5]}


def test_news_turn_so_that_yesterdays_favourite_is_none_today() -> None:
    world = News(0, period=1000, life=100)
    assert best_constant(world, range(10)) is None

    def liked(begin: int) -> str:
        totals: dict[str, list[float]] = {}
        for step in range(begin, begin + 200):
            now = world.situation(step)
            if now.observation["age"] < 30 and now.observation["device"] == "phone":
                for arm, value in zip(now.arms, now.expected, strict=True):
                    totals.setdefault((now.features or {})[arm]["topic"], []).append(value)
        return max(totals, key=lambda topic: float(np.mean(totals[topic])))

    assert len({liked(begin) for begin in (0, 400, 800)}) > 1
    shelf = [set(world.situation(step).arms) for step in (0, 99, 100)]
    assert shelf[0] == shelf[1]
    assert not shelf[1] & shelf[2]


@pytest.mark.parametrize(
    "text", ["1 2 a\n3 4 b\n", "x,y,class\n1,2,a\n3,4,b\n", "1;2;a\n3;4;b", "1\t2\ta\n3\t4\tb\n\n"]
)
def test_tables_of_many_forms(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    world = read_table(tmp_path / "t", 0)
    assert world.policy["arms"] == {"fixed": ["a", "b"]}
    seen = {tuple(world.situation(step).observation) for step in range(50)}
    assert seen == {(1.0, 2.0), (3.0, 4.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 a\n3 b\n", "row 2 has 2 columns, the first has 3"),
        ("1 2 a\n3 x b\n", "row 2: 'x' is not a number"),
        ("1 2 a\n3 nan b\n", "row 2 is not finite"),
        ("1 2 a\n3 4 a\n", "two classes at least; the table has a"),
        ("", "needs rows"),
        ("a\nb\n", "needs rows"),
    ],
)
def test_a_table_that_is_no_world(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t").write_text(text)
    with pytest.raises(UnusableTable, match=message):
        read_table(tmp_path / "t", 0)


def test_rows_of_rare_classes_are_left_out_but_their_arms_stay() -> None:
    labels = ["1"] * 6000 + ["2"] * 3999 + ["3"]
    world = LabelledTable(np.arange(10_000, dtype=float)[:, None], labels, 0)
    assert world.policy["arms"]["fixed"] == [1, 2, 3]
    assert all(world.situation(step).expected[2] == 0 for step in range(500))


def test_shuttle_is_the_world_of_the_reference(shared_data: Path) -> None:
    world = read_table(shared_data / "shuttle.trn", 0)
    assert world.policy["arms"]["fixed"] == [1, 2, 3, 4, 5, 6, 7]
    assert len(world._labels) == 43_483  # of 43,500: classes 6 and 7 are too rare
    assert best_constant(world, range(2000)) == 1
    assert float(np.mean(world._labels == 0)) == pytest.approx(0.784, abs=0.001)
