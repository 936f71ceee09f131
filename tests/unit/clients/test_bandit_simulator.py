"""The client that plays a bandit: what it asks, when rewards come, what it writes down; and its page."""

from __future__ import annotations

import io
import json
import re
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clients import bandit_report, bandit_simulator
from clients.bandit_simulator import BadDelay, Player, log_of_chance, parse_delay
from clients.bandit_worlds import News, make


class FakeEndpoint:
    """Takes a fixed arm with probability 0.9, notes observations and rewards in their order."""

    def __init__(self, pick: Any = lambda request: 1) -> None:
        self.pick = pick
        self.observed: list[dict[str, Any]] = []
        self.rewards: dict[str, float] = {}
        self.order: list[str] = []
        self._lock = threading.Lock()

    def invoke_endpoint(self, **call: Any) -> dict[str, Any]:
        assert (call["EndpointName"], call["ContentType"]) == ("e", "application/json")
        request = json.loads(call["Body"])
        with self._lock:
            if request["request_type"] == "reward":
                assert request["event_id"] not in self.rewards
                self.rewards[request["event_id"]] = request["reward"]
                self.order.append(f"r{request['event_id'][1:]}")
                answer: dict[str, Any] = {"status": "success", "event_id": request["event_id"]}
            else:
                name = f"e{len(self.observed)}"
                self.observed.append(request)
                self.order.append(name)
                answer = {
                    "event_id": name,
                    "model_id": "m-1",
                    "action": self.pick(request),
                    "action_prob": 0.9,
                }
        return {"Body": io.BytesIO(json.dumps(answer).encode())}


def test_each_step_is_asked_once_and_rewarded_once() -> None:
    world, endpoint = make("table", 1), FakeEndpoint()
    player = Player(world, endpoint, "e", parse_delay("none", 0), majority=1)
    steps = list(player.play(range(200), last=True))
    assert [request["observation"] for request in endpoint.observed] == [
        world.situation(step).observation for step in range(200)
    ]
    assert endpoint.rewards == {step.event_id: step.reward for step in steps}
    assert player.sent == 200
    # The arm taken is the constant one: reward for reward the same.
    assert [step.reward for step in steps] == [step.majority for step in steps]
    assert {step.oracle for step in steps} == {1.0}
    assert all(step.chance == pytest.approx(0.2) for step in steps)


def test_delayed_rewards_go_over_into_the_next_batch_and_none_is_lost() -> None:
    endpoint = FakeEndpoint()
    player = Player(make("table", 1), endpoint, "e", parse_delay("fixed:30", 0))
    list(player.play(range(100), last=False))
    assert player.sent == len(endpoint.rewards) == 70
    assert endpoint.order.index("r0") > endpoint.order.index("e30")
    list(player.play(range(100, 200), last=True))
    assert sorted(endpoint.rewards) == sorted(f"e{n}" for n in range(200))


def test_arms_with_features_are_sent_as_the_shelf_has_them() -> None:
    world = News(0)
    endpoint = FakeEndpoint(pick=lambda request: request["arms"][2]["id"])
    (step,) = Player(world, endpoint, "e", parse_delay("none", 0)).play(range(7, 8), last=True)
    now = world.situation(7)
    assert [arm["id"] for arm in endpoint.observed[0]["arms"]] == now.arms
    assert endpoint.observed[0]["arms"][0]["features"] == (now.features or {})[now.arms[0]]
    assert step.action == now.arms[2]
    assert step.majority is None


def test_an_error_of_the_endpoint_is_not_swallowed() -> None:
    class Broken(FakeEndpoint):
        def invoke_endpoint(self, **call: Any) -> dict[str, Any]:
            if "reward" in json.loads(call["Body"]):
                raise OSError("gone")
            return super().invoke_endpoint(**call)

    player = Player(make("table", 1), Broken(), "e", parse_delay("none", 0))
    with pytest.raises(OSError, match="gone"):
        list(player.play(range(3), last=True))


def test_a_container_that_fails_is_asked_again_and_a_bad_request_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr(bandit_simulator.time, "sleep", lambda _: None)

    class Failing(FakeEndpoint):
        failures: ClassVar[list[int]] = [503, 500]

        def invoke_endpoint(self, **call: Any) -> dict[str, Any]:
            if self.failures:
                answer: Any = {"Error": {"Code": "ModelError"}, "OriginalStatusCode": self.failures.pop()}
                raise ClientError(answer, "InvokeEndpoint")
            return super().invoke_endpoint(**call)

    endpoint = Failing()
    steps = list(Player(make("table", 1), endpoint, "e", parse_delay("none", 0)).play(range(3), last=True))
    assert [step.event_id for step in steps] == ["e0", "e1", "e2"]
    endpoint.failures.append(400)
    with pytest.raises(ClientError, match="ModelError"):
        list(Player(make("table", 1), endpoint, "e", parse_delay("none", 0)).play(range(1), last=True))


def test_delays() -> None:
    geometric = parse_delay("geometric:5", 1)
    drawn = [geometric(step) for step in range(4000)]
    assert drawn == [parse_delay("geometric:5", 1)(step) for step in range(4000)]
    assert min(drawn) == 0
    assert np.mean(drawn) == pytest.approx(5, abs=0.5)
    assert parse_delay("fixed:3", 0)(9) == 3
    for wrong in ("fixed", "fixed:-1", "geometric:0", "soon", "none:3", "fixed:x"):
        with pytest.raises(BadDelay, match="give none, fixed:STEPS or geometric:MEAN_STEPS"):
            parse_delay(wrong, 0)


def test_the_log_of_chance() -> None:
    world = make("table", 1)
    events = list(log_of_chance(world, 500, 1))
    assert events == list(log_of_chance(world, 500, 1))
    assert len({event["event_id"] for event in events}) == 500
    assert {event["action_prob"] for event in events} == {0.2}
    shares = [sum(event["action"] == arm for event in events) / 500 for arm in range(1, 6)]
    assert min(shares) > 0.1
    assert all(0 <= event["sample_prob"] <= 1 for event in events)
    first = world.situation(-500)
    assert json.loads(events[0]["observation"]) == first.observation
    assert events[0]["reward"] == first.reward(events[0]["action"])


def test_a_file_that_is_no_world_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("1,x,a\n")
    code = bandit_simulator.main(["log", "--world", str(tmp_path / "t.csv"), "--folder", str(tmp_path / "f")])
    assert code == 1
    assert capsys.readouterr().err == f"bandit_simulator: {tmp_path}/t.csv: row 1: 'x' is not a number\n"


def steps(rewards: list[float], **other: Any) -> list[dict[str, Any]]:
    return [
        {
            "step": number,
            "event_id": f"e{number}",
            "model_id": f"m-{number // 2}",
            "action": number % 3,
            "action_prob": 0.5,
            "reward": reward,
            "oracle": 1.0,
            "majority": 0.5,
            "chance": 0.2,
            "best": 1,
            **other,
        }
        for number, reward in enumerate(rewards)
    ]


def test_figures_of_the_page() -> None:
    assert bandit_report.rolling(np.array([1.0, 0.0, 1.0, 1.0]), 2).tolist() == [1.0, 0.5, 0.5, 1.0]
    assert bandit_report.regret(steps([1, 0, 1, 0])).tolist() == [0, 1, 1, 2]
    names, table = bandit_report.shares(steps([1] * 6), 3)
    assert names == ["0", "1", "2", "others"]
    assert table.tolist() == [[1 / 3, 1 / 3], [1 / 3, 1 / 3], [1 / 3, 1 / 3], [0, 0]]


def batch(number: int, reward: float, approved: bool | None) -> dict[str, Any]:
    verdict = {"difference": 0.1, "low": -0.1, "high": 0.3, "finding": "approved", "reason": "<b>better</b>"}
    return {
        "batch": number,
        "steps": 2,
        "reward": reward,
        "rewards_sent": 2,
        "seconds": 9.0,
        "verdict": {} if approved is None else {**verdict, "approved": approved},
    }


def test_an_estimate_is_held_against_what_came() -> None:
    history = [batch(1, 0.5, True), batch(2, 0.75, False), batch(3, 0.7, None), batch(4, 0.6, True)]
    found = bandit_report.estimates(history)
    assert [(item["batch"], item["truth"]) for item in found] == [(1, 0.25), (2, None), (4, None)]


@pytest.mark.parametrize("majority", [0.5, None])
def test_the_page_is_one_file_and_escapes_what_it_shows(tmp_path: Path, majority: float | None) -> None:
    lines = steps([1, 0, 1, 1], majority=majority)
    (tmp_path / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "history.json").write_text(json.dumps([batch(1, 0.5, True), batch(2, 1.0, False)]))
    assert bandit_report.main(["--folder", str(tmp_path), "--title", "<Experiment>"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 5
    assert "&lt;Experiment&gt;" in page
    assert "&lt;b&gt;better&lt;/b&gt;" in page
    assert "<b>0.750</b>" in page  # the mean reward
    assert not re.search(r'(src|href)="https?:', page)
