"""A bandit through real Airflow on real local AWS: learned, swapped, and nothing lost whatever is killed.

One experiment serves all tests, in the order in which they stand here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from config import load
from mlops.bandit import cleanup, rewards
from mlops.bandit.experiment import Experiment
from mlops.bandit.joins import USED
from mlops.bandit.store import Store
from mlops.operators.athena import rows
from tests.end_to_end.support import Pipeline, eventually
from workbench import environments, provision
from workbench.programs import code_version
from workbench.settings import ROOT

pytestmark = pytest.mark.timeout(900)
WARM_START, LEARNING = "bandit_warm_start", "bandit_learning"
RUN_SECONDS = 400.0
ANY: dict[str, Any] = {"margin": 100, "minimum_rows": 1}  # the gate lets every challenger pass


@dataclass
class Game:
    """An experiment in the generated world, its client, and its DAG runs."""

    pipeline: Pipeline
    folder: Path
    experiment: Experiment = field(default_factory=lambda: Experiment(load("local"), "faults"))

    @property
    def store(self) -> Store:
        return Store(load("local"), self.pipeline.aws("dynamodb"))

    def simulator(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(environments.require("jobs")), "-m", "clients.bandit_simulator", *words],
            cwd=ROOT,
            env={**os.environ, **self.pipeline.settings.aws_environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, name: str, steps: int, seed: int) -> subprocess.Popen[str]:
        options = ["--endpoint", self.experiment.endpoint, "--steps", str(steps), "--seed", str(seed)]
        return self.simulator("play", "--folder", str(self.folder / name), "--delay", "geometric:5", *options)

    def steps(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name / "steps.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def start(self, dag_id: str, **params: Any) -> str:
        given = {"experiment": self.experiment.id, "code_version": code_version(), **params}
        return self.pipeline.airflow.trigger(dag_id, given)

    def wait(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """The run's tasks when it has ended, which is to be well."""

        def ended() -> str:
            state = self.pipeline.airflow.run(dag_id, run_id)["state"]
            return str(state) if state in ("success", "failed") else ""

        state = eventually(ended, f"the end of {dag_id} {run_id}", RUN_SECONDS)
        tasks = {task["task_id"]: task for task in self.pipeline.airflow.tasks(dag_id, run_id)}
        assert state == "success", self.explain(dag_id, run_id, tasks)
        return tasks

    def explain(self, dag_id: str, run_id: str, tasks: Mapping[str, Any]) -> str:
        lines = [f"{dag_id} {run_id}"]
        for name, task in tasks.items():
            if task["state"] == "failed":
                log = self.pipeline.airflow.log_lines(dag_id, run_id, name, task["try_number"])
                lines += [name, "\n".join(log)[-1500:]]
        return "\n".join(lines)

    def rewards(self, *outcomes: str) -> dict[str, list[float]]:
        """Rewards by event id, from the joined table itself, of events with one of the outcomes."""
        athena, settings = self.pipeline.aws("athena"), load("local")
        wanted = ", ".join(f"'{outcome}'" for outcome in outcomes)
        query = athena.start_query_execution(
            QueryString=f"SELECT event_id, reward FROM {self.experiment.table('joined')} "
            f"WHERE outcome IN ({wanted})",
            QueryExecutionContext={"Database": settings.glue_database},
            WorkGroup=settings.athena_workgroup,
        )["QueryExecutionId"]

        def ended() -> bool:
            status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            assert status["State"] not in ("FAILED", "CANCELLED"), status
            return bool(status["State"] == "SUCCEEDED")

        eventually(ended, "the query", 120)
        found: dict[str, list[float]] = {}
        for event_id, reward in rows(athena, query):
            found.setdefault(str(event_id), []).append(float(reward or 0))
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that serve the policy's code."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = Path(process.cwd()).is_relative_to(self.pipeline.settings.aws_data)
                if inside and "local_aws.images.inference" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def served(self) -> str:
        answer = self.pipeline.aws("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.experiment.endpoint,
            ContentType="application/json",
            Body=json.dumps({"request_type": "model_id"}),
        )
        return str(json.load(answer["Body"])["model_id"])


@pytest.fixture(scope="module")
def game(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Game]:
    """The experiment after its warm start."""
    made = Game(pipeline, tmp_path_factory.mktemp("bandit"))
    output, _ = (logged := made.simulator("log", "--folder", str(made.folder))).communicate(timeout=300)
    assert logged.returncode == 0, output
    log = "raw/bandit/faults.jsonl"
    pipeline.aws("s3").upload_file(str(made.folder / "warm_start.jsonl"), pipeline.settings.bucket, log)
    policy = json.loads((made.folder / "policy.json").read_text())
    data = f"s3://{pipeline.settings.bucket}/{log}"
    made.wait(WARM_START, made.start(WARM_START, policy=policy, data=data, train_share=0.8))
    yield made
    cleanup.clean(made.experiment, pipeline.aws)


def test_a_warm_start_serves_a_policy_that_has_learned_from_the_log(game: Game) -> None:
    record = game.store.experiment(game.experiment.id)
    model_id = record["hosting_workflow_metadata"]["last_hosted_model_id"]
    assert game.served() == model_id
    model = game.store.model(game.experiment.id, model_id)
    assert (model["train_state"], model["eval_state"], model["host_state"]) == (
        "TRAINED", "EVALUATED", "DEPLOYED",
    )  # fmt: skip
    [join] = game.store.joins(game.experiment.id)
    assert join["counts"]["train"] + join["counts"]["evaluation"] == 100


def test_no_observation_and_no_reward_is_lost_whatever_is_killed(game: Game) -> None:
    """kill -9 of the process that serves, then of local AWS, while the client plays; then of Airflow with all
    its workers, while the batch is learned."""
    before = game.served()
    client = game.play("faults", 200, seed=11)

    def played(number: int) -> None:
        def reached() -> bool:
            assert client.poll() in (None, 0), client.communicate()[0]
            return len(game.steps("faults")) >= number

        eventually(reached, f"step {number}", 180)

    played(50)
    victims = game.workers()
    assert victims
    for process in victims:
        process.kill()
    played(110)
    game.pipeline.kill_local_aws()
    eventually(lambda: provision.answers(game.pipeline.settings), "local AWS", 120)
    output, _ = client.communicate(timeout=400)
    assert client.returncode == 0, output
    steps = game.steps("faults")
    assert len(steps) == len({step["event_id"] for step in steps}) == 200

    run_id = game.start(LEARNING, minimum_rewards=200, **ANY)

    def training() -> bool:
        tasks = {task["task_id"]: task["state"] for task in game.pipeline.airflow.tasks(LEARNING, run_id)}
        return tasks.get("train") in ("running", "success")

    eventually(training, "the training", RUN_SECONDS)
    game.pipeline.kill_airflow_workers()
    game.wait(LEARNING, run_id)

    # A reward that was there before its observation waits for the next batch, which the next test looks at.
    used = game.rewards(*USED)
    found = game.rewards("unmatched") | used
    for step in steps:
        assert found.get(step["event_id"]) == [step["reward"]], step
    assert len(used) >= 250  # the log's 100 and most of these
    model_id = game.experiment.model_id(run_id)
    assert game.served() == model_id != before
    models = {model["model_id"] for model in game.store.models(game.experiment.id)}
    assert models == {before, model_id}  # none was trained twice


def test_new_containers_take_over_and_late_rewards_are_joined(game: Game) -> None:
    client = game.play("later", 60, seed=12)
    output, _ = client.communicate(timeout=300)
    assert client.returncode == 0, output
    sagemaker = game.pipeline.aws("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=game.experiment.endpoint)["EndpointConfigName"]
    run_id = game.start(LEARNING, minimum_rewards=60, swap="blue-green", **ANY)
    tasks = game.wait(LEARNING, run_id)
    assert (tasks["swap.soft"]["state"], tasks["swap.blue_green"]["state"]) == ("skipped", "success")
    after = sagemaker.describe_endpoint(EndpointName=game.experiment.endpoint)["EndpointConfigName"]
    assert after == game.experiment.release(game.experiment.model_id(run_id)) != before
    assert game.served() == game.experiment.model_id(run_id)
    used = game.rewards(*USED)
    for step in [*game.steps("faults"), *game.steps("later")]:
        assert used.get(step["event_id"]) == [step["reward"]], step
    assert all(len(rewards) == 1 for rewards in used.values())
    metrics = game.pipeline.aws("cloudwatch").list_metrics(
        Namespace="MLOps/Bandit", Dimensions=[{"Name": "Experiment", "Value": game.experiment.id}]
    )["Metrics"]
    assert {"MeanReward", "RewardsTrain", "ChallengerValue"} <= {metric["MetricName"] for metric in metrics}


def test_a_run_without_rewards_is_skipped_and_the_champion_stays(game: Game) -> None:
    record = game.store.experiment(game.experiment.id)
    s3 = game.pipeline.aws("s3")
    last = rewards.read(s3, game.experiment, record["joining_workflow_metadata"]["last_joined_job_id"])
    if rewards.waiting(s3, game.experiment, last, datetime.now(UTC)):  # a reward that was delivered twice
        game.wait(LEARNING, game.start(LEARNING, learn_now=True))
    before = game.served()
    tasks = game.wait(LEARNING, game.start(LEARNING, learn_now=True))
    assert tasks["batch.wait"]["state"] == "skipped"
    assert tasks["swap.verify"]["state"] == "skipped"
    assert game.served() == before


def test_a_clean_up_leaves_nothing_and_touches_nothing_else(game: Game) -> None:
    def endpoints() -> set[str]:
        return {item["EndpointName"] for item in game.pipeline.aws("sagemaker").list_endpoints()["Endpoints"]}

    before = endpoints()
    deleted = cleanup.clean(game.experiment, game.pipeline.aws)
    assert f"endpoint {game.experiment.endpoint}" in deleted
    assert endpoints() == before - {game.experiment.endpoint}
    assert game.workers() == []
    assert cleanup.clean(game.experiment, game.pipeline.aws) == []
