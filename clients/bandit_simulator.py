"""An application that lets a deployed bandit decide: with stock boto3 and nothing else.

    python -m clients.bandit_simulator log --world table --steps 100 --folder FOLDER
    python -m clients.bandit_simulator play --world table --endpoint NAME --batches 15 --folder FOLDER

`log` writes what an earlier policy, which chose at random, would have logged (`warm_start.jsonl`), and the
policy configuration of an experiment in this world (`policy.json`). `play` asks the endpoint step after step,
and sends each reward when it is due: a delay is counted in steps. With `--pause` it waits for a line on
standard input after every batch, so that learning can be watched. What happened is in `steps.jsonl`: event,
action, probability, reward, and what the oracle, the best constant arm and chance would have got.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import boto3
import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clients.bandit_worlds import UnusableTable, World, best_constant, make

SENDERS = 4  # threads that report rewards
MAJORITY_STEPS = 2000
JSON = "application/json"
# An endpoint that is being replaced, or whose worker died, answers again within seconds,
# on a busy machine within minutes.
PATIENT = Config(retries={"mode": "standard", "max_attempts": 30}, read_timeout=30, connect_timeout=5)
PATIENCE_SECONDS = 300.0


class BadDelay(ValueError):
    """A delay that cannot be understood; the message says what can be."""


@dataclass(frozen=True)
class Step:
    """One interaction. oracle, majority, chance: mean rewards of these; majority None where arms change."""

    step: int
    event_id: str
    model_id: str
    action: Any
    action_prob: float
    reward: float
    oracle: float
    majority: float | None
    chance: float
    best: Any


@dataclass
class Player:
    """Plays a world through an endpoint. `runtime` is boto3's client of sagemaker-runtime."""

    world: World
    runtime: Any
    endpoint: str
    delay: Callable[[int], int]
    majority: Any = None
    sent: int = 0
    _due: list[tuple[int, str, float]] = field(default_factory=list)

    def play(self, steps: range, last: bool) -> Iterator[Step]:
        """Take the steps; rewards due later than these wait for the next batch, unless this is the `last`."""
        with ThreadPoolExecutor(SENDERS) as senders:
            sending: list[Future[None]] = []
            for step in steps:
                taken = self._take(step)
                heapq.heappush(self._due, (step + self.delay(step), taken.event_id, taken.reward))
                sending += self._send_due(senders, step)
                yield taken
            if last:
                sending += self._send_due(senders, None)
            for done in sending:
                done.result()

    def _take(self, step: int) -> Step:
        now = self.world.situation(step)
        request: dict[str, Any] = {"request_type": "observation", "observation": now.observation}
        if now.features is not None:
            request["arms"] = [{"id": arm, "features": now.features[arm]} for arm in now.arms]
        answer = self._ask(request)
        best = int(np.argmax(now.expected))
        constant = None if self.majority is None else float(now.expected[now.arms.index(self.majority)])
        return Step(
            step=step,
            event_id=answer["event_id"],
            model_id=answer["model_id"],
            action=answer["action"],
            action_prob=answer["action_prob"],
            reward=now.reward(answer["action"]),
            oracle=float(now.expected[best]),
            majority=constant,
            chance=float(now.expected.mean()),
            best=now.arms[best],
        )

    def _send_due(self, senders: ThreadPoolExecutor, step: int | None) -> list[Future[None]]:
        sending = []
        while self._due and (step is None or self._due[0][0] <= step):
            _, event_id, reward = heapq.heappop(self._due)
            sending.append(senders.submit(self._reward, event_id, reward))
            self.sent += 1
        return sending

    def _reward(self, event_id: str, reward: float) -> None:
        self._ask({"request_type": "reward", "event_id": event_id, "reward": reward})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer. What boto3 does not try again is a container that failed: that is done here.

        An observation that is asked again is a new event: the first one, if it was logged, gets no reward.
        """
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.1
        while True:
            try:
                answer = self.runtime.invoke_endpoint(
                    EndpointName=self.endpoint, ContentType=JSON, Accept=JSON, Body=json.dumps(request)
                )
                return dict(json.load(answer["Body"]))
            except ClientError as error:
                if error.response.get("OriginalStatusCode", 0) < 500 or time.monotonic() > deadline:
                    raise
                time.sleep(pause)
                pause = min(2.0, 2 * pause)


def parse_delay(text: str, seed: int) -> Callable[[int], int]:
    """`none`, `fixed:N` or `geometric:MEAN`: the delay of a step's reward, in steps. Raises BadDelay."""
    kind, _, number = text.partition(":")
    try:
        mean = float(number or 0)
    except ValueError:
        mean = -1.0
    if kind == "none" and not number:
        return lambda step: 0  # noqa: ARG005 the interface
    if kind == "fixed" and number and mean >= 0:
        return lambda step: int(mean)  # noqa: ARG005 the interface
    if kind == "geometric" and mean > 0:
        return lambda step: int(np.random.default_rng([seed, 2, step]).geometric(1 / (1 + mean)) - 1)
    raise BadDelay(f"delay {text!r}: give none, fixed:STEPS or geometric:MEAN_STEPS")


def log_of_chance(world: World, steps: int, seed: int) -> Iterator[dict[str, Any]]:
    """Events of a policy that took every arm with the same probability, before step 0 of the world."""
    random = np.random.default_rng([seed, 3])
    for number in range(steps):
        now = world.situation(number - steps)
        arm = now.arms[int(random.integers(len(now.arms)))]
        arms = None if now.features is None else [{"id": a, "features": now.features[a]} for a in now.arms]
        yield {
            "event_id": str(uuid.UUID(bytes=random.bytes(16), version=4)),
            "timestamp": float(number),
            "model_id": "chance",
            "action": arm,
            "action_prob": 1 / len(now.arms),
            "sample_prob": float(random.random()),
            "observation": json.dumps(now.observation),
            "arms": None if arms is None else json.dumps(arms),
            "reward": now.reward(arm),
        }


def summary(steps: list[Step], sent: int) -> dict[str, Any]:
    """What a batch came to, as `play` prints it."""
    mean = {
        name: float(np.mean([getattr(step, name) for step in steps]))
        for name in ("reward", "oracle", "chance")
    }
    constant = [step.majority for step in steps if step.majority is not None]
    models = sorted({step.model_id for step in steps})
    majority = float(np.mean(constant)) if constant else None
    return {"steps": len(steps), **mean, "majority": majority, "rewards_sent": sent, "models": models}


def play(options: argparse.Namespace, commands: TextIO) -> None:
    """All batches; a JSON line on standard output after each."""
    world = make(options.world, options.seed)
    player = Player(
        world,
        boto3.client("sagemaker-runtime", config=PATIENT),
        options.endpoint,
        parse_delay(options.delay, options.seed),
        best_constant(world, range(MAJORITY_STEPS)),
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "steps.jsonl").open("w", buffering=1) as log:  # can be followed line by line
        for batch in range(options.batches):
            before, last = player.sent, batch == options.batches - 1
            steps = []
            for step in player.play(range(batch * options.steps, (batch + 1) * options.steps), last):
                log.write(json.dumps(asdict(step)) + "\n")
                steps.append(step)
            print(json.dumps({"batch": batch + 1, **summary(steps, player.sent - before)}), flush=True)
            if options.pause and not last and not commands.readline():
                return


def log(options: argparse.Namespace) -> None:
    """Write the log of chance and the policy configuration."""
    world = make(options.world, options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(event) + "\n" for event in log_of_chance(world, options.steps, options.seed))
    (options.folder / "warm_start.jsonl").write_text("".join(lines))
    (options.folder / "policy.json").write_text(json.dumps(world.policy, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("log", "an earlier policy's log"), ("play", "ask an endpoint, send rewards")):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--world", default="table", help="table, news, or a file of numbers with a label last"
        )
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--steps", type=int, default=100 if name == "log" else 500, help="of the log, or of a batch"
        )
        command.add_argument("--folder", type=Path, required=True)
    command.add_argument("--endpoint", required=True)
    command.add_argument("--batches", type=int, default=1)
    command.add_argument(
        "--delay", default="none", help="of rewards, in steps: none, fixed:N, geometric:MEAN"
    )
    command.add_argument(
        "--pause", action="store_true", help="wait for a line on standard input after a batch"
    )
    options = parser.parse_args(arguments)
    try:
        if options.command == "log":
            log(options)
        else:
            play(options, sys.stdin)
    except (UnusableTable, BadDelay, BotoCoreError, ClientError, OSError) as error:
        print(f"bandit_simulator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
