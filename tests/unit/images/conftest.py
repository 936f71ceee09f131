"""A training job's folder, as the service lays it out, and the built-in algorithm run in it as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from local_aws.images.xgboost.fit import Configuration, fit

PROJECT = Path(__file__).resolve().parents[3]

REFERENCE = {
    "max_depth": "5",
    "eta": "0.2",
    "gamma": "4",
    "min_child_weight": "6",
    "subsample": "0.8",
    "objective": "binary:logistic",
    "num_round": "100",
}


@dataclass
class TrainingJob:
    """Write channels and settings, `run`, look at the results."""

    base: Path

    def channel(self, name: str, files: dict[str, str | bytes]) -> None:
        for file, content in files.items():
            path = self.base / "input" / "data" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def configure(
        self, hyperparameters: dict[str, str], content_type: str | None = "text/csv", **extra
    ) -> None:
        config = self.base / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        settings = {"TrainingInputMode": "File"} | ({"ContentType": content_type} if content_type else {})
        data = self.base / "input" / "data"
        names = [folder.name for folder in data.iterdir()] if data.exists() else []
        (config / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(names, settings) | extra))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "local_aws.images.xgboost.train"],
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(self.base), "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self) -> tuple[int, str, str]:
        process = self.start()
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    def fit(self) -> None:
        """The same work in this process, for tests that need no exit code: a start costs a second."""
        config = self.base / "input" / "config"
        configuration = Configuration(
            json.loads((config / "hyperparameters.json").read_text()),
            json.loads((config / "inputdataconfig.json").read_text()),
            None,
        )
        fit(self.base, configuration, threading.Event())

    @property
    def model(self) -> Path:
        return self.base / "model" / "xgboost-model"

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()


@pytest.fixture
def new_job(tmp_path) -> Callable[[str], TrainingJob]:
    def make(name: str = "job") -> TrainingJob:
        (tmp_path / name).mkdir()
        return TrainingJob(tmp_path / name)

    return make


@pytest.fixture
def job(new_job) -> TrainingJob:
    return new_job()


def rows(count: int, features: int = 4, seed: int = 3) -> np.ndarray:
    """Label first; the label follows the sum of the first two features, with noise."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.uniform(0, 10, (count, features)), 2)
    labels = (values[:, 0] + values[:, 1] + rng.normal(0, 3, count) > 10).astype(float)
    return np.column_stack([labels, values])


def as_csv(values: np.ndarray, delimiter: str = ",") -> str:
    return "".join(delimiter.join(f"{cell:g}" for cell in row) + "\n" for row in values)
