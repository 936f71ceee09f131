"""What bandit_warm_start does itself: creates or resumes an experiment and everything that it needs."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from config import load
from mlops.aws import client, delete_prefix, split_s3
from mlops.bandit import catalog, metrics, requests, tasks
from mlops.bandit.experiment import BadExperiment, Experiment, check_policy, reward_range
from mlops.bandit.workflows import HOSTING, JOINING

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM_SECONDS = 300.0


@tasks.final
def plan(params: dict[str, Any], dag_run: Any = None, ti: Any = None) -> dict[str, Any]:
    """Creates or resumes the experiment: record, tables, streams, dashboard; copies the log."""
    settings, records, me = load(), tasks.store(), tasks.owner(dag_run)
    experiment = Experiment(settings, params["experiment"])
    check_policy(params["policy"])
    s3, now = client("s3"), datetime.now(UTC)
    source = _log(s3, params["data"])
    record = records.create(
        experiment.id,
        policy=json.dumps(params["policy"], sort_keys=True),
        train_share=params["train_share"],
        root=experiment.s3(),
    )
    _same_policy(experiment, record, params)
    for left in records.abandon(experiment.id, me, lambda other: tasks.is_over(ti, other)):
        print(f"taken over: {left}")
    _put(s3, experiment.s3("config/policy_config.json"), record["policy"])
    glue = client("glue")
    catalog.create_tables(glue, experiment)
    create_streams(client("firehose"), experiment)
    metrics.put_dashboard(client("cloudwatch"), experiment)
    joining = record[JOINING.metadata]
    mine = joining.get("owner") == me
    join_id = (
        joining.get(JOINING.next) or joining[JOINING.last]
        if mine
        else experiment.join_id(dag_run.run_id, now)
    )
    channels = {"config": experiment.s3("config/")}
    if source:
        records.request(JOINING, experiment.id, join_id, me, source=params["data"])
        bucket, key = source
        delete_prefix(s3, experiment.s3("warm_start/"))
        target = f"{experiment.root}warm_start/{key.rsplit('/', 1)[-1]}"
        s3.copy({"Bucket": bucket, "Key": key}, settings.bucket, target)
        channels["train"] = experiment.s3(f"joined/join_id={join_id}/outcome=train/")
    champion = record[HOSTING.metadata].get(HOSTING.last)
    champion_uri = records.model(experiment.id, champion)["s3_model_output_path"] if champion else None
    print(f"experiment {experiment.id}: log {params['data'] or 'none'}, champion {champion or 'none yet'}")
    low, high = reward_range(params["policy"])
    model_id, version = experiment.model_id(dag_run.run_id), params["code_version"]
    folder = experiment.s3(f"joins/{join_id}/")
    return {
        "experiment": experiment.id,
        "join_id": join_id if source else None,
        "tables": {kind: experiment.table(kind) for kind in catalog.TABLES},
        "reward_low": low,
        "reward_high": high,
        "train_share": record["train_share"],
        "joined": experiment.s3(f"joined/join_id={join_id}/"),
        "queries": f"{folder}queries/",
        "model_id": model_id,
        "parent": None,
        "champion": champion,
        "champion_uri": champion_uri,
        "manifest": f"{folder}evaluation.manifest",
        "training": requests.training(experiment, model_id, version, channels, params["seed"]),
        "evaluation": requests.evaluation(
            experiment, version, f"{folder}evaluation.manifest", champion_uri, f"{folder}evaluation/"
        ),
        "evaluated": f"{folder}evaluation/evaluation.json",
        "endpoint": experiment.endpoint,
        "deployment": requests.deployment(experiment),
        "code_version": version,
    }


def skip_without_log(context: Any) -> None:
    """Without a log the first model chooses at random: there is nothing to count."""
    if context["ti"].xcom_pull(task_ids="plan")["join_id"] is None:
        raise AirflowSkipException("no log of an earlier policy was given")


@tasks.final
def settle(plan: dict[str, Any], counts: str | None = None) -> None:
    """Counts the log's events and closes the join; lists the events to evaluate on."""
    if plan["join_id"]:
        tasks.close_join(plan, counts)
    else:
        tasks.write_manifest(plan)


@tasks.final
def gate(plan: dict[str, Any], params: dict[str, Any], model_uri: str, ti: Any = None) -> bool:
    """A first policy is refused only when it is worse than the log's; a later one as any challenger."""
    experiment = Experiment(load(), plan["experiment"])
    approved = tasks.verdict_of(plan, params, experiment, ti)
    ti.xcom_push(
        key="model", value=requests.model(experiment, plan["model_id"], model_uri, plan["code_version"])
    )
    ti.xcom_push(key="endpoint_config", value=requests.endpoint_config(experiment, plan["model_id"]))
    return approved


def create_streams(
    firehose: Any,
    experiment: Experiment,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Create the experiment's two streams where they are missing, and wait until both take records."""
    for folder, name in experiment.streams.items():
        try:
            firehose.create_delivery_stream(**requests.stream(experiment, folder))
        except firehose.exceptions.ResourceInUseException:
            continue  # there already, from an earlier try or run
        print(f"created stream {name}")
    deadline = clock() + STREAM_SECONDS
    for name in experiment.streams.values():
        while True:
            description = firehose.describe_delivery_stream(DeliveryStreamName=name)
            status = description["DeliveryStreamDescription"]["DeliveryStreamStatus"]
            if status == "ACTIVE":
                break
            if status != "CREATING" or clock() > deadline:
                raise RuntimeError(
                    f"stream {name} is {status}, not ACTIVE, after {STREAM_SECONDS:.0f} s at most"
                )
            sleep(0.5)


def _log(s3: Any, data: str | None) -> tuple[str, str] | None:
    """Bucket and key of the log; None when there is none. Raises BadExperiment when it is not there."""
    if not data:
        return None
    bucket, key = split_s3(data)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "NoSuchBucket"}:
            raise
        raise BadExperiment(f"parameter data: there is no object {data}") from None
    return bucket, key


def _same_policy(experiment: Experiment, record: dict[str, Any], params: dict[str, Any]) -> None:
    """An experiment is resumed, never changed: its events were split and its models encoded in one way."""
    for name, given in (("policy", params["policy"]), ("train_share", params["train_share"])):
        kept = json.loads(record[name]) if name == "policy" else record[name]
        if kept != given:
            raise BadExperiment(
                f"experiment {experiment.id} was created with another {name} ({json.dumps(kept)[:300]}): "
                "start an experiment with another id, or clean this one up"
            )


def _put(s3: Any, uri: str, text: str) -> None:
    bucket, key = split_s3(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")
