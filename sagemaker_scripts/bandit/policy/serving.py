"""A worker of the endpoint: requests in, decisions out, every decision on its way to the log.

The action is drawn from the very distribution whose probability is logged, by a generator of the worker's
own. Event ids are UUIDs of version 7 (RFC 9562), which begin with the time: the hour of an observation can be
read from the id that its reward brings back.
"""

from __future__ import annotations

import atexit
import os
import random
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from . import model as models
from .errors import InvalidObservation
from .event_log import EventLog, firehose_sender
from .examples import Arm
from .model import Policy
from .swapping import Hosted
from .workers import Register

CHOSEN = ("event_id", "action", "action_prob")
EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True)
class Settings:
    """The container's environment. Streams that are not named are not written."""

    experiment_id: str
    observations: str | None = None
    rewards: str | None = None
    pointer: str | None = None
    workers_table: str | None = None
    poll_seconds: float = 1.0
    buffer_seconds: float = 0.2
    folder: Path = Path(tempfile.gettempdir()) / "bandit"
    seed: int | None = None

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """From BANDIT_* variables. Raises ValueError for what is not a number."""
        given = {name.removeprefix("BANDIT_"): value for name, value in env.items() if value}
        return cls(
            experiment_id=given.get("EXPERIMENT", ""),
            observations=given.get("OBSERVATION_STREAM"),
            rewards=given.get("REWARD_STREAM"),
            pointer=given.get("POINTER"),
            workers_table=given.get("WORKERS_TABLE"),
            poll_seconds=float(given.get("POLL_SECONDS", "1")),
            buffer_seconds=float(given.get("BUFFER_SECONDS", "0.2")),
            folder=Path(given.get("SPOOL", Path(tempfile.gettempdir()) / "bandit")),
            seed=int(given["SEED"]) if "SEED" in given else None,
        )


class Question(NamedTuple):
    """A checked request, with the policy's answer. slate: whether the request named top_k."""

    observation: Any
    arms: list[Arm] | None
    positions: int
    slate: bool
    event_id: str | None
    policy: Policy
    probabilities: list[float]


class Worker:
    """Answers one request at a time; what is in the background (log, swap) runs on threads of its own."""

    def __init__(
        self,
        policy: Policy,
        settings: Settings,
        clients: Callable[[str], Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """clients: service name -> boto3 client."""
        self._clock = clock
        self._random = random.Random(settings.seed if settings.seed is not None else secrets.randbits(128))  # noqa: S311  # exploration, not secrets
        table = settings.workers_table
        register = Register(
            settings.folder / "workers", settings.experiment_id, table, clients("dynamodb") if table else None
        )
        self.register = register
        self.hosted = Hosted(
            policy,
            register,
            pointer=settings.pointer,
            s3=clients("s3") if settings.pointer else None,
            clock=clock,
        )

        def event_log(stream: str | None) -> EventLog | None:
            if stream is None:
                return None
            send = firehose_sender(clients("firehose"), stream)
            return EventLog(settings.folder / "spool" / stream, send, pause=settings.buffer_seconds)

        self.observations = event_log(settings.observations)
        self.rewards = event_log(settings.rewards)
        self.hosted.look()  # a worker that was started again begins with the newest model
        self.hosted.watch(settings.poll_seconds)

    def close(self) -> None:
        self.hosted.stop()
        for events in (self.observations, self.rewards):
            if events:
                events.close()

    def answer(self, request: Any) -> dict[str, Any]:
        """One JSON request. Raises InvalidObservation."""
        if not isinstance(request, dict):
            raise InvalidObservation("bad request", "a request is an object with a request_type")
        kind = request.get("request_type")
        if kind == "observation":
            return self.decide(request)
        if kind == "reward":
            return self.take_reward(request)
        if kind == "model_id":
            return self.describe()
        raise InvalidObservation(
            "bad request", f"request_type is {kind!r:.80}, not observation, reward or model_id"
        )

    def describe(self) -> dict[str, Any]:
        """The model that this worker serves, that of every worker of the instance, and what waits on disk."""
        waiting = sum(events.waiting for events in (self.observations, self.rewards) if events)
        return {
            "model_id": self.hosted.policy.model_id,
            "workers": self.register.all(),
            "spooled": waiting,
        }

    def decide(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Choose an arm, or `top_k` arms one after the other, and log it. Raises InvalidObservation."""
        return self.decide_all([request])[0]

    def decide_all(self, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The decisions of several requests: all of them, or none when one is refused.

        Raises InvalidObservation, naming the request's place when there are several.
        """
        prepared = []
        for place, request in enumerate(requests, 1):
            try:
                prepared.append(self._prepare(request))
            except InvalidObservation as error:
                if len(requests) == 1:
                    raise
                raise InvalidObservation(error.reason, f"line {place}: {error}") from None
        return [self._choose(question) for question in prepared]

    def take_reward(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Put a reward into its own stream; whether its event exists shows when they are joined."""
        if self.rewards is None:
            raise InvalidObservation("bad request", "this endpoint takes no rewards: it has no reward stream")
        event_id, reward = request.get("event_id"), request.get("reward")
        if not isinstance(event_id, str) or not EVENT_ID.fullmatch(event_id):
            raise InvalidObservation("bad request", f"event_id is {event_id!r:.80}, not a text")
        if isinstance(reward, bool) or not isinstance(reward, int | float):
            raise InvalidObservation("reward", f"{reward!r:.80} is not a number")
        low, high = self.hosted.policy.config.reward_range
        if not low <= reward <= high:
            raise InvalidObservation("reward", f"{reward:g} is outside [{low:g}, {high:g}]")
        self.rewards.append(
            {"type": "rewards", "event_id": event_id, "reward": reward, "timestamp": self._clock()}
        )
        return {"status": "success", "event_id": event_id}

    def _prepare(self, request: Mapping[str, Any]) -> Question:
        """Check a request and ask the policy, without any effect."""
        observation, arms = request.get("observation"), request.get("arms")
        if not isinstance(observation, (list, dict)):  # `list | dict` is made anew each time
            raise InvalidObservation("bad request", "observation is missing, or neither a list nor an object")
        policy, probabilities = self._ask(observation, arms)
        positions, event_id = request.get("top_k", 1), request.get("event_id")
        if isinstance(positions, bool) or not isinstance(positions, int) or positions < 1:
            raise InvalidObservation("bad request", f"top_k is {positions!r:.80}, not a whole number from 1")
        if positions > 1 and policy.config.arms is not None:
            raise InvalidObservation("bad request", "top_k is for arms that come with the observation")
        if positions > len(probabilities):
            raise InvalidObservation("bad request", f"top_k is {positions}, with {len(probabilities)} arms")
        if event_id is not None and not (isinstance(event_id, str) and EVENT_ID.fullmatch(event_id)):
            raise InvalidObservation(
                "bad request", f"event_id is {event_id!r:.80}, not 1 to 128 visible ASCII characters"
            )
        return Question(observation, arms, positions, "top_k" in request, event_id, policy, probabilities)

    def _choose(self, question: Question) -> dict[str, Any]:
        """Draw, log, answer.

        Of several positions each is a decision of its own, among the arms that are left: with its own event
        id, its own probability and its own record.
        """
        now, sample = self._clock(), self._random.random()
        event_id = question.event_id or new_event_id(now)
        policy, probabilities, arms = question.policy, question.probabilities, question.arms
        place, answer = self._decide(policy, probabilities, question.observation, arms, event_id, now, sample)
        if not question.slate:
            return answer
        slate = [answer]
        for position in range(2, question.positions + 1):
            assert arms is not None
            arms = [*arms[:place], *arms[place + 1 :]]
            policy, probabilities = self._ask(question.observation, arms)
            place, decision = self._decide(
                policy, probabilities, question.observation, arms, f"{event_id}.{position}", now, sample
            )
            slate.append(decision)
        top = [{**{key: one[key] for key in CHOSEN}, "position": n} for n, one in enumerate(slate, 1)]
        return {**answer, "top": top}

    def _decide(
        self,
        policy: Policy,
        probabilities: list[float],
        observation: Any,
        arms: list[Arm] | None,
        event_id: str,
        now: float,
        sample: float,
    ) -> tuple[int, dict[str, Any]]:
        """Draw and log one arm; returns its place, and the decision as it is answered."""
        place = draw(probabilities, self._random.random())
        decision = {
            "event_id": event_id,
            "action": policy.config.arms[place] if policy.config.arms else arms[place]["id"],  # type: ignore[index]  # one of the two
            "action_prob": probabilities[place],
            "timestamp": now,
            "sample_prob": sample,
            "model_id": policy.model_id,
        }
        if self.observations:
            self.observations.append(
                {
                    "type": "actions",
                    **decision,
                    # JSON as text: every SerDe reads it as a string.
                    "observation": orjson.dumps(observation).decode(),
                    "arms": orjson.dumps(arms).decode() if arms else None,
                    "probabilities": orjson.dumps(probabilities).decode(),
                }
            )
        return place, decision

    def _ask(self, observation: Any, arms: Any) -> tuple[Policy, list[float]]:
        """The hosted policy and its probabilities; a swapped-in one that fails to answer is put back."""
        policy = self.hosted.policy
        try:
            return policy, policy.probabilities(observation, arms)
        except InvalidObservation:
            raise
        except Exception as error:  # a model that fails in whatever way must not serve on
            if not self.hosted.put_back(policy, str(error)):
                raise
            policy = self.hosted.policy
            return policy, policy.probabilities(observation, arms)


def draw(probabilities: Sequence[float], at: float) -> int:
    """The place at which the running sum exceeds `at`, a number in [0, 1); never one of probability 0."""
    total = 0.0
    last = 0
    for place, probability in enumerate(probabilities):
        if probability > 0:
            total += probability
            last = place
            if at < total:
                return place
    return last  # rounding left the sum a hair below 1


def new_event_id(now: float) -> str:
    """A UUID of version 7: 48 bits of milliseconds since the epoch, then 72 bits of chance.

    The chance is of Python's own generator, which every process, a forked one too, seeds from the system's:
    ids have to differ, and are no secrets.
    """
    digits = f"{int(now * 1000) << 72 | random.getrandbits(72):030x}"
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:15]}-8{digits[15:18]}-{digits[18:]}"


def start(model_dir: str | Path, env: Mapping[str, str] = os.environ) -> Worker:
    """What model_fn does: load and check the model that the endpoint was made with, start a worker."""
    import boto3

    worker = Worker(models.load(Path(model_dir)), Settings.read(env), boto3.client)
    atexit.register(worker.close)
    return worker
