"""The bandit's package is imported as it is in SageMaker: from the folder that is shipped."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[4] / "sagemaker_scripts" / "bandit"
sys.path.insert(0, str(SOURCE))

from policy import config, training  # noqa: E402  # needs the path above

# A little world: the colour decides which of three arms pays, the size does not matter.
BEST = {"red": 1, "green": 2, "blue": 3}
CONTENT: dict[str, Any] = {
    "version": 1,
    "context": [{"name": "size"}, {"name": "colour", "kind": "category"}],
    "arms": {"fixed": [1, 2, 3]},
    "exploration": {"kind": "squarecb", "gamma_scale": 100},
}


def logged_rows(count: int, seed: int = 0, prefix: str = "e") -> list[dict[str, Any]]:
    """Rounds of a uniform policy, as the join writes them."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        colour, action = chance.choice(list(BEST)), chance.randint(1, 3)
        rows.append(
            {
                "event_id": f"{prefix}{number}",
                "action": str(action),
                "action_prob": 1 / 3,
                "model_id": "random",
                "observation": json.dumps([chance.gauss(50, 10), colour]),
                "arms": None,
                "sample_prob": chance.random(),
                "reward": float(action == BEST[colour]),
                "timestamp": 1_790_000_000.0,
            }
        )
    return rows


def write_rows(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def simple() -> config.Config:
    return config.parse(CONTENT)


@pytest.fixture(scope="session")
def rows_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows"), logged_rows(400))


@pytest.fixture(scope="session")
def trained(simple: config.Config, rows_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a warm-started model, "warm"."""
    folder = tmp_path_factory.mktemp("warm")
    training.train(model_id="warm", output=folder, config=simple, rows=rows_folder)
    return folder


@pytest.fixture(scope="session")
def next_model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its successor, "next"."""
    folder = tmp_path_factory.mktemp("next")
    rows = write_rows(tmp_path_factory.mktemp("more"), logged_rows(300, seed=1, prefix="f"))
    training.train(model_id="next", output=folder, parent=trained, rows=rows)
    return folder
