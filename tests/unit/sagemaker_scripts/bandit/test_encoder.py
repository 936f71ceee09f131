from __future__ import annotations

import json

import numpy as np
import pytest
from policy import config
from policy.encoder import Encoder, escape
from policy.errors import InvalidObservation, UnusableModel

CONFIG = config.parse(
    {
        "version": 1,
        "context": [
            {"name": "age"},
            {"name": "income", "optional": True},
            {"name": "country", "kind": "category", "namespace": "u"},
        ],
        "arms": {"features": [{"name": "topic", "kind": "category"}, {"name": "price"}]},
        "encoding": {"bins": 4},
        "interactions": ["sa", "ua"],
    }
)
CONTEXTS = [[age, None if age % 2 else age * 100.0, "NL"] for age in range(1, 101)]
ARMS = [{"topic": "sport", "price": price} for price in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.fit(CONFIG, CONTEXTS, ARMS)


def test_edges_are_quantiles_of_what_was_seen(encoder: Encoder) -> None:
    assert encoder.state["age"]["edges"] == [25.75, 50.5, 75.25]
    assert encoder.state["income"]["edges"] == [2650.0, 5100.0, 7550.0]
    assert encoder.state["price"]["edges"] == [1.75, 2.5, 3.25]


def test_a_context_becomes_tokens_by_namespace(encoder: Encoder) -> None:
    assert encoder.context([26, 9000, "NL"]) == " |s age=1 income=3 |u country=NL"
    assert encoder.context({"country": "NL", "age": 25.75}) == " |s age=1 income_missing |u country=NL"
    assert encoder.arm({"topic": "a:b |c", "price": 0}) == " |a topic=a%3Ab%20%7Cc price=0"


def test_bins_are_those_of_numpy(encoder: Encoder) -> None:
    edges = np.array(encoder.state["age"]["edges"])
    for age in [*np.linspace(-10, 120, 200).tolist(), *edges.tolist()]:
        expected = np.searchsorted(edges, age, side="right")
        assert encoder.context([age, 1, "NL"]).split()[1] == f"age={expected}"


def test_a_stored_encoder_gives_the_same_tokens(encoder: Encoder) -> None:
    again = Encoder.from_json(CONFIG, json.loads(json.dumps(encoder.to_json())))
    assert again.fitted
    for context in CONTEXTS:
        assert again.context(context) == encoder.context(context)


def test_equal_values_make_one_bin() -> None:
    constant = Encoder.fit(CONFIG, [[7, 1.0, "NL"]] * 10, ARMS)
    assert constant.state["age"]["edges"] == [7.0]
    assert [constant.context([age, 1, "NL"]).split()[1] for age in (6, 7, 8)] == ["age=0", "age=1", "age=1"]


def test_standardised_numbers() -> None:
    standard = config.parse({**CONFIG.content, "encoding": {"numbers": "standard"}})
    encoder = Encoder.fit(standard, [[1, 5, "NL"], [3, 5, "NL"]], ARMS)
    # The second one never varied: it is left where it is instead of being divided by 0.
    assert encoder.context([5, 6, "NL"]) == " |s age:3 income:1 |u country=NL"


def test_different_categories_stay_different() -> None:
    texts = ["a b", "a%20b", "a:b", "a|b", "á", "a\nb", "a+b"]
    escaped = [escape(text) for text in texts]
    assert len(set(escaped)) == len(texts)
    assert not any(set(text) & set(" :|\n") for text in escaped)


@pytest.mark.parametrize(
    ("observation", "reason", "detail"),
    [
        ([1, 2], "wrong feature count", "2 features, the policy has 3"),
        ([1, 2, "NL", 4], "wrong feature count", "4 features"),
        ({"age": 1, "country": "NL", "shoe": 3}, "wrong feature count", "unknown feature shoe"),
        ({"country": "NL"}, "missing feature", "age has no value"),
        ([None, 2, "NL"], "missing feature", "age has no value"),
        ([float("nan"), 2, "NL"], "unusable value", r"age is not a number \(NaN\)"),
        ([float("inf"), 2, "NL"], "unusable value", "age is infinite"),
        ([10**400, 2, "NL"], "unusable value", "age is infinite"),
        (["old", 2, "NL"], "unusable value", "age is 'old', not a number"),
        ([True, 2, "NL"], "unusable value", "age is True, not a number"),
        ([1, 2, ""], "unusable value", "country has 0 characters"),
        ([1, 2, "x" * 257], "unusable value", "country has 257 characters"),
        ([1, 2, ["NL"]], "unusable value", "not a category"),
        ("1,2,NL", "unusable value", "not str"),
    ],
)
def test_what_the_schema_does_not_allow(
    encoder: Encoder, observation: object, reason: str, detail: str
) -> None:
    with pytest.raises(InvalidObservation, match=detail) as caught:
        encoder.context(observation)  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_an_encoder_of_other_features_is_refused(encoder: Encoder) -> None:
    content = encoder.to_json()
    del content["features"]["price"]
    with pytest.raises(UnusableModel, match="does not describe the features"):
        Encoder.from_json(CONFIG, content)
    with pytest.raises(UnusableModel, match="not of version 1"):
        Encoder.from_json(CONFIG, {**encoder.to_json(), "version": 2})
