"""The join of bandit_learning on real Athena: what becomes of every kind of reward, and what is read."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from config import load
from local_aws.pytest_plugin import LocalAws
from mlops.bandit import catalog, joins, rewards
from mlops.bandit.experiment import HOUR, Experiment
from mlops.operators.athena import rows

SQL = Path(__file__).resolve().parents[3] / "dags" / "sql" / "bandit"
SETTINGS = load("local")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def event_id(at: datetime, number: int) -> str:
    """A UUID of version 7 at a time."""
    text = f"{int(at.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}"


class World:
    """An experiment's bucket, tables and queries, without its DAGs."""

    def __init__(self, local_aws: Any) -> None:
        self.s3, self.glue, self.athena = (local_aws.client(name) for name in ("s3", "glue", "athena"))
        self.experiment = Experiment(SETTINGS, f"j{uuid.uuid4().hex[:8]}")
        catalog.create_tables(self.glue, self.experiment)
        self.templates = jinja2.Environment(loader=jinja2.FileSystemLoader(SQL), autoescape=False)
        self.joins: list[dict[str, Any]] = []
        self.stragglers: dict[str, list[str]] = {}
        self.scanned: dict[str, int] = {}

    def put(self, folder: str, hour: str, lines: Iterable[dict[str, Any]]) -> None:
        body = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
        key = f"{self.experiment.root}{folder}/dt={hour}/{uuid.uuid4()}.gz"
        self.s3.put_object(Bucket=SETTINGS.bucket, Key=key, Body=body)

    def observe(self, at: datetime, number: int, *, arrived: datetime | None = None, **other: Any) -> str:
        name = other.pop("event_id", None) or event_id(at, number)
        line = {
            "type": "actions",
            "event_id": name,
            "timestamp": at.timestamp(),
            "model_id": "m-1",
            "action": 1 + number % 3,
            "action_prob": 0.5,
            "sample_prob": number % 10 / 10 + 0.05,
            "observation": f"[{number}]",
            "arms": None,
            **other,
        }
        self.put("inference_data", f"{arrived or at:{HOUR}}", [line])
        return str(name)

    def reward(self, name: str | None, value: Any, at: datetime = NOW) -> None:
        line = {"type": "rewards", "event_id": name, "reward": value, "timestamp": at.timestamp()}
        self.put("rewards_data", f"{at:{HOUR}}", [line])

    def join(self, now: datetime = NOW, **changed: Any) -> dict[str, list[str]]:
        """One batch, as the DAG's tasks do it; returns the event ids by outcome."""
        policy = SETTINGS.bandit.model_copy(update=changed)
        join_id = self.experiment.join_id(f"manual__{len(self.joins)}", now)
        last_join = self.joins[-1]["join_job_id"] if self.joins else None
        last = rewards.read(self.s3, self.experiment, last_join) if last_join else None
        last_at = datetime.fromisoformat(last.as_of) if last else None
        rewards.claim(self.s3, self.experiment, join_id, last, now)
        arrivals = joins.arrivals(last_at or NOW - timedelta(days=1), policy, now)
        catalog.add_partitions(self.glue, self.experiment, "rewards", [join_id])
        catalog.add_partitions(self.glue, self.experiment, "observations", arrivals)
        plan = {
            "join_id": join_id,
            "last_join": last_join,
            "as_of": now.timestamp(),
            "arrivals": arrivals,
            "tables": {kind: self.experiment.table(kind) for kind in catalog.TABLES},
            "reward_low": 0.0,
            "reward_high": 1.0,
            "train_share": 0.85,
            "late_seconds": policy.late_hours * 3600,
            "default_reward": policy.default_reward,
        }
        look = joins.read_look(self.query("look.sql", plan=plan))
        defaults = joins.to_default(policy, last_at, now)
        self.stragglers = joins.remembered(self.stragglers, look.stragglers, policy, now)
        hours = joins.partitions(look, self.stragglers, policy, now, defaults)
        catalog.add_partitions(self.glue, self.experiment, "observations", hours)
        scope = {
            "hours": hours,
            "earlier": joins.to_check(self.joins, join_id, hours),
            "defaults": [moment.timestamp() for moment in defaults] if defaults else None,
        }
        self.query("join.sql", plan=plan, scope=scope)
        self.counted = joins.read_counts(self.query("count.sql", plan=plan))
        self.joins.append({"join_job_id": join_id, "current_state": "SUCCEEDED", "hours": hours})
        found: dict[str, list[str]] = {}
        table = self.experiment.table("joined")
        for outcome, name in self.sql(f"SELECT outcome, event_id FROM {table} WHERE join_id = '{join_id}'"):
            found.setdefault(str(outcome), []).append(str(name))
        assert {outcome: len(names) for outcome, names in found.items()} == self.counted.counts
        return {outcome: sorted(names) for outcome, names in found.items()}

    def query(self, name: str, **values: Any) -> list[list[str | None]]:
        known = {
            "batch.plan": values.get("plan"),
            "batch.scope": values.get("scope"),
            "plan": values.get("plan"),
        }
        ti = SimpleNamespace(xcom_pull=lambda task_ids: SimpleNamespace(**(known[task_ids] or {})))
        return self.sql(self.templates.get_template(name).render(ti=ti, plan_task="plan"), name)

    def sql(self, text: str, name: str = "") -> list[list[str | None]]:
        started = self.athena.start_query_execution(
            QueryString=text,
            QueryExecutionContext={"Database": SETTINGS.glue_database},
            ResultConfiguration={"OutputLocation": self.experiment.s3("queries/")},
        )["QueryExecutionId"]
        deadline = time.monotonic() + 120
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            assert time.monotonic() < deadline, "the query does not end"
            time.sleep(0.05)
        assert execution["Status"]["State"] == "SUCCEEDED", f"{execution['Status']}\n{text}"
        self.scanned[name] = execution["Statistics"]["DataScannedInBytes"]
        return [] if name in ("join.sql", "warm_start.sql") else rows(self.athena, started)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS with an environment's bucket and database, whose names other tests may want, too."""
    aws = LocalAws(tmp_path_factory.mktemp("bandit") / "data")
    aws.client("s3").create_bucket(Bucket=SETTINGS.bucket)
    aws.client("glue").create_database(DatabaseInput={"Name": SETTINGS.glue_database})
    yield aws
    aws.stop()


@pytest.fixture
def world(database: Any) -> Iterator[World]:
    made = World(database)
    yield made
    assert len(catalog.delete_tables(made.glue, made.experiment)) == 4


def test_what_becomes_of_each_reward(world: World) -> None:
    at = NOW - timedelta(minutes=10)
    trained, judged, twice, contradicted, *bad = (
        world.observe(at, number) for number in (1, 9, 2, 3, 4, 5, 6)
    )
    world.observe(at, 1)  # Firehose delivers at least once
    impossible = world.observe(at, 7, action_prob=0.0)
    beyond = world.observe(at, 8, action_prob=1.5)
    nobody = event_id(at, 99)
    world.reward(trained, 1)
    world.reward(judged, 0.5)
    world.reward(twice, 1)
    world.reward(twice, 1, NOW + timedelta(seconds=1))
    world.reward(contradicted, 1, NOW)
    world.reward(contradicted, 0, NOW + timedelta(seconds=1))
    for name, value in zip(bad, (7, -0.1, None), strict=True):
        world.reward(name, value)
    world.reward(impossible, 1)
    world.reward(beyond, 1)
    world.reward(nobody, 1)
    world.reward(None, 1)
    found = world.join()
    assert found["train"] == sorted([trained, twice, contradicted])
    assert found["evaluation"] == [judged]
    assert found["duplicate"] == [twice]
    assert found["conflict"] == [contradicted]
    assert found["unmatched"] == [nobody]
    assert len(found["refused"]) == 6
    assert world.counted.reasons == {
        "the reward is outside [0.0, 1.0]": 2,
        "the reward is no number": 1,
        "the action probability is outside (0, 1]": 2,
        "no event id": 1,
    }
    # The first reward of a contradicted event counts: 1 + 1 + 1 + 0.5 of four events.
    assert world.counted.mean_reward == pytest.approx(3.5 / 4)
    assert world.counted.arms == {"1": (2, 1.5), "2": (1, 1.0), "3": (1, 1.0)}


def test_a_joined_event_is_as_it_was_logged(world: World) -> None:
    at = NOW - timedelta(minutes=5)
    name = world.observe(at, 1, observation='{"a": "x, \\"y\\""}', arms='[{"id": 1}]', probabilities="[0.5]")
    world.reward(name, 0.25)
    world.join()
    columns = 'event_id, action, action_prob, model_id, observation, arms, sample_prob, "timestamp", reward, '
    columns += "reward_source, probabilities"
    (row,) = world.sql(f"SELECT {columns} FROM {world.experiment.table('joined')}")
    assert row[:6] == [name, "2", "0.5", "m-1", '{"a": "x, \\"y\\""}', '[{"id": 1}]']
    assert [float(value or 0) for value in row[6:9]] == pytest.approx([0.15, at.timestamp(), 0.25])
    assert row[9:] == ["given", "[0.5]"]


def test_no_reward_counts_twice_however_late_it_comes_again(world: World) -> None:
    names = [world.observe(NOW - timedelta(minutes=9), number) for number in range(4)]
    for name in names[:2]:
        world.reward(name, 1)
    assert world.join()["train"] == sorted(names[:2])
    world.reward(names[0], 1)
    world.reward(names[1], 0)
    world.reward(names[2], 1)
    second = world.join(NOW + timedelta(minutes=1))
    assert second == {"duplicate": [names[0]], "conflict": [names[1]], "train": [names[2]]}
    world.reward(names[0], 1)
    much_later = world.join(NOW + timedelta(hours=30))
    assert much_later == {"duplicate": [names[0]]}


def test_a_reward_before_its_observation_is_kept_and_joined_later(world: World) -> None:
    at = NOW - timedelta(minutes=5)
    name = event_id(at, 1)
    world.reward(name, 1)
    assert world.join() == {"unmatched": [name]}
    assert world.join(NOW + timedelta(minutes=1)) == {"unmatched": [name]}
    world.observe(at, 1, arrived=NOW)
    assert world.join(NOW + timedelta(minutes=2)) == {"train": [name]}
    assert world.join(NOW + timedelta(minutes=3)) == {}


def test_a_reward_that_nothing_was_observed_for_ends_as_unknown(world: World) -> None:
    name = event_id(NOW, 1)
    world.reward(name, 1)
    assert world.join() == {"unmatched": [name]}
    assert world.join(NOW + timedelta(hours=71)) == {"unmatched": [name]}
    assert world.join(NOW + timedelta(hours=73)) == {"unknown": [name]}
    assert world.join(NOW + timedelta(hours=74)) == {}


def test_an_observation_that_arrived_hours_late_is_found_by_a_still_later_reward(world: World) -> None:
    """A worker had spooled it while Firehose throttled: it lies in the partition of another hour."""
    at = NOW - timedelta(hours=5)
    name = world.observe(at, 1, arrived=NOW)
    world.reward(name, 1)
    # The hour of its arrival has not ended: it is looked through once, afterwards.
    assert world.join() == {"unmatched": [name]}
    later = NOW + timedelta(hours=3)
    assert world.join(later) == {"train": [name]}
    assert world.stragglers == {f"{at:{HOUR}}": [f"{NOW:{HOUR}}"]}
    assert world.joins[-1]["hours"] == ["2026-11-21-07", "2026-11-21-08", "2026-11-21-12"]


def test_an_event_id_of_a_client_is_looked_for_in_the_newest_hours(world: World) -> None:
    name = world.observe(NOW - timedelta(hours=3), 1, event_id="order-4711")
    world.reward(name, 1)
    assert world.join(fallback_hours=4) == {"train": ["order-4711"]}
    old = world.observe(NOW - timedelta(hours=9), 2, event_id="order-0001")
    world.reward(old, 1)
    assert world.join(NOW + timedelta(minutes=1), fallback_hours=4) == {"unmatched": ["order-0001"]}


def test_the_default_reward_after_the_horizon_and_the_reward_that_comes_after_it(world: World) -> None:
    old = [world.observe(NOW - timedelta(minutes=20 + number), number) for number in range(2)]
    young = world.observe(NOW - timedelta(minutes=5), 5)
    world.reward(old[0], 1)
    horizon: dict[str, Any] = {"reward_horizon": 600, "default_reward": 0.0}
    assert world.join(**horizon) == {"train": sorted(old)}
    assert world.counted.defaults == 1
    assert world.counted.mean_reward == 0.5
    later = NOW + timedelta(minutes=6)
    world.reward(old[1], 1, later)
    assert world.join(later, **horizon) == {"late": [old[1]], "train": [young]}


def test_only_the_hours_of_the_rewards_are_read(world: World) -> None:
    for hours_ago in range(12):
        at = NOW - timedelta(hours=hours_ago)
        world.put(
            "inference_data",
            f"{at:{HOUR}}",
            [{"event_id": event_id(at, n), "action": 1, "observation": f"[{n * 7919}]"} for n in range(200)],
        )
    name = world.observe(NOW - timedelta(hours=6), 990)
    world.reward(name, 1)
    assert world.join() == {"train": [name]}
    assert world.joins[-1]["hours"] == ["2026-11-21-06", "2026-11-21-07"]
    keys = world.s3.list_objects_v2(
        Bucket=SETTINGS.bucket, Prefix=f"{world.experiment.root}inference_data/dt=2026-11-21-0"
    )["Contents"]
    read = sum(item["Size"] for item in keys if "-06/" in item["Key"] or "-07/" in item["Key"])
    assert read <= world.scanned["join.sql"] <= read + 2_000  # and the rewards themselves


def test_rewards_are_claimed_once_and_again_only_by_the_same_join(world: World) -> None:
    world.reward(event_id(NOW, 1), 1)
    first = rewards.claim(world.s3, world.experiment, "j-1", None, NOW)
    world.reward(event_id(NOW, 2), 1)
    assert rewards.claim(world.s3, world.experiment, "j-1", None, NOW + timedelta(hours=1)) == first
    assert len(first.rewards) == 1
    waiting = rewards.waiting(world.s3, world.experiment, first, NOW)
    assert len(waiting) == 1
    assert not set(waiting) & set(first.rewards)
    second = rewards.claim(world.s3, world.experiment, "j-2", first, NOW + timedelta(minutes=1))
    assert second.rewards == tuple(waiting)
    assert second.claimed == tuple(sorted({*first.rewards, *waiting}))
    # A join that failed is nobody's predecessor: what it had claimed is claimed again.
    third = rewards.claim(world.s3, world.experiment, "j-3", first, NOW + timedelta(minutes=2))
    assert third.rewards == second.rewards


def test_an_object_that_firehose_delivers_a_day_late_is_claimed(world: World) -> None:
    world.reward(event_id(NOW, 1), 1)
    first = rewards.claim(world.s3, world.experiment, "j-1", None, NOW)
    world.reward(event_id(NOW, 2), 1, NOW - timedelta(hours=24))
    (late,) = rewards.waiting(world.s3, world.experiment, first, NOW + timedelta(hours=1))
    assert "dt=2026-11-20-12" in late


@pytest.mark.parametrize("packed", [True, False])
def test_rewards_are_counted_up_to_what_is_enough(world: World, packed: bool) -> None:
    lines = b'{"a": 1}\n' * 300
    keys = [f"{world.experiment.root}rewards_data/dt=2026-11-21-12/{n}" for n in range(3)]
    for key in keys:
        # Two members in one object: Firehose appends archives to each other.
        body = gzip.compress(lines[:900]) + gzip.compress(lines[900:]) if packed else lines
        world.s3.put_object(Bucket=SETTINGS.bucket, Key=key, Body=body)
    assert rewards.count(world.s3, world.experiment, keys, 10_000) == 900
    assert rewards.count(world.s3, world.experiment, keys, 301) == 600
    world.s3.put_object(Bucket=SETTINGS.bucket, Key=keys[0], Body=b'{"a": 1}\n{"a": 2}')
    assert rewards.count(world.s3, world.experiment, keys[:1], 10) == 2


def test_a_log_becomes_events_split_for_ever_alike(world: World) -> None:
    lines = [
        {
            "event_id": f"log-{number}",
            "action": 1 + number % 7,
            "action_prob": 1 / 7,
            "observation": "[1, 2]",
            "reward": number % 2,
            "timestamp": NOW.timestamp(),
        }
        for number in range(400)
    ]
    lines += [
        {**lines[0]},
        {**lines[1], "event_id": "bad", "reward": 3},
        {**lines[1], "event_id": "p", "action_prob": 0},
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    world.s3.put_object(Bucket=SETTINGS.bucket, Key=f"{world.experiment.root}warm_start/log.jsonl", Body=body)
    splits = []
    for join_id in ("w-1", "w-2"):
        plan = {
            "join_id": join_id,
            "tables": {kind: world.experiment.table(kind) for kind in catalog.TABLES},
            "reward_low": 0.0,
            "reward_high": 1.0,
            "train_share": 0.8,
        }
        world.query("warm_start.sql", plan=plan)
        counted = joins.read_counts(world.query("count.sql", plan=plan))
        assert counted.counts["refused"] == 3
        assert counted.counts["train"] + counted.counts["evaluation"] == 400
        assert 290 <= counted.counts["train"] <= 350
        table = world.experiment.table("joined")
        splits.append(
            world.sql(f"SELECT event_id, outcome FROM {table} WHERE join_id = '{join_id}' ORDER BY 1, 2")
        )
    assert splits[0] == splits[1]
