"""The built-in algorithm on several hosts, started as the service starts them: real processes, one model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xgboost as xgb
from sklearn.metrics import roc_auc_score

from local_aws.images.xgboost.model_file import read_booster

from .conftest import PROJECT, TrainingJob, as_csv, rows

SETTINGS = {"num_round": "20", "objective": "binary:logistic", "max_depth": "3", "eval_metric": "auc"}


class Hosts:
    """algo-1, algo-2 ... below one folder, each a TrainingJob; `start` runs all under images/hosts.py."""

    def __init__(self, base: Path, count: int) -> None:
        self.base = base
        self.names = [f"algo-{number}" for number in range(1, count + 1)]
        for part in ("model", "output/data"):
            (base / part).mkdir(parents=True)
        self.jobs = [TrainingJob(base / "hosts" / name) for name in self.names]

    def configure(self, hyperparameters: dict[str, str]) -> None:
        plan = []
        for name, job in zip(self.names, self.jobs, strict=True):
            for part in ("model", "output/data", "input/data/train"):
                (job.base / part).mkdir(parents=True, exist_ok=True)
            job.configure(hyperparameters)
            resources = {"current_host": name, "hosts": self.names, "network_interface_name": "lo"}
            (job.base / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
            argv = [sys.executable, "-m", "local_aws.images.xgboost.train"]
            env = {"SAGEMAKER_BASE_DIR": str(job.base), "PYTHONPATH": str(PROJECT)}
            plan.append({"host": name, "argv": argv, "env": env, "base": str(job.base)})
        (self.base / "hosts.json").write_text(json.dumps(plan))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "local_aws.images.hosts", str(self.base)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        process = self.start()
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    @property
    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()

    @property
    def model(self) -> Path:
        return self.base / "model" / "xgboost-model"


@pytest.fixture
def two(tmp_path) -> Hosts:
    return Hosts(tmp_path / "cluster", 2)


def test_two_hosts_with_half_the_rows_each_learn_what_one_host_learns_of_all(two, new_job):
    train, unseen = rows(2000), rows(1000, seed=9)
    alone = new_job("alone")
    alone.channel("train", {"a.csv": as_csv(train)})
    alone.configure(SETTINGS)
    alone.fit()
    for index, job in enumerate(two.jobs):
        job.channel("train", {"a.csv": as_csv(train[index::2])})
        job.channel("validation", {"a.csv": as_csv(unseen[index::2])})
    two.configure(SETTINGS)
    code, output = two.run()
    assert code == 0, output
    assert "Distributed node training with 2 hosts: ['algo-1', 'algo-2']" in output
    assert output.count("Train matrix has 1000 rows and 4 columns") == 2
    assert output.count("[19]\ttrain-auc:") == 1  # the master's line and nobody else's
    assert [path.name for path in two.model.parent.iterdir()] == ["xgboost-model"]
    assert [job.model.exists() for job in two.jobs] == [True, False]
    matrix, labels = xgb.DMatrix(unseen[:, 1:]), unseen[:, 0]
    reached = [roc_auc_score(labels, read_booster(job.model).predict(matrix)) for job in (alone, two)]
    half = xgb.train(
        {"objective": "binary:logistic", "max_depth": 3}, xgb.DMatrix(train[::2, 1:], label=train[::2, 0]), 20
    )
    assert reached[1] == pytest.approx(reached[0], abs=0.005)
    assert reached[1] > roc_auc_score(labels, half.predict(matrix))
    # What a host tells of the whole is of the whole: the line is XGBoost's average over both halves' pairs.
    told = float(output.split("[19]\t")[1].split("validation-auc:")[1].split()[0])
    assert told == pytest.approx(reached[1], abs=0.005)


def test_a_host_without_data_drops_out_and_the_others_train(tmp_path, new_job):
    train = rows(300)
    alone = new_job("alone")
    alone.channel("train", {"a.csv": as_csv(train)})
    alone.configure(SETTINGS)
    alone.fit()
    cluster = Hosts(tmp_path / "cluster", 2)
    cluster.jobs[1].channel("train", {"a.csv": as_csv(train)})
    cluster.configure(SETTINGS)
    code, output = cluster.run()
    assert code == 0, output
    assert "Host algo-1 has no data and is not used for distributed training." in output
    assert "Distributed node training with 1 hosts: ['algo-2']" in output
    matrix = xgb.DMatrix(train[:, 1:])
    of_one, of_the_rest = (read_booster(job.model).predict(matrix) for job in (alone, cluster))
    assert of_one == pytest.approx(of_the_rest, abs=1e-6)


def test_no_host_with_data_is_an_error(two):
    two.configure(SETTINGS)
    assert two.run()[0] == 1
    assert "No data in training channel path" in two.failure


def test_a_host_killed_in_the_middle_fails_the_job_by_its_name(two):
    for job in two.jobs:
        job.channel("train", {"a.csv": as_csv(rows(300))})
    two.configure({**SETTINGS, "num_round": "1000000"})
    process = two.start()
    assert process.stdout is not None
    assert any(line.startswith("[3]\t") for line in process.stdout)
    os.kill(_pid(process, two.jobs[1].base), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert two.failure == "algo-2 was killed by SIGKILL"
    assert not two.model.exists()


def _pid(parent: subprocess.Popen[str], base: Path) -> int:
    """The child of `parent` that plays the host of that folder."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    wanted = f"SAGEMAKER_BASE_DIR={base}".encode()
    [found] = [pid for pid in children if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
    return int(found)


def test_bad_data_on_one_host_is_told_by_that_host(two):
    train = rows(300)
    two.jobs[0].channel("train", {"a.csv": as_csv(train)})
    train[7, 0] = 3
    two.jobs[1].channel("train", {"a.csv": as_csv(train)})
    two.configure(SETTINGS)
    assert two.run()[0] == 1
    assert two.failure == "algo-2: label must be in [0,1] for logistic regression: row 8 has 3"
    assert not two.model.exists()


def test_a_linear_booster_is_refused_since_each_host_would_fit_its_own(two):
    for job in two.jobs:
        job.channel("train", {"a.csv": as_csv(rows(50))})
    two.configure({"num_round": "2", "booster": "gblinear"})
    assert two.run()[0] == 1
    assert "booster gblinear cannot be trained on several hosts" in two.failure


def test_a_stop_that_saves_the_model_ends_all_hosts_after_the_same_round(two):
    for job in two.jobs:
        job.channel("train", {"a.csv": as_csv(rows(300))})
    two.configure({**SETTINGS, "num_round": "1000000", "save_model_on_termination": "true"})
    process = two.start()
    assert process.stdout is not None
    assert any(line.startswith("[3]\t") for line in process.stdout)
    # Only one of them hears of it: the others must end with it.
    os.kill(_pid(process, two.jobs[1].base), signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert read_booster(two.model).num_boosted_rounds() >= 4
