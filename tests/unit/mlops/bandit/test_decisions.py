"""Names, what a join reads, the gate's verdict, what workers say: pure functions of the bandits."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from config import load
from mlops.bandit import hosting, joins, metrics
from mlops.bandit.experiment import BadExperiment, Experiment, check_policy, hours, reward_range
from mlops.bandit.form import EXAMPLE_POLICY
from mlops.bandit.gate import decide
from mlops.evaluation import EvaluationUnusable

SETTINGS = load("local")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
RUN_ID = "manual__2026-11-21T09:15:00.123456+00:00"


@pytest.mark.parametrize("name", ["", "1a", "A", "a_b", "a--b", "a-", "a" * 21, "a b", "é"])
def test_what_is_no_experiment_id(name: str) -> None:
    with pytest.raises(BadExperiment, match="20 characters at most"):
        Experiment(SETTINGS, name)


def test_names_of_an_experiment() -> None:
    experiment = Experiment(SETTINGS, "news-2")
    assert experiment.endpoint == "mlops-local-bandit-news-2"
    assert experiment.streams["rewards_data"] == "mlops-local-bandit-news-2-rewards"
    assert experiment.table("joined") == "bandit_news_2_joined"
    assert experiment.model_id(RUN_ID) == "news-2-model-manual-11210915-he5gynos"
    assert experiment.release(experiment.model_id(RUN_ID)) == "mlops-local-bandit-news-2-he5gynos"
    assert experiment.join_id(RUN_ID, NOW) == "2026-11-21-12-30-00-he5gynos"


def test_join_ids_are_in_the_order_of_time() -> None:
    experiment = Experiment(SETTINGS, "a")
    ids = [experiment.join_id(f"manual__{n}", NOW + timedelta(seconds=n * 1800)) for n in range(60)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": []}, "context must list the features"),
        ({"arms": {"fixed": [1, "1"]}}, "two different arms"),
        ({"arms": [1, 2]}, "policy.arms must be"),
        ({"reward": {"low": 1, "high": 1}}, "low 1 must be below high 1"),
        ({"reward": [0, 1]}, "must be {low, high}"),
    ],
)
def test_a_policy_that_no_job_could_use(change: dict[str, Any], message: str) -> None:
    check_policy(EXAMPLE_POLICY)
    with pytest.raises(BadExperiment, match=message):
        check_policy({**EXAMPLE_POLICY, **change})


def test_what_a_policy_lacks_is_named() -> None:
    with pytest.raises(BadExperiment, match="has no context, arms"):
        check_policy({"version": 1})
    with pytest.raises(BadExperiment, match="must be a JSON object, got str"):
        check_policy("squarecb")
    assert reward_range({"version": 1}) == (0.0, 1.0)


def test_hours_go_over_midnight() -> None:
    begin = datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
    assert hours(begin, begin + timedelta(hours=2)) == ["2026-12-31-22", "2026-12-31-23", "2027-01-01-00"]


def look(*found: str, timeless: int = 0, **stragglers: list[str]) -> joins.Look:
    return joins.Look(frozenset(found), timeless, stragglers)


def test_an_hour_is_read_with_the_next_one() -> None:
    read = joins.partitions(look("2026-11-21-08"), {}, SETTINGS.bandit, NOW, None)
    assert read == ["2026-11-21-08", "2026-11-21-09"]


def test_no_hour_of_the_future_is_read() -> None:
    read = joins.partitions(look("2026-11-21-12", "2027-01-01-00"), {}, SETTINGS.bandit, NOW, None)
    assert read == ["2026-11-21-12"]


def test_stragglers_are_read_where_they_arrived() -> None:
    known = {"2026-11-20-08": ["2026-11-20-15"], "2026-11-20-09": ["2026-11-20-16"]}
    read = joins.partitions(look("2026-11-20-08"), known, SETTINGS.bandit, NOW, None)
    assert read == ["2026-11-20-08", "2026-11-20-09", "2026-11-20-15"]


def test_each_hour_is_looked_through_once_when_it_has_ended() -> None:
    policy = SETTINGS.bandit.model_copy(update={"late_hours": 3})
    assert joins.arrivals(NOW - timedelta(minutes=20), policy, NOW) == []
    assert joins.arrivals(NOW - timedelta(minutes=40), policy, NOW) == ["2026-11-21-11"]
    long_ago = ["2026-11-21-09", "2026-11-21-10", "2026-11-21-11"]
    assert joins.arrivals(NOW - timedelta(days=9), policy, NOW) == long_ago


def test_rewards_without_a_time_are_looked_for_in_the_newest_hours() -> None:
    policy = SETTINGS.bandit.model_copy(update={"fallback_hours": 2})
    read = joins.partitions(look(timeless=3), {}, policy, NOW, None)
    assert read == ["2026-11-21-10", "2026-11-21-11", "2026-11-21-12"]


def test_the_span_of_default_rewards() -> None:
    assert joins.to_default(SETTINGS.bandit, None, NOW) is None
    policy = SETTINGS.bandit.model_copy(update={"reward_horizon": 1800})
    begin, end = joins.to_default(policy, NOW - timedelta(minutes=10), NOW) or (NOW, NOW)
    assert end == NOW - timedelta(minutes=30)
    assert begin == NOW - timedelta(minutes=10 + 30 + 60)


def test_stragglers_are_remembered_as_long_as_rewards_may_come() -> None:
    policy = SETTINGS.bandit.model_copy(update={"late_hours": 2, "reward_horizon": 0})
    known = {"2026-11-21-07": ["2026-11-21-11"], "2026-11-21-09": ["2026-11-21-11"]}
    found = {"2026-11-21-09": ["2026-11-21-12"]}
    assert joins.remembered(known, found, policy, NOW) == {
        "2026-11-21-09": ["2026-11-21-11", "2026-11-21-12"]
    }


def test_the_joins_that_may_have_used_the_same_events() -> None:
    def join(name: str, state: str, *read: str) -> dict[str, Any]:
        return {"join_job_id": name, "current_state": state, "hours": list(read)}

    earlier = [
        join("j-4", "RUNNING", "h1"),
        join("j-3", "SUCCEEDED", "h1", "h2"),
        join("j-2", "SUCCEEDED", "h3"),
        join("j-1", "FAILED", "h1"),
        {"join_job_id": "warm", "current_state": "SUCCEEDED"},
    ]
    assert joins.to_check(earlier, "j-4", ["h1"]) == ["j-3"]
    assert joins.to_check(earlier, "j-3", ["h1"]) == []


def test_counts_of_a_batch() -> None:
    counted = joins.read_counts(
        [
            ["train", "", "given", "1", "3", "2.0"],
            ["train", "", "default", "1", "1", "0.0"],
            ["evaluation", "", "given", "2", "2", "1.0"],
            ["duplicate", "", "given", "", "4", "4.0"],
            ["refused", "the reward is no number", "given", "", "1", None],
        ]
    )
    assert counted.as_dict() == {
        "counts": {
            "train": 4,
            "evaluation": 2,
            "unmatched": 0,
            "unknown": 0,
            "late": 0,
            "duplicate": 4,
            "conflict": 0,
            "refused": 1,
        },
        "reasons": {"the reward is no number": 1},
        "defaults": 1,
        "arms": {"1": {"events": 4, "reward": 2.0}, "2": {"events": 2, "reward": 1.0}},
        "mean_reward": 0.5,
    }
    assert str(counted) == (
        "rewards: 4 train, 2 evaluation, 4 duplicate, 1 refused (1 with the default reward)"
        "\n  refused: the reward is no number: 1"
    )
    assert metrics.of_batch(counted) == {
        "RewardsTrain": 4,
        "RewardsEvaluation": 2,
        "RewardsDuplicate": 4,
        "RewardsRefused": 1,
        "MeanReward": 0.5,
        "ArmShare|1": pytest.approx(4 / 6),
        "ArmShare|2": pytest.approx(2 / 6),
    }


def test_an_empty_batch_has_no_mean() -> None:
    assert joins.read_counts([]).mean_reward is None
    assert str(joins.read_counts([])) == "rewards: none"


def evaluation(low: float, high: float, *, rows: int = 500, first: bool = False) -> dict[str, Any]:
    difference = {"dr": {"value": (low + high) / 2, "standard_error": 0.01, "low": low, "high": high}}
    other = {"dr": {"value": 9.0, "standard_error": 1.0, "low": 9.0, "high": 9.0}}
    paired = {"champion": None, "logged": difference} if first else {"champion": difference, "logged": other}
    return {"version": 1, "rows": rows, "confidence": 0.95, "paired": paired}


@pytest.mark.parametrize(
    ("low", "high", "rows", "first", "finding", "approved"),
    [
        (0.01, 0.05, 500, False, "approved", True),
        (-0.02, 0.05, 500, False, "approved", True),  # not worse beyond the margin
        (-0.03, 0.30, 500, False, "undecided", False),
        (-0.30, -0.03, 500, False, "worse", False),
        (0.01, 0.05, 199, False, "undecided", False),
        (-0.30, 0.30, 500, True, "undecided", True),  # nothing better is there
        (0.01, 0.05, 12, True, "undecided", True),
        (-0.30, -0.03, 500, True, "worse", False),
    ],
)
def test_the_gate(low: float, high: float, rows: int, first: bool, finding: str, approved: bool) -> None:
    verdict = decide(evaluation(low, high, rows=rows, first=first), margin=0.02, minimum_rows=200)
    assert (verdict.finding, verdict.approved) == (finding, approved)
    assert verdict.against == ("logged policy" if first else "champion")
    assert (verdict.low, verdict.high, verdict.rows) == (low, high, rows)
    json.dumps(verdict.as_dict())


def test_a_verdict_says_why() -> None:
    text = str(decide(evaluation(-0.3, -0.1), margin=0.02, minimum_rows=200))
    assert text == (
        "challenger refused, the champion stays (against the champion): "
        "worse by more than the margin of 0.02: -0.2000, 95% interval [-0.3000, -0.1000], 500 events"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": None}, "evaluation has no 'rows'"),
        ({"rows": float("nan")}, "rows is nan"),
        ({"paired": {"champion": {"ips": {}}}}, "paired.champion has no 'dr'"),
        ({"paired": {"champion": {"dr": {"value": 0, "low": "0", "high": 1}}}}, "low is '0', not a finite"),
        ({"paired": {"logged": None}}, "paired has no 'logged'"),
    ],
)
def test_an_evaluation_that_cannot_be_used(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationUnusable, match=message):
        decide({**evaluation(0, 1), **change}, margin=0.02, minimum_rows=200)


class FakeEndpoint:
    """Runtime and DynamoDB of an endpoint whose workers change from look to look."""

    def __init__(self, *looks: list[dict[str, Any]], written: list[dict[str, Any]] | None = None) -> None:
        self.looks = list(looks)
        self.items = [{k: {"S": str(v)} for k, v in item.items()} for item in written or []]

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        assert json.loads(request["Body"]) == {"request_type": "model_id"}
        workers = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {
            "Body": io.BytesIO(json.dumps({"model_id": workers[0]["model_id"], "workers": workers}).encode())
        }

    def get_paginator(self, operation: str) -> Any:
        assert operation == "query"
        return SimpleNamespace(paginate=lambda **_: [{"Items": self.items}])


def worker(name: str, model_id: str, status: str = "serving", **other: Any) -> dict[str, Any]:
    return {"worker": name, "model_id": model_id, "status": status, **other}


def verify(fake: FakeEndpoint, seconds: float = 5) -> int:
    moments = iter(range(1000, 2000))
    return hosting.verify(
        fake,
        fake,
        Experiment(SETTINGS, "a"),
        "m-2",
        seconds=seconds,
        clock=lambda: float(next(moments)),
        sleep=lambda _: None,
    )


def test_every_worker_must_serve_the_model() -> None:
    old, mixed = [worker("1", "m-1"), worker("2", "m-1")], [worker("1", "m-2"), worker("2", "m-1")]
    assert verify(FakeEndpoint(old, mixed, [worker("1", "m-2"), worker("2", "m-2")])) == 2
    with pytest.raises(
        hosting.SwapFailed, match=r"not every worker of mlops-local-bandit-a serves m-2.*m-1, m-2"
    ):
        verify(FakeEndpoint(mixed))


def test_workers_of_other_instances_count_and_dead_ones_do_not() -> None:
    def written(name: str, model_id: str, seen_at: int) -> dict[str, Any]:
        return {"worker_id": name, "model_id": model_id, "status": "serving", "seen_at": seen_at}

    here = [worker("1", "m-2")]
    assert (
        verify(FakeEndpoint(here, written=[written("i-2:1", "m-2", 1000), written("i-3:1", "m-1", 900)])) == 2
    )
    with pytest.raises(hosting.SwapFailed, match="not every worker"):
        verify(FakeEndpoint(here, written=[written("i-2:1", "m-1", 1000)]))


def test_a_worker_that_went_back_ends_the_swap_at_once() -> None:
    gone_back = worker("2", "m-1", "rolled_back", target_model_id="m-2", reason="probe 3 differs by 0.2")
    with pytest.raises(hosting.SwapFailed, match=r"worker 2 went back to m-1: probe 3 differs by 0.2"):
        verify(FakeEndpoint([worker("1", "m-2"), gone_back]))
    # An older failure of another model is no failure of this one.
    assert verify(FakeEndpoint([{**gone_back, "model_id": "m-2", "target_model_id": "m-0"}])) == 1
