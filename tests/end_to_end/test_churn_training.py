"""churn_training through real Airflow on real local AWS: figures, second model, refusal, and every fault.

One stack serves all tests, in the order in which they stand here: the second run needs a champion.
"""

from __future__ import annotations

import json
import signal
import sqlite3

import pytest

from tests.end_to_end.support import eventually
from workbench import stack

pytestmark = pytest.mark.timeout(900)  # a fixture of the first test starts the stack and waits for a run
RELEASE = ("release.register", "release.deploy", "release.smoke_test")


def smoke_sample(run) -> tuple[str, list[float]]:
    """Encoded rows of the run's hold-out, and the scores that the evaluation gave them."""
    lines = run.read("evaluation/smoke_sample.csv").decode().splitlines()
    rows = [line.split(",", 1) for line in lines]
    return "\n".join(features for _, features in rows), [float(score) for score, _ in rows]


class TestFirstRun:
    def test_every_step_succeeds(self, first):
        assert first.state == "success", str(first)
        states = {name: task["state"] for name, task in first.tasks.items()}
        # There is no earlier run to compare the data with.
        assert states.pop("profile.comparison") == "skipped"
        assert set(states.values()) == {"success"}
        assert {task["try_number"] for task in first.tasks.values()} <= {0, 1}

    def test_the_holdout_figures_are_those_of_a_model_that_learned(self, first):
        evaluation = first.evaluation
        challenger, holdout = evaluation["challenger"], evaluation["holdout"]
        confusion = challenger["confusion"]
        assert sum(confusion.values()) == holdout["rows"]
        assert confusion["tp"] + confusion["fn"] == holdout["positives"]
        assert 250 <= holdout["rows"] <= 350  # 10 % of 3,000
        assert challenger["auc"] > 0.85
        assert challenger["accuracy"] == pytest.approx((confusion["tp"] + confusion["tn"]) / holdout["rows"])
        assert evaluation["paired"]["against"] == "constant"
        assert evaluation["champion"] is None
        assert first.xcom("gate", "verdict")["approved"] is True

    def test_the_endpoint_serves_the_scores_of_the_evaluation(self, pipeline, first):
        features, scores = smoke_sample(first)
        assert len(scores) > 10
        assert pipeline.ask(features) == pytest.approx(scores, abs=1e-6)

    def test_there_is_one_endpoint_one_training_job_and_one_approved_package(self, pipeline, first):
        [endpoint] = pipeline.endpoints()
        assert (endpoint["EndpointName"], endpoint["EndpointStatus"]) == (pipeline.endpoint, "InService")
        [(name, status)] = first.jobs("training")
        assert name.startswith(f"churn-training-{first.key}-train")
        assert status == "Completed"
        [package] = pipeline.model_packages()
        assert package["ModelApprovalStatus"] == "Approved"

    def test_everything_in_xcom_is_json(self, pipeline, first):
        database = pipeline.settings.airflow_home / "airflow.db"
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            # As text: SQLite keeps a number that is alone in its column as a number.
            query = "select task_id, key, typeof(value), cast(value as text) from xcom"
            values = connection.execute(query).fetchall()
        assert len(values) > 10
        for task_id, key, kind, value in values:
            assert kind != "blob", f"{task_id} {key}"
            json.loads(value)

    def test_the_tasks_log_shows_the_jobs_lines(self, first):
        assert "train-logloss" in first.log("train")

    def test_every_invocation_was_captured(self, pipeline, first):
        s3 = pipeline.aws("s3")
        prefix = f"capture/{pipeline.endpoint}/"

        def captured() -> list[dict]:
            found = s3.list_objects_v2(Bucket=pipeline.settings.bucket, Prefix=prefix).get("Contents", [])
            bodies = [
                s3.get_object(Bucket=pipeline.settings.bucket, Key=item["Key"])["Body"].read()
                for item in found
            ]
            return [json.loads(line) for body in bodies for line in body.splitlines()]

        [record, *_] = eventually(captured, "a captured request", 90)
        assert record["captureData"]["endpointInput"]["mode"] == "INPUT"
        assert record["captureData"]["endpointOutput"]["encoding"] == "CSV"


@pytest.fixture(scope="module")
def second(pipeline, first, data):
    """A run after the first: its training process is killed once."""
    before = pipeline.endpoint_config()
    run_id = pipeline.start(data, seed=1)
    [victim, *_] = eventually(lambda: pipeline.computing("images.xgboost.train"), "the training process", 120)
    victim.send_signal(signal.SIGKILL)
    return before, pipeline.wait(run_id)


class TestSecondRunWhoseTrainingProcessWasKilled:
    def test_the_retry_trains_anew_and_the_run_ends_well(self, second):
        _, run = second
        assert run.state == "success", str(run)
        assert run.tasks["train"]["try_number"] == 2
        assert [status for _, status in run.jobs("training")] == ["Failed", "Completed"]

    def test_the_failed_job_and_the_log_say_why(self, pipeline, second):
        _, run = second
        [(name, _), _] = run.jobs("training")
        reason = pipeline.aws("sagemaker").describe_training_job(TrainingJobName=name)["FailureReason"]
        assert "kill" in reason.lower()
        assert reason in run.log("train", 1)

    def test_the_same_endpoint_is_updated(self, pipeline, second):
        before, run = second
        [endpoint] = pipeline.endpoints()
        assert endpoint["EndpointStatus"] == "InService"
        assert pipeline.endpoint_config() != before
        features, scores = smoke_sample(run)
        assert pipeline.ask(features) == pytest.approx(scores, abs=1e-6)

    def test_the_challenger_was_judged_against_the_champion_on_one_holdout(self, first, second):
        _, run = second
        evaluation = run.evaluation
        assert evaluation["paired"]["against"] == "champion"
        assert evaluation["champion"]["auc"] == pytest.approx(first.evaluation["challenger"]["auc"])
        assert run.states("profile.comparison") == ["success"]


def test_a_refused_challenger_skips_the_release_and_is_no_failure(pipeline, second, data):
    before = pipeline.endpoint_config()
    run = pipeline.train(data, num_round=1, eta=0.01, margin=0)
    assert run.state == "success", str(run)
    assert run.states("gate", *RELEASE) == ["success", "skipped", "skipped", "skipped"]
    verdict = run.xcom("gate", "verdict")
    assert verdict["approved"] is False
    assert "worse than the champion" in verdict["reasons"][0]
    assert pipeline.endpoint_config() == before


def test_a_quoted_file_is_refused_by_name_and_never_trains(pipeline, customers, tmp_path, second):
    quoted = tmp_path / "quoted.csv"
    quoted.write_text("".join(f'"{line}"\n' for line in customers.read_text().splitlines()))
    before = pipeline.endpoint_config()
    run = pipeline.train(pipeline.put(quoted))
    assert run.state == "failed"
    assert run.states("prepare.validate", "prepare.etl", "train") == [
        "failed",
        "upstream_failed",
        "upstream_failed",
    ]
    assert run.tasks["prepare.validate"]["try_number"] == 1  # bad data does not get better by trying again
    assert "one quoted field" in run.log("prepare.validate")
    assert run.jobs("training") == []
    assert pipeline.endpoint_config() == before


def test_local_aws_killed_during_glue_and_airflow_killed_during_training(pipeline, second, data):
    run_id = pipeline.start(data, seed=2)

    eventually(lambda: pipeline.computing("images.glue.run"), "the Glue process", 120)
    pipeline.kill_local_aws()

    [training, *_] = eventually(
        lambda: pipeline.computing("images.xgboost.train"), "the training process", 180
    )
    training.suspend()  # so that it cannot end before Airflow is back
    pipeline.kill_airflow_workers()
    eventually(lambda: pipeline.airflow.is_healthy("scheduler"), "the restarted scheduler", 90)
    training.resume()

    run = pipeline.wait(run_id)
    assert run.state == "success", str(run)
    [(_, status)] = run.jobs("training")
    assert status == "Completed"
    assert len(pipeline.glue_runs(run.key)) == 1
    assert len(pipeline.endpoints()) == 1


def test_nothing_computes_when_no_run_is_under_way(pipeline, second):
    assert pipeline.computing() == []


def test_a_stop_and_a_start_lose_nothing(pipeline, second, data):
    _, run = second
    features, _ = sample = smoke_sample(run)
    answers, config = pipeline.ask(features), pipeline.endpoint_config()
    jobs = run.jobs("training")
    interrupted = pipeline.start(data, seed=3)
    [training, *_] = eventually(lambda: pipeline.computing("images.xgboost.train"), "the training", 180)
    training.suspend()  # so that it cannot end while Airflow stops
    pipeline.stop_airflow()
    training.resume()

    stack.down(pipeline.settings)
    assert pipeline.computing() == []
    stack.up(pipeline.settings)

    assert pipeline.endpoint_config() == config
    assert eventually(lambda: pipeline.try_to_ask(features), "the endpoint", 60) == answers
    assert run.jobs("training") == jobs
    assert smoke_sample(run) == sample
    ended = pipeline.wait(interrupted)
    assert ended.state == "success", str(ended)
    [(failed, status), (_, last)] = ended.jobs("training")
    assert (status, last) == ("Failed", "Completed")
    reason = pipeline.aws("sagemaker").describe_training_job(TrainingJobName=failed)["FailureReason"]
    assert "local AWS was stopped while the job was running" in reason
