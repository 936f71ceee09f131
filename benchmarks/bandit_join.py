"""The join of bandit_learning in a long history: 10 million observations over 30 days, rewards of one hour.

    PYTHONPATH=plugins .venv/worker/bin/python -m benchmarks.bandit_join [--events 10000000] [--days 30]

Baseline: the same rewards in an experiment that has that one hour and nothing else. Measured are the three
queries of a batch, as the DAG renders them, by Athena's statistics: time in the engine, and bytes scanned.
Target: both within 2x (the hour after that of the rewards must be read too: observations arrive late). Before
the last round every reward is sent again: none may count twice.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from config import load
from local_aws.pytest_plugin import LocalAws
from mlops.bandit import catalog, joins, rewards
from mlops.bandit.experiment import HOUR, Experiment, hours
from mlops.operators.athena import rows

SQL = Path(__file__).resolve().parent.parent / "dags" / "sql" / "bandit"
SETTINGS = load("local")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
REWARDED = NOW.replace(minute=0) - timedelta(hours=2)  # the hour whose rewards have come
ROUNDS = 3
TARGET = 2.0


@dataclass
class History:
    """An experiment's observations and rewards on a local AWS, and joins of them without Airflow."""

    aws: LocalAws
    experiment: Experiment
    joined: list[dict[str, Any]] = field(default_factory=list)

    def observe(self, begin: datetime, end: datetime, events: int) -> int:
        """Put `events` an hour into every hour between; returns their number."""
        s3, total = self.aws.client("s3"), 0
        catalog.create_tables(self.aws.client("glue"), self.experiment)
        for hour in hours(begin, end):
            at = datetime.strptime(hour, HOUR).replace(tzinfo=UTC)
            lines = "".join(_observation(at, number, events) for number in range(events))
            key = f"{self.experiment.root}inference_data/dt={hour}/part.gz"
            s3.put_object(Bucket=SETTINGS.bucket, Key=key, Body=gzip.compress(lines.encode(), 1))
            total += events
        catalog.add_partitions(self.aws.client("glue"), self.experiment, "observations", hours(begin, end))
        return total

    def reward(self, events: int, name: str) -> None:
        """Put a reward for every event of the hour."""
        lines = "".join(
            json.dumps(
                {"event_id": _event_id(REWARDED, n, events), "reward": n % 2, "timestamp": NOW.timestamp()}
            )
            + "\n"
            for n in range(events)
        )
        key = f"{self.experiment.root}rewards_data/dt={NOW:{HOUR}}/{name}.gz"
        body = gzip.compress(lines.encode(), 1)
        self.aws.client("s3").put_object(Bucket=SETTINGS.bucket, Key=key, Body=body)

    def join(self, now: datetime, last: str | None = None) -> tuple[dict[str, int], float, int]:
        """One batch; returns what became of its rewards, seconds in the engine, and bytes scanned."""
        s3, glue = self.aws.client("s3"), self.aws.client("glue")
        join_id = self.experiment.join_id(f"run-{len(self.joined)}", now)
        before = rewards.read(s3, self.experiment, last) if last else None
        rewards.claim(s3, self.experiment, join_id, before, now)
        arrivals = joins.arrivals(now, SETTINGS.bandit, now)
        catalog.add_partitions(glue, self.experiment, "rewards", [join_id])
        plan = SimpleNamespace(
            join_id=join_id,
            last_join=last,
            as_of=now.timestamp(),
            arrivals=arrivals,
            tables={kind: self.experiment.table(kind) for kind in catalog.TABLES},
            reward_low=0.0,
            reward_high=1.0,
            train_share=0.85,
            late_seconds=72 * 3600,
            default_reward=0.0,
        )
        found, seconds, scanned = self._query("look.sql", plan, None)
        read = joins.partitions(joins.read_look(found), {}, SETTINGS.bandit, now, None)
        earlier = joins.to_check(self.joined, join_id, read) if last else []
        scope = SimpleNamespace(hours=read, earlier=earlier, defaults=None)
        counts: dict[str, int] = {}
        for name in ("join.sql", "count.sql"):
            found, more, bytes_read = self._query(name, plan, scope)
            seconds, scanned = seconds + more, scanned + bytes_read
            counts = dict(joins.read_counts(found).counts) if name == "count.sql" else counts
        self.joined.append({"join_job_id": join_id, "current_state": "SUCCEEDED", "hours": read})
        return counts, seconds, scanned

    def _query(self, name: str, plan: Any, scope: Any) -> tuple[list[list[str | None]], float, int]:
        known = {"batch.plan": plan, "batch.scope": scope}
        template = jinja2.Environment(loader=jinja2.FileSystemLoader(SQL), autoescape=True).get_template(name)
        ti = SimpleNamespace(xcom_pull=lambda task_ids: known[task_ids])
        text = template.render(ti=ti, plan_task="batch.plan")
        athena = self.aws.client("athena")
        query = athena.start_query_execution(
            QueryString=text,
            QueryExecutionContext={"Database": SETTINGS.glue_database},
            ResultConfiguration={"OutputLocation": self.experiment.s3("queries/")},
        )["QueryExecutionId"]
        while True:
            execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.05)
        if execution["Status"]["State"] != "SUCCEEDED":
            raise RuntimeError(f"{name}: {execution['Status']}")
        measured = execution["Statistics"]
        found = [] if name == "join.sql" else rows(athena, query)
        return found, measured["EngineExecutionTimeInMillis"] / 1000, measured["DataScannedInBytes"]


def _event_id(at: datetime, number: int, events: int) -> str:
    text = f"{int(at.timestamp() * 1000) + number * 3_600_000 // events:012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}"


def _observation(at: datetime, number: int, events: int) -> str:
    draw = (number * 2_654_435_761) % 2**32 / 2**32
    return (
        f'{{"type": "actions", "event_id": "{_event_id(at, number, events)}", "timestamp": {at.timestamp()}, '
        f'"model_id": "m-1", "action": {1 + number % 7}, "action_prob": 0.5, "sample_prob": {draw:.9f}, '
        f'"observation": "[{draw:.3f}, {number % 97}, {number % 89}, 0.5, 1.5]", "arms": null, '
        '"probabilities": null}\n'
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args(arguments)
    an_hour = options.events // (24 * options.days)
    with tempfile.TemporaryDirectory() as folder:
        aws = LocalAws(Path(folder) / "data")
        try:
            aws.client("s3").create_bucket(Bucket=SETTINGS.bucket)
            aws.client("glue").create_database(DatabaseInput={"Name": SETTINGS.glue_database})
            return _compare(aws, an_hour, options.days)
        finally:
            aws.stop()


def _compare(aws: LocalAws, an_hour: int, days: int) -> int:
    histories = {name: History(aws, Experiment(SETTINGS, name)) for name in ("alone", "long")}
    started = time.monotonic()
    histories["alone"].observe(REWARDED, REWARDED, an_hour)
    end = NOW.replace(minute=0)
    total = histories["long"].observe(end - timedelta(hours=24 * days - 1), end, an_hour)
    print(f"{total:,} observations in {24 * days} hours, made in {time.monotonic() - started:.0f} s")
    measured: dict[str, list[tuple[float, int]]] = {name: [] for name in histories}
    for history in histories.values():
        history.reward(an_hour, "first")
    for number in range(ROUNDS):
        for name, history in histories.items():
            counts, seconds, bytes_read = history.join(NOW + timedelta(minutes=number))
            if counts.get("train", 0) + counts.get("evaluation", 0) != an_hour:
                print(f"{name}: {counts} instead of {an_hour:,} joined events")
                return 1
            measured[name].append((seconds, bytes_read))
    took = {name: statistics.median(item[0] for item in values) for name, values in measured.items()}
    read = {name: statistics.median(item[1] for item in values) for name, values in measured.items()}
    ratio = took["long"] / took["alone"], read["long"] / read["alone"]
    for name in histories:
        print(f"{name:>6}: {took[name]:.2f} s, {read[name] / 1e6:.2f} MB scanned for {an_hour:,} rewards")
    print(f"ratio: time {ratio[0]:.2f}, bytes {ratio[1]:.2f} (target {TARGET:g})")
    long = histories["long"]
    long.reward(an_hour, "again")
    counts, again, _ = long.join(NOW + timedelta(minutes=ROUNDS), last=long.joined[-1]["join_job_id"])
    print(f"the same rewards again: {counts} in {again:.2f} s")
    passed = max(ratio) <= TARGET and counts == {"duplicate": an_hour}
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
