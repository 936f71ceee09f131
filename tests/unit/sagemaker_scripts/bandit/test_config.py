from __future__ import annotations

from typing import Any

import pytest
from policy import config
from policy.errors import InvalidConfig
from vowpalwabbit import Workspace

from .conftest import CONTENT


def parse(**changes: Any) -> config.Config:
    return config.parse({**CONTENT, **changes})


def test_defaults_are_filled_in() -> None:
    parsed = parse()
    assert parsed.bins == 31
    assert parsed.content["learning"] == {"bits": 18, "learning_rate": 0.5, "passes": 1}
    assert parsed.arms == (1, 2, 3)
    assert parsed.vw_arguments() == [
        "--cb_explore_adf", "--squarecb", "--gamma_scale", "100", "--gamma_exponent", "0.5",
        "--cb_type", "mtr", "--bit_precision", "18", "--learning_rate", "0.5", "--interactions", "sa",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "cb_type"),
    [(name, cb_type) for name, kind in config.EXPLORATIONS.items() for cb_type in kind.cb_types],
)
def test_every_exploration_learns(kind: str, cb_type: str) -> None:
    parsed = parse(exploration={"kind": kind}, cb_type=cb_type)
    vw = Workspace(arg_list=[*parsed.vw_arguments(), "--quiet"])
    for _ in range(60):
        vw.learn(["shared |s x=1", "|a arm=1", "0:1:0.4 |a arm=2", "|a arm=3"])
        vw.learn(["shared |s x=1", "|a arm=1", "|a arm=2", "0:0:0.3 |a arm=3"])
    chances = vw.predict(["shared |s x=1", "|a arm=1", "|a arm=2", "|a arm=3"])
    vw.finish()
    assert sum(chances) == pytest.approx(1, abs=1e-5)
    assert chances[1] == min(chances)


@pytest.mark.parametrize(
    ("kind", "cb_type"),
    [(name, c) for name, kind in config.EXPLORATIONS.items() for c in config.ANY if c not in kind.cb_types],
)
def test_refused_combinations_are_those_that_vw_refuses(kind: str, cb_type: str) -> None:
    with pytest.raises(InvalidConfig, match=f"cb_type is '{cb_type}'; {kind} works with"):
        parse(exploration={"kind": kind}, cb_type=cb_type)
    words = parse(exploration={"kind": kind}).vw_arguments()
    words[words.index("--cb_type") + 1] = cb_type
    if kind != "regcbopt":  # VW takes it and ignores it
        with pytest.raises(RuntimeError):
            Workspace(arg_list=[*words, "--quiet"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"fixed": [1, 2**63]}}, "arms.fixed: 9223372036854775808 is neither a whole number of 64"),
        ({"version": 2}, "version is 2, expected 1"),
        ({"colour": 1}, "unknown key colour"),
        ({"context": []}, "context has no feature"),
        ({"context": [{"name": "a b"}]}, r"context\[0\].name is 'a b'"),
        ({"context": [{"name": "x"}, {"name": "x"}]}, "context names a feature twice"),
        ({"context": [{"name": "x", "kind": "text"}]}, "kind is 'text'"),
        ({"context": [{"name": "x", "namespace": "arms"}]}, "begin with the same letter"),
        ({"context": [{"name": "x", "namespace": "a"}]}, "namespace a holds context and arms"),
        ({"arms": {"fixed": [1]}}, "not a list of two or more"),
        ({"arms": {"fixed": [1, "1"]}}, "names an arm twice"),
        ({"arms": {"fixed": [1, True]}}, "True is neither"),
        ({"arms": {}}, 'one of "fixed" and "features"'),
        ({"arms": {"features": [{"name": "size"}]}}, "both have a feature size"),
        ({"exploration": {"kind": "thompson"}}, "exploration.kind is 'thompson'"),
        ({"exploration": {"kind": "egreedy", "epsilon": 2}}, "epsilon is 2, not a number from 0 to 1"),
        ({"exploration": {"kind": "egreedy", "gamma_scale": 2}}, "unknown key gamma_scale"),
        ({"interactions": ["sx"]}, "'sx' names no namespace; their letters are as"),
        ({"minimum_probability": 0.5}, "minimum_probability is 0.5, not a number from 0 to 0.333333"),
        ({"reward": {"low": 1, "high": 1}}, "reward.low is not below reward.high"),
        ({"encoding": {"bins": 1}}, "encoding.bins is 1"),
        ({"learning": {"rate": 1}}, "learning has an unknown key rate"),
    ],
)
def test_errors_name_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        parse(**changes)


def test_cost_of_a_reward_in_any_range() -> None:
    parsed = parse(reward={"low": -5, "high": 15})
    assert [parsed.cost(reward) for reward in (-5, 5, 15)] == [1.0, 0.5, 0.0]
