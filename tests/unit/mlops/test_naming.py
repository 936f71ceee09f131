"""Names: deterministic, within AWS's limits, and never shared by two runs."""

from __future__ import annotations

import random
import re
import string

import pytest

from mlops import naming

RUN_IDS = [
    "manual__2026-11-21T09:15:00.123456+00:00",
    "manual__2026-11-21T09:15:00.123457+00:00",
    "scheduled__2026-11-21T03:00:00+00:00",
    "backfill__2026-11-21T03:00:00+00:00",
    "asset_triggered__2026-11-21T09:15:00.1+00:00_abcd",
    "object-created-" + "a" * 200,
    "object-created-" + "a" * 199 + "b",
    "A", "a", "???", "Ünïcode", "--", "-a-", "a--b", " ", "日本",
]  # fmt: skip


@pytest.mark.parametrize(
    ("run_id", "key"),
    [
        ("manual__2026-11-21T09:15:00.123456+00:00", "manual-11210915-he5gynos"),
        ("scheduled__2026-11-21T09:15:00+00:00", "sched-11210915-bla3ei7j"),
        ("???", "ua5sehdm"),
    ],
)
def test_run_keys_stay_what_they_were(run_id: str, key: str) -> None:
    # A changed key would orphan the jobs of every run under way during an upgrade.
    assert naming.run_key(run_id) == key


@pytest.mark.parametrize("run_id", RUN_IDS)
def test_run_keys_fit_everywhere(run_id: str) -> None:
    key = naming.run_key(run_id)
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9])*", key)
    assert len(key) <= 24
    assert key == naming.run_key(run_id)
    assert re.fullmatch(r"customers_[a-z0-9_]+", naming.table_name(key))
    assert len(naming.job_name("churn-training", key, "evaluate", 99)) <= 63


def test_run_keys_differ() -> None:
    assert len({naming.run_key(run_id) for run_id in RUN_IDS}) == len(RUN_IDS)
    rng = random.Random(1)
    many = {"".join(rng.choices(string.printable, k=40)) for _ in range(20_000)}
    assert len({naming.run_key(run_id) for run_id in many}) == len(many)


def test_an_empty_run_id_is_refused() -> None:
    with pytest.raises(ValueError, match="run's id"):
        naming.run_key("")


def test_job_names() -> None:
    assert naming.job_name("churn-training", "k1", "train", 2) == "churn-training-k1-train-2"
    with pytest.raises(ValueError, match="63 characters"):
        naming.job_name("churn-training", "k" * 50, "train", 1)
    with pytest.raises(ValueError, match="is not a job name"):
        naming.job_name("churn_training", "k1", "train", 1)
    with pytest.raises(ValueError, match="count from 1"):
        naming.job_name("churn-training", "k1", "train", 0)


def test_a_request_is_recognised_whatever_its_order() -> None:
    assert naming.request_digest({"a": 1, "b": [1, 2]}) == naming.request_digest({"b": [1, 2], "a": 1})
    assert naming.request_digest({"a": 1}) != naming.request_digest({"a": 2})
