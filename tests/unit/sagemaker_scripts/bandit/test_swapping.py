from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from policy import config, model, training
from policy.serving import Settings, Worker

from .conftest import CONTENT

POINTER = "s3://bucket/hosting.json"


class Store:
    """S3, as far as it is asked: objects with ETags, conditional reads; and DynamoDB items by worker."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.downloads = 0
        self.failing = False

    def get_object(self, *, Bucket: str, Key: str, IfNoneMatch: str = "") -> dict[str, Any]:
        if self.failing:
            raise ConnectionError("no network")
        assert Bucket == "bucket"
        body = self.objects.get(Key)
        etag = hashlib.sha256(body or b"").hexdigest()
        if body is None or etag == IfNoneMatch:
            status = 404 if body is None else 304
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")
        return {"ETag": etag, "Body": io.BytesIO(body)}

    def download_file(self, bucket: str, key: str, path: str) -> None:
        self.downloads += 1
        if key not in self.objects:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
        Path(path).write_bytes(self.objects[key])

    def put_item(self, *, TableName: str, Item: dict[str, Any]) -> None:
        assert TableName == "workers"
        self.items[Item["worker_id"]["S"]] = Item

    def delete_item(self, *, TableName: str, Key: dict[str, Any]) -> None:
        assert Key["experiment_id"] == {"S": "exp"}
        del self.items[Key["worker_id"]["S"]]

    def point(self, model_id: str, folder: Path | None = None) -> None:
        if folder:
            archive = io.BytesIO()
            with tarfile.open(fileobj=archive, mode="w:gz") as tar:
                for name in ("policy.json", "vw.model"):
                    tar.add(folder / name, name)
            self.objects[f"{model_id}.tar.gz"] = archive.getvalue()
        uri = f"s3://bucket/{model_id}.tar.gz"
        self.objects["hosting.json"] = json.dumps({"model_id": model_id, "model_uri": uri}).encode()


@pytest.fixture
def store() -> Store:
    return Store()


def started(folder: Path, store: Store, tmp_path: Path) -> Worker:
    settings = Settings(
        "exp", pointer=POINTER, workers_table="workers", poll_seconds=3600, folder=tmp_path / "w", seed=1
    )
    return Worker(model.load(folder), settings, {"s3": store, "dynamodb": store}.__getitem__)


@pytest.fixture
def worker(trained: Path, store: Store, tmp_path: Path) -> Iterator[Worker]:
    worker = started(trained, store, tmp_path)
    yield worker
    worker.close()


def item(store: Store) -> dict[str, str]:
    [found] = store.items.values()
    return {key: next(iter(value.values())) for key, value in found.items()}


def test_a_new_model_is_taken_up_and_reported(worker: Worker, store: Store, next_model: Path) -> None:
    assert (item(store)["model_id"], item(store)["status"]) == ("warm", "serving")
    store.point("next", next_model)
    worker.hosted.look()
    assert worker.decide({"observation": [50, "red"]})["model_id"] == "next"
    found = item(store)
    assert (found["model_id"], found["status"], found["experiment_id"]) == ("next", "serving", "exp")
    assert float(found["expires_at"]) - float(found["seen_at"]) == pytest.approx(60, abs=1)
    [entry] = worker.describe()["workers"]
    assert (entry["model_id"], entry["status"]) == ("next", "serving")
    worker.hosted.look()
    assert store.downloads == 1


def test_a_worker_that_starts_again_begins_with_the_newest(
    trained: Path, next_model: Path, store: Store, tmp_path: Path
) -> None:
    store.point("next", next_model)
    worker = started(trained, store, tmp_path)
    assert worker.hosted.policy.model_id == "next"
    worker.close()
    assert store.items == {}
    assert list((tmp_path / "w" / "workers").iterdir()) == []


def other_arms(tmp_path: Path) -> Path:
    four = config.parse({**CONTENT, "arms": {"fixed": [1, 2, 3, 4]}})
    training.train(model_id="bad", output=tmp_path / "bad", config=four)
    return tmp_path / "bad"


def another_name(tmp_path: Path) -> Path:
    training.train(model_id="else", output=tmp_path / "bad", config=config.parse(CONTENT))
    return tmp_path / "bad"


def cut_short(tmp_path: Path) -> Path:
    folder = another_name(tmp_path)
    (folder / "vw.model").write_bytes((folder / "vw.model").read_bytes()[:-8])
    return folder


def other_answers(tmp_path: Path) -> Path:
    folder = another_name(tmp_path)
    content = json.loads((folder / "policy.json").read_text())
    content["probes"] = [{"observation": [1, "red"], "arms": None, "probabilities": [0.5, 0.3, 0.2]}]
    (folder / "policy.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (other_arms, "bad does not fit this endpoint: it has 4 arms, not 3"),
        (another_name, "holds else, not bad"),
        (cut_short, "its SHA-256 differs"),
        (other_answers, "answers probe 0 with other probabilities than in training"),
        (None, "Not Found"),
    ],
)
def test_a_model_that_fails_its_check_is_rolled_back_and_not_tried_again(
    worker: Worker, store: Store, tmp_path: Path, next_model: Path, make: Any, reason: str
) -> None:
    store.point("bad", make(tmp_path) if make else None)
    for _ in range(3):
        worker.hosted.look()
    assert worker.decide({"observation": [50, "red"]})["model_id"] == "warm"
    found = item(store)
    assert (found["model_id"], found["status"], found["target_model_id"]) == ("warm", "rolled_back", "bad")
    assert reason in found["reason"]
    assert store.downloads == 1
    # The next model is taken as if nothing had been.
    store.point("next", next_model)
    worker.hosted.look()
    assert (item(store)["model_id"], item(store)["status"]) == ("next", "serving")
    assert "reason" not in item(store)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"model_id": "m"}', b'{"model_id": "m", "model_uri": "/etc/passwd"}']
)
def test_an_unusable_pointer_is_reported(worker: Worker, store: Store, body: bytes) -> None:
    store.objects["hosting.json"] = body
    worker.hosted.look()
    assert (item(store)["model_id"], item(store)["status"]) == ("warm", "rolled_back")
    assert "pointer object" in item(store)["reason"]


def test_without_s3_the_model_serves_on_and_the_swap_comes_later(
    worker: Worker, store: Store, next_model: Path
) -> None:
    store.point("next", next_model)
    store.failing = True
    worker.hosted.look()
    assert worker.decide({"observation": [50, "red"]})["model_id"] == "warm"
    store.failing = False
    worker.hosted.look()
    assert worker.decide({"observation": [50, "red"]})["model_id"] == "next"


def test_a_model_that_fails_to_answer_is_put_back_and_the_request_answered(
    worker: Worker, store: Store, next_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.point("next", next_model)
    worker.hosted.look()
    swapped = worker.hosted.policy
    monkeypatch.setattr(swapped._vw, "predict", lambda _lines: [float("nan")] * 3)
    assert worker.decide({"observation": [50, "red"]})["model_id"] == "warm"
    found = item(store)
    assert (found["model_id"], found["status"], found["target_model_id"]) == ("warm", "rolled_back", "next")
    assert "failed to answer: the learner's answer is not a distribution" in found["reason"]
    worker.hosted.look()
    assert worker.hosted.policy.model_id == "warm"
    # There is nothing before the first model.
    monkeypatch.setattr(worker.hosted.policy._vw, "predict", lambda _lines: [0.0] * 3)
    with pytest.raises(Exception, match="not a distribution"):
        worker.decide({"observation": [50, "red"]})
