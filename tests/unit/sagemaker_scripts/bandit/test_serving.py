from __future__ import annotations

import csv
import io
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policy import config, model, payload, serving, training
from policy.errors import InvalidObservation
from policy.payload import Refusal
from policy.serving import Settings, Worker, draw, new_event_id

from .conftest import BEST, CONTENT, logged_rows, write_rows

NOW = 1_790_000_000.25


def no_client(service: str) -> Any:
    raise AssertionError(f"a client of {service} is not needed")


class Firehose:
    """Keeps what is put into each stream."""

    def __init__(self) -> None:
        self.streams: dict[str, list[dict[str, Any]]] = {}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> dict[str, Any]:
        lines = b"".join(record["Data"] for record in Records).splitlines()
        self.streams.setdefault(DeliveryStreamName, []).extend(map(json.loads, lines))
        return {"FailedPutCount": 0, "RequestResponses": [{"RecordId": "1"}] * len(Records)}


@pytest.fixture
def firehose() -> Firehose:
    return Firehose()


@pytest.fixture
def worker(trained: Path, tmp_path: Path, firehose: Firehose) -> Iterator[Worker]:
    settings = Settings(
        "exp", observations="actions", rewards="rewards", buffer_seconds=0, folder=tmp_path, seed=5
    )
    worker = Worker(model.load(trained), settings, {"firehose": firehose}.__getitem__, clock=lambda: NOW)
    yield worker
    worker.close()


def ask(worker: Worker, request: Any) -> dict[str, Any]:
    body, kind = payload.respond(worker, json.dumps(request), "application/json", "application/json")
    assert kind == "application/json"
    return json.loads(body)


def test_a_decision_and_its_record(worker: Worker, firehose: Firehose) -> None:
    answer = ask(worker, {"request_type": "observation", "observation": [55.0, "red"]})
    assert set(answer) == {"action", "action_prob", "event_id", "timestamp", "sample_prob", "model_id"}
    assert (answer["model_id"], answer["timestamp"]) == ("warm", NOW)
    event = uuid.UUID(answer["event_id"])
    assert (event.version, event.variant, event.int >> 80) == (7, uuid.RFC_4122, int(NOW * 1000))
    worker.close()
    [record] = firehose.streams["actions"]
    probabilities = json.loads(record.pop("probabilities"))
    assert probabilities == worker.hosted.policy.probabilities([55.0, "red"])
    assert record == {
        **answer,
        "type": "actions",
        "observation": '[55.0,"red"]',
        "arms": None,
    }
    assert record["action_prob"] == probabilities[record["action"] - 1]


def test_actions_are_drawn_from_the_logged_distribution(tmp_path: Path, simple: config.Config) -> None:
    training.train(
        model_id="m",
        output=tmp_path / "m",
        config=config.parse({**simple.content, "minimum_probability": 0.2}),
        rows=write_rows(tmp_path / "rows", logged_rows(300)),
    )
    worker = Worker(
        model.load(tmp_path / "m"),
        Settings("exp", folder=tmp_path, seed=1),
        no_client,
        clock=lambda: NOW,
    )
    draws = 3000
    answers = [worker.decide({"observation": [50, "blue"]}) for _ in range(draws)]
    expected = worker.hosted.policy.probabilities([50, "blue"])
    counts = Counter(answer["action"] for answer in answers)
    for arm, probability in enumerate(expected, 1):
        spread = (draws * probability * (1 - probability)) ** 0.5
        assert abs(counts[arm] - draws * probability) < 4 * spread
    assert all(answer["action_prob"] == expected[answer["action"] - 1] for answer in answers)
    samples = [answer["sample_prob"] for answer in answers]
    assert 0.47 < sum(samples) / draws < 0.53
    assert len({answer["event_id"] for answer in answers}) == draws
    worker.close()


def test_draw_never_takes_what_has_no_probability() -> None:
    assert [draw([0.0, 0.5, 0.0, 0.5, 0.0], at) for at in (0.0, 0.49, 0.5, 0.999)] == [1, 1, 3, 3]
    # The sum may be a hair below 1.
    assert draw([0.1] * 3 + [0.0], 0.9999999) == 2


def test_event_ids_sort_by_time() -> None:
    ids = [new_event_id(NOW + step / 1000) for step in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50


def test_features_by_name_and_an_event_id_of_the_clients_own(worker: Worker) -> None:
    request = {"request_type": "observation", "observation": {"colour": "green", "size": 4}}
    assert ask(worker, {**request, "event_id": "order-17"})["event_id"] == "order-17"


def test_a_reward_goes_to_its_own_stream(worker: Worker, firehose: Firehose) -> None:
    answer = ask(worker, {"request_type": "reward", "event_id": "order-17", "reward": 1})
    assert answer == {"status": "success", "event_id": "order-17"}
    worker.close()
    assert firehose.streams == {
        "rewards": [{"type": "rewards", "event_id": "order-17", "reward": 1, "timestamp": NOW}]
    }


def test_model_id_names_every_worker(worker: Worker, tmp_path: Path) -> None:
    dead = {"worker": "here:0", "pid": 2**22 + 1, "model_id": "old", "status": "serving", "seen_at": NOW}
    (tmp_path / "workers" / "9.json").write_text(json.dumps(dead))
    answer = ask(worker, {"request_type": "model_id"})
    assert answer["model_id"] == "warm"
    [entry] = answer["workers"]
    assert (entry["model_id"], entry["status"], entry["seen_at"]) == ("warm", "serving", NOW)
    assert entry["worker"] == worker.register.worker_id
    assert answer["spooled"] == 0


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"request_type": "observation", "observation": [1]}, 400, "wrong feature count: 1 features"),
        ({"request_type": "observation", "observation": [None, "red"]}, 400, "missing feature: size"),
        ({"request_type": "observation", "observation": {"colour": "red"}}, 400, "missing feature: size"),
        ({"request_type": "observation", "observation": [float("nan"), "red"]}, 400, "request is not JSON"),
        ({"request_type": "observation", "observation": "50,red"}, 400, "neither a list nor an object"),
        ({"request_type": "observation"}, 400, "observation is missing"),
        ({"request_type": "observation", "observation": [1, "red"], "arms": [{"id": 1}]}, 400, "are fixed"),
        ({"request_type": "observation", "observation": [1, "red"], "top_k": 2}, 400, "top_k is for arms"),
        ({"request_type": "observation", "observation": [1, "red"], "top_k": 0}, 400, "top_k is 0"),
        ({"request_type": "observation", "observation": [1, "red"], "event_id": 7}, 400, "event_id is 7"),
        ({"request_type": "observation", "observation": [1, "red"], "event_id": "a\nb"}, 400, "event_id"),
        ({"request_type": "reward", "event_id": "x", "reward": 1.5}, 400, r"1.5 is outside \[0, 1\]"),
        ({"request_type": "reward", "event_id": "x", "reward": float("nan")}, 400, "request is not JSON"),
        ({"request_type": "observation", "observation": [2**64, 2**64]}, 400, "not a category"),
        ({"request_type": "reward", "event_id": "x", "reward": "1"}, 400, "'1' is not a number"),
        ({"request_type": "reward", "event_id": 2**127, "reward": 1}, 400, "not a text"),
        ({"request_type": "action"}, 400, "request_type is 'action'"),
        ([1, "red"], 400, "a request is an object"),
    ],
)
def test_refused_requests_change_nothing(
    worker: Worker, firehose: Firehose, request_: Any, status: int, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        ask(worker, request_)
    assert caught.value.status == status
    worker.close()
    assert firehose.streams == {}


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "message"),
    [
        ("", "application/json", "*/*", 204, "empty"),
        (b" \n", "text/csv", "*/*", 204, "empty"),
        ("{", "application/json", "*/*", 400, "the request is not JSON"),
        (b"\xff", "application/jsonlines", "*/*", 400, "not UTF-8"),
        ("<x/>", "application/xml", "*/*", 415, "content type application/xml is not one of"),
        ("5,red", "text/csv", "image/png", 406, "accept image/png"),
        ("5,red\nold,red", "text/csv", "*/*", 400, "line 2: 'old' is not a number"),
        ("5,red\n5", "text/csv", "*/*", 400, "line 2 has 1 values"),
        ('[5,"red"]\n[5]', "application/jsonlines", "*/*", 400, "line 2: wrong feature count"),
        ('[5,"red"]\n[5', "application/jsonlines", "*/*", 400, "line 2 is not JSON"),
    ],
)
def test_refused_bodies(
    worker: Worker, firehose: Firehose, body: str, content_type: str, accept: str, status: int, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        payload.respond(worker, body, content_type, accept)
    assert caught.value.status == status
    worker.close()
    assert firehose.streams == {}


def test_batches(worker: Worker, firehose: Firehose) -> None:
    lines = '[5,"red"]\n\n{"size": 7, "colour": "blue"}\n{"observation": [5,"red"], "event_id": "e3"}\n'
    body, kind = payload.respond(worker, lines, "application/jsonlines; charset=utf-8", "application/json")
    assert kind == "application/jsonlines"
    answers = [json.loads(line) for line in body.splitlines()]
    assert [answer["model_id"] for answer in answers] == ["warm"] * 3
    assert answers[2]["event_id"] == "e3"
    body, kind = payload.respond(worker, b"5,red\n7,blue\n", "text/csv", "text/csv")
    assert kind == "text/csv"
    rows = list(csv.reader(io.StringIO(body)))
    worker.close()
    records = firehose.streams["actions"]
    assert [record["event_id"] for record in records] == [
        *(answer["event_id"] for answer in answers),
        *(row[2] for row in rows),
    ]
    assert [float(row[1]) for row in rows] == [record["action_prob"] for record in records[3:]]
    assert json.loads(records[4]["observation"]) == [7.0, "blue"]


def test_a_text_is_logged_as_it_came_whatever_is_in_it(worker: Worker, firehose: Firehose) -> None:
    colour = 'r\u00e9d "\u2028\n\\'
    line = json.dumps([5, colour], ensure_ascii=False)
    body, _ = payload.respond(worker, f"{line}\n{line}\n", "application/jsonlines", "*/*")
    assert len(body.splitlines()) == 2
    ask(worker, {"request_type": "observation", "observation": [5, colour], "event_id": 'a"\\b'})
    worker.close()
    records = firehose.streams["actions"]
    assert [json.loads(record["observation"]) for record in records] == [[5, colour]] * 3
    assert records[2]["event_id"] == 'a"\\b'


def test_a_missing_number_is_logged_as_null(tmp_path: Path, firehose: Firehose) -> None:
    parsed = config.parse(
        {**CONTENT, "context": [{"name": "size", "optional": True}, {"name": "colour", "kind": "category"}]}
    )
    training.train(model_id="first", output=tmp_path / "m", config=parsed)
    settings = Settings("exp", observations="actions", buffer_seconds=0, folder=tmp_path)
    worker = Worker(model.load(tmp_path / "m"), settings, {"firehose": firehose}.__getitem__)
    payload.respond(worker, "nan,red\n,red\n", "text/csv", "text/csv")
    worker.close()
    assert [record["observation"] for record in firehose.streams["actions"]] == ['[null,"red"]'] * 2


def test_top_k_of_varying_arms(tmp_path: Path, firehose: Firehose) -> None:
    parsed = config.parse(
        {
            "version": 1,
            "context": [{"name": "reader", "kind": "category"}],
            "arms": {"features": [{"name": "topic", "kind": "category"}]},
        }
    )
    training.train(model_id="first", output=tmp_path / "m", config=parsed)
    settings = Settings("exp", observations="actions", buffer_seconds=0, folder=tmp_path, seed=2)
    worker = Worker(
        model.load(tmp_path / "m"), settings, {"firehose": firehose}.__getitem__, clock=lambda: NOW
    )
    arms = [{"id": f"n{number}", "features": {"topic": "x"}} for number in range(5)]
    request = {"request_type": "observation", "observation": ["red"], "arms": arms, "top_k": 3}
    answer = ask(worker, request)
    top = answer["top"]
    assert [entry["position"] for entry in top] == [1, 2, 3]
    assert len({entry["action"] for entry in top}) == 3
    assert [entry["action_prob"] for entry in top] == [pytest.approx(1 / left) for left in (5, 4, 3)]
    assert [entry["event_id"] for entry in top] == [
        answer["event_id"],
        f"{answer['event_id']}.2",
        f"{answer['event_id']}.3",
    ]
    with pytest.raises(InvalidObservation, match="top_k is 6, with 5 arms"):
        worker.decide({**request, "top_k": 6})
    with pytest.raises(InvalidObservation, match="an arm is offered twice"):
        worker.decide({**request, "arms": [arms[0], arms[0]]})
    with pytest.raises(InvalidObservation, match="missing feature: topic has no value"):
        worker.decide({**request, "arms": [{"id": 1, "features": {}}]})
    worker.close()
    records = firehose.streams["actions"]
    assert [record["action"] for record in records] == [entry["action"] for entry in top]
    # Each position is logged with the arms that were left for it.
    assert [len(json.loads(record["arms"])) for record in records] == [5, 4, 3]
    assert top[0]["action"] not in [arm["id"] for arm in json.loads(records[1]["arms"])]


def test_without_streams_decisions_are_answered_and_rewards_refused(trained: Path, tmp_path: Path) -> None:
    worker = Worker(model.load(trained), Settings("exp", folder=tmp_path), no_client)
    assert worker.decide({"observation": [50, "red"]})["action"] in BEST.values()
    with pytest.raises(InvalidObservation, match="has no reward stream"):
        worker.take_reward({"event_id": "x", "reward": 1})
    worker.close()


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    env = {
        "BANDIT_EXPERIMENT": "exp-7",
        "BANDIT_OBSERVATION_STREAM": "o",
        "BANDIT_POINTER": "s3://bucket/hosting.json",
        "BANDIT_WORKERS_TABLE": "",
        "BANDIT_POLL_SECONDS": "0.5",
        "BANDIT_SPOOL": str(tmp_path),
        "BANDIT_SEED": "3",
        "HOME": "/",
    }
    assert Settings.read(env) == Settings(
        "exp-7",
        observations="o",
        pointer="s3://bucket/hosting.json",
        poll_seconds=0.5,
        folder=tmp_path,
        seed=3,
    )
    assert serving.Settings.read({}).folder.name == "bandit"
