"""Something happens and one run starts: when it is told twice, while Airflow is away, when it is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from config import load
from tests.end_to_end.support import DAG, Pipeline, Run, eventually
from workbench import packaging, redrive
from workbench.settings import ROOT
from workbench.supervision import Supervisord

pytestmark = pytest.mark.timeout(900)  # a fixture of the first test starts the stack and waits for a run
STEM = load("local").stem
FUNCTION = f"{STEM}-trigger-dag"
INCOMING = load("local").incoming_prefix
PATIENCE = 300.0


class Triggers:
    """What stands between an event and Airflow."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.sqs, self.s3 = pipeline.aws("sqs"), pipeline.aws("s3")
        self.dead_url, self.url = redrive.queue_urls(self.sqs, STEM)

    def land(self, path: Path, name: str) -> str:
        """Put a file where new data arrives; its URI."""
        bucket = self.pipeline.settings.bucket
        self.s3.upload_file(str(path), bucket, INCOMING + name)
        return f"s3://{bucket}/{INCOMING}{name}"

    def deliver(self, event: Any) -> None:
        self.sqs.send_message(
            QueueUrl=self.url, MessageBody=event if isinstance(event, str) else json.dumps(event)
        )

    def count(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in counts.values())

    def wait_until_delivered(self) -> None:
        eventually(lambda: self.count(self.url) == 0, "an empty queue of triggers", PATIENCE)

    def runs(self, data: str) -> list[dict[str, Any]]:
        """Runs of churn_training whose conf names a file."""
        return [run for run in self.pipeline.airflow.runs(DAG, limit=50) if run["conf"].get("data") == data]

    def run_of(self, data: str, route: str = "new_data") -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [run for run in self.runs(data) if run["dag_run_id"].startswith(f"{route}__")]

        return eventually(found, f"a run on {data}", PATIENCE)[0]

    def said(self) -> str:
        """The function's log."""
        logs = self.pipeline.aws("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{FUNCTION}")
        return "\n".join(event["message"] for page in pages for event in page["events"])


@pytest.fixture(scope="module")
def triggers(pipeline: Pipeline) -> Triggers:
    return Triggers(pipeline)


@pytest.fixture
def overheard(pipeline: Pipeline) -> Iterator[Any]:
    """The events of new objects, as EventBridge delivers them: call it for the next one."""
    sqs, events = pipeline.aws("sqs"), pipeline.aws("events")
    url = sqs.create_queue(QueueName="overheard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": INCOMING}]}}}
    events.put_rule(Name="overheard", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="overheard", Targets=[{"Id": "queue", "Arn": arn}])

    def heard() -> str:
        found = eventually(
            lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"), "an event"
        )
        return str(found[0]["Body"])

    yield heard
    events.remove_targets(Rule="overheard", Ids=["queue"])
    events.delete_rule(Name="overheard")
    sqs.delete_queue(QueueUrl=url)


def test_a_new_file_becomes_an_updated_endpoint_by_one_run(
    pipeline: Pipeline, triggers: Triggers, overheard: Any, customers: Path, first: Run
) -> None:
    assert first.state == "success", first
    served = pipeline.endpoint_config()

    data = triggers.land(customers, "november.csv")
    event = overheard()
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(triggers.deliver, [event] * 5))
    started = triggers.run_of(data)
    triggers.wait_until_delivered()

    assert [run["dag_run_id"] for run in triggers.runs(data)] == [started["dag_run_id"]]
    assert started["conf"] == {
        "data": data,
        "only_newest": True,
        "reason": f"new object {INCOMING}november.csv",
    }
    assert started["note"].startswith(f"Started by a new object: [{data}](https://")
    run = pipeline.wait(started["dag_run_id"])
    assert run.state == "success", run
    assert run.xcom("prepare.plan", "lineage")["data"] == data
    assert pipeline.endpoint_config() != served
    assert run.key in pipeline.endpoint_config()

    triggers.deliver(event)  # once more, long after
    triggers.wait_until_delivered()
    assert len(triggers.runs(data)) == 1
    assert triggers.said().count("this event has started its run before") >= 6


def test_a_version_that_somebody_approves_is_served_again(
    pipeline: Pipeline, triggers: Triggers, first: Run
) -> None:
    """Back to an older model by the registry alone."""
    older = first.xcom("release.register", "model_package")
    assert first.key not in pipeline.endpoint_config()
    registry = pipeline.aws("sagemaker")

    for status in ("Rejected", "Approved"):
        registry.update_model_package(ModelPackageArn=older, ModelApprovalStatus=status)
    started = eventually(
        lambda: pipeline.airflow.runs("churn_deployment"), "a run of churn_deployment", PATIENCE
    )
    run = pipeline.wait(started[0]["dag_run_id"], "churn_deployment")

    assert run.state == "success", run
    assert started[0]["conf"]["model_package"] == older
    assert first.key in pipeline.endpoint_config()
    triggers.wait_until_delivered()
    assert len(pipeline.airflow.runs("churn_deployment")) == 1


def test_what_happens_while_airflow_is_away_is_done_when_it_is_back(
    pipeline: Pipeline, triggers: Triggers, customers: Path, tmp_path: Path
) -> None:
    """Two files land. The older one's run finds that only the newest counts; that one's data is refused."""
    broken = tmp_path / "broken.csv"
    broken.write_text("State,Phone\nOH,1\n")
    supervisord = Supervisord(pipeline.settings).rpc
    supervisord.stopProcess("airflow:api-server")
    try:
        older, newer = triggers.land(customers, "day-1.csv"), triggers.land(broken, "day-2.csv")
        away = "Airflow does not take the run now"
        eventually(lambda: triggers.said().count(away) >= 2, "two attempts in vain", PATIENCE)
        assert triggers.count(triggers.url) == 2
    finally:
        supervisord.startProcess("airflow:api-server")
    eventually(lambda: pipeline.airflow.is_healthy("metadatabase"), "Airflow's API", PATIENCE)

    skipped, refused = (pipeline.wait(triggers.run_of(data)["dag_run_id"]) for data in (older, newer))

    assert {task["state"] for task in skipped.tasks.values()} == {"skipped"}
    assert skipped.state == "success"
    assert f"{older} is no longer the newest file: {newer} has landed since" in skipped.log("prepare.plan")
    assert refused.state == "failed"
    assert refused.states("prepare.validate") == ["failed"]
    assert triggers.count(triggers.dead_url) == 0


def test_poison_waits_with_its_reason_until_somebody_has_repaired_what_was_wrong(
    pipeline: Pipeline, triggers: Triggers, tmp_path: Path
) -> None:
    """An event without a route, which is then added to the table; and a conf that the form would not take."""
    old = f"s3://{pipeline.settings.bucket}/{INCOMING}day-1.csv"
    delivery = {"source": "acme.export", "detail-type": "Export Done", "time": "2026-11-21T09:00:00Z"}
    delivery["detail"] = {"file": old}  # type: ignore[assignment]
    triggers.deliver(delivery)
    triggers.deliver({"dag": DAG, "conf": {"eta": -1}})
    eventually(lambda: triggers.count(triggers.dead_url) == 2, "two dead letters", PATIENCE)
    letters = redrive.dead_letters(triggers.sqs, triggers.dead_url)
    by_body = {letter.body: letter for letter in letters}
    unroutable = by_body[json.dumps(delivery)]
    assert "no route for the event" in unroutable.reason
    (bad_conf,) = [letter for letter in letters if letter is not unroutable]
    assert re.search(r"refused churn_training .*400.*eta", bad_conf.reason, re.DOTALL)
    functions = pipeline.aws("lambda")

    try:
        functions.update_function_code(FunctionName=FUNCTION, ZipFile=with_another_route(tmp_path))
        redrive.redrive(triggers.sqs, triggers.dead_url, triggers.url, [unroutable])
        run = pipeline.wait(triggers.run_of(old, "exports")["dag_run_id"])
    finally:
        functions.update_function_code(FunctionName=FUNCTION, ZipFile=packaging.function(ROOT))

    assert run.states("prepare.plan") == ["skipped"]  # the file is old news by now: but the run was started
    triggers.sqs.delete_message(QueueUrl=triggers.dead_url, ReceiptHandle=bad_conf.handle)
    eventually(lambda: triggers.count(triggers.dead_url) == 0, "an empty dead-letter queue")


def with_another_route(folder: Path) -> bytes:
    """The function as it is, with one more route in its table."""
    functions = ROOT / "lambda_functions"
    files = packaging.tree(functions / "trigger_dag", functions)
    table = folder / "routes.toml"
    table.write_text(
        files["trigger_dag/routes.toml"].read_text()
        + """
[routes.exports]
pattern.source = ["acme.export"]
dag = "churn_training"
identity = ["{detail.file}", "{time}"]
note = "Started by an export"
conf.data = "{detail.file}"
conf.only_newest = true
"""
    )
    return packaging.archive(files | {"trigger_dag/routes.toml": table})
