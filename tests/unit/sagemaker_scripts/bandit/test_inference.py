"""The entry point under both of SageMaker's toolkits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import inference
import pytest
from policy.serving import Worker
from sagemaker_inference.errors import BaseInferenceToolkitError


@pytest.fixture
def worker(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BANDIT_SPOOL", str(tmp_path))
    worker = inference.model_fn(str(trained))
    assert isinstance(worker, Worker)
    yield worker
    worker.close()


def ask(worker: Worker, observation: list[Any]) -> Any:
    request = {"request_type": "observation", "observation": observation}
    return inference.transform_fn(worker, json.dumps(request), "application/json", "application/json")


def test_an_answer(worker: Worker) -> None:
    body, content_type = ask(worker, [50, "red"])
    assert content_type == "application/json"
    assert json.loads(body)["model_id"] == "warm"


def test_a_refusal_is_an_error_of_the_inference_toolkit(worker: Worker) -> None:
    with pytest.raises(BaseInferenceToolkitError) as caught:
        ask(worker, [50])
    assert caught.value.status_code == 400
    assert "1 features, the policy has 2" in caught.value.message


def test_a_refusal_is_a_response_of_the_older_toolkit(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = SimpleNamespace(Response=lambda **arguments: arguments)
    monkeypatch.setitem(sys.modules, "sagemaker_containers.beta.framework.worker", older)
    answer = ask(worker, [50])
    assert (answer["status"], answer["mimetype"]) == (400, "text/plain")
    assert "1 features, the policy has 2" in answer["response"]
