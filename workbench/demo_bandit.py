"""`make demo-bandit`: a bandit from its first log to its last batch, unattended.

An application asks the endpoint and sends rewards (clients/bandit_simulator); after each batch of steps
bandit_learning joins, trains, judges and swaps. The policy is told nothing that it would not know in use.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config import load
from workbench import environments, provision, stack
from workbench.airflow_api import AirflowApi
from workbench.progress import console, say
from workbench.results import run_client
from workbench.settings import ROOT, Settings, WorkbenchError
from workbench.supervision import clean_environment
from workbench.watch import explain_failure

WARM_START, LEARNING = "bandit_warm_start", "bandit_learning"
RUN_SECONDS = 900.0
LOOK_SECONDS = 0.25
LOG_STEPS = 100
LOG_SHARE = 0.8  # of the log trains, as in the original; of live events 0.85
LAST = 500
HEAD = "batch  reward  so far  oracle majority  chance  learned  verdict"


@dataclass(frozen=True)
class Game:
    """What is played: a world (`table`, `news` or a file), the experiment, batches of steps, delays."""

    world: str
    experiment: str
    batches: int = 15
    steps: int = 500
    delay: str = "geometric:5"
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)


def game(data: Path | None, world: str, seed: int, batches: int) -> Game:
    """What `make demo-bandit` plays: a new experiment each time. Raises WorkbenchError for a missing file."""
    if data is not None and not data.is_file():
        raise WorkbenchError(f"DATA={data}: there is no such file")
    name = re.sub(r"[^a-z0-9]", "", data.stem.lower())[:8] if data else world
    name = name if name[:1].isalpha() else f"t{name}"
    experiment = f"{name}-{datetime.now(UTC):%m%d%H%M}"
    return Game(str(data or world), experiment, batches=batches, seed=seed)


def run(settings: Settings, game: Game) -> int:
    """The whole demo; returns the exit code: 1 when a run failed."""
    started = time.monotonic()
    stack.up(settings)
    airflow = AirflowApi(settings)
    folder = settings.local_dir / "demo" / game.experiment
    try:
        steps, history = play(settings, airflow, game, folder)
    except KeyboardInterrupt:
        say("\nstopped; what has been learned is kept. `make down` stops the stack.")
        return 130
    except RunFailed as failed:
        explain_failure(airflow, failed.dag_id, failed.run_id)
        say(f"\n[red]{failed.dag_id} failed[/red]")
        say(stack.describe_login(settings))
        return 1
    say(f"\nreport page     {report(settings, game, folder, history)}")
    say(stack.describe_login(settings))
    say(f"[dim]make demo-bandit: {time.monotonic() - started:.1f} s[/dim]")
    rewards = [step["reward"] for step in steps]
    mean, last = sum(rewards) / len(rewards), rewards[-LAST:]
    say(f"mean reward {mean:.3f} over {len(rewards):,} steps, last {len(last)} {sum(last) / len(last):.3f}")
    return 0


def play(
    settings: Settings, airflow: AirflowApi, game: Game, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Warm start, then batch after batch; returns every step, and what was learned after each batch."""
    version = provision.upload_code(settings)
    endpoint = load("local").bandit_endpoint(game.experiment)
    run_client(
        settings,
        "clients.bandit_simulator",
        "log",
        world=game.world,
        seed=game.seed,
        steps=LOG_STEPS,
        folder=folder,
    )
    log = f"raw/bandit/{game.experiment}.jsonl"
    provision.client(settings, "s3").upload_file(str(folder / "warm_start.jsonl"), settings.bucket, log)
    conf = {
        "experiment": game.experiment,
        "policy": json.loads((folder / "policy.json").read_text()),
        "data": f"s3://{settings.bucket}/{log}",
        "train_share": LOG_SHARE,
        "seed": game.seed,
        "code_version": version,
    }
    say(f"\nexperiment {game.experiment}: warm start from {LOG_STEPS} steps of chance")
    seconds = complete(airflow, WARM_START, conf)
    say(f"  served after {seconds:.1f} s by {endpoint}\n\n{HEAD}")
    history: list[dict[str, Any]] = []
    rewards: list[float] = []
    with client(settings, game, endpoint, folder) as batches:
        for batch in batches:
            conf = {
                "experiment": game.experiment,
                "minimum_rewards": batch["rewards_sent"],
                "seed": game.seed,
                "code_version": version,
                **game.params,
            }
            started = time.monotonic()
            run_id = airflow.trigger(LEARNING, conf)
            wait(airflow, LEARNING, run_id)
            seconds = time.monotonic() - started
            verdict = airflow.xcom(LEARNING, run_id, "gate", "verdict") or {}
            history.append({**batch, "run_id": run_id, "seconds": seconds, "verdict": verdict})
            rewards.append(batch["reward"])
            say(line(batch, rewards, seconds, verdict))
    steps = [json.loads(text) for text in (folder / "steps.jsonl").read_text().splitlines()]
    return steps, history


@dataclass
class RunFailed(WorkbenchError):
    """A DAG run that did not succeed."""

    dag_id: str
    run_id: str


def complete(airflow: AirflowApi, dag_id: str, conf: Mapping[str, Any]) -> float:
    """Start a run and wait for it; returns how long it took. Raises RunFailed."""
    started = time.monotonic()
    wait(airflow, dag_id, airflow.trigger(dag_id, conf))
    return time.monotonic() - started


def wait(airflow: AirflowApi, dag_id: str, run_id: str) -> None:
    """Until a run has succeeded. Raises RunFailed."""
    deadline = time.monotonic() + RUN_SECONDS
    with console.status(f"{dag_id} {run_id}"):
        while (state := airflow.run(dag_id, run_id)["state"]) != "success":
            if state == "failed":
                raise RunFailed(dag_id, run_id)
            if time.monotonic() > deadline:
                raise WorkbenchError(f"{dag_id} {run_id} has not ended after {RUN_SECONDS:.0f} s; it goes on")
            time.sleep(LOOK_SECONDS)


@contextmanager
def client(settings: Settings, game: Game, endpoint: str, folder: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """The application, a program of its own: it plays the next batch when the last one has been learned."""
    options = {
        "world": game.world,
        "seed": game.seed,
        "steps": game.steps,
        "batches": game.batches,
        "delay": game.delay,
        "endpoint": endpoint,
        "folder": folder,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen(
        [str(environments.require("jobs")), "-m", "clients.bandit_simulator", "play", "--pause", *arguments],
        cwd=ROOT,
        env={**clean_environment(), **settings.aws_environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _batches(process, game.batches)
    finally:
        process.kill()
        process.wait()


def _batches(process: subprocess.Popen[str], number: int) -> Iterator[dict[str, Any]]:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    for batch in range(number):
        if batch:
            process.stdin.write("\n")
            process.stdin.flush()
        text = process.stdout.readline()
        if not text:
            raise WorkbenchError(f"the client ended early:\n{process.stderr.read().strip()[-1500:]}")
        yield dict(json.loads(text))
    process.wait()


def line(batch: Mapping[str, Any], rewards: list[float], seconds: float, verdict: Mapping[str, Any]) -> str:
    """A batch as it is printed."""
    majority = "" if batch["majority"] is None else f"{batch['majority']:.3f}"
    found = verdict.get("finding", "none")
    value = (
        f" {verdict['difference']:+.3f} [{verdict['low']:+.3f}, {verdict['high']:+.3f}]" if verdict else ""
    )
    shown = f"{found}{value}".replace("[", r"\[")
    so_far = sum(rewards) / len(rewards)
    return (
        f"{batch['batch']:>5} {batch['reward']:>7.3f} {so_far:>7.3f} {batch['oracle']:>7.3f} {majority:>8} "
        f"{batch['chance']:>7.3f}  {seconds:>5.1f} s  {shown}"
    )


def report(settings: Settings, game: Game, folder: Path, history: list[dict[str, Any]]) -> str:
    """Draw the report page, put it beside the experiment's other objects; returns a link that opens."""
    (folder / "history.json").write_text(json.dumps(history))
    run_client(settings, "clients.bandit_report", folder=folder, title=f"Experiment {game.experiment}")
    key = f"{load('local').bandit_prefix(game.experiment)}report.html"
    s3 = provision.client(settings, "s3")
    s3.upload_file(str(folder / "report.html"), settings.bucket, key, ExtraArgs={"ContentType": "text/html"})
    arguments = {"Bucket": settings.bucket, "Key": key}
    return str(s3.generate_presigned_url("get_object", Params=arguments, ExpiresIn=7 * 24 * 3600))
