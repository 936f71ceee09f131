"""Bodies of the bandit DAGs' own tasks: what the worker does itself, in seconds and without a data set.

What a person has to put right (an id, a policy, another run that is busy) fails the task without further
tries; everything else may be tried again. Workflows move with the operators that do their work: `begins` and
`ends` are the hooks that Airflow calls before and after an operator.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSkipException

from config import load
from mlops.aws import client, split_s3
from mlops.bandit import catalog, hosting, joins, metrics, requests, rewards
from mlops.bandit.experiment import HOUR, BadExperiment, Experiment, reward_range
from mlops.bandit.gate import decide
from mlops.bandit.store import InvalidUsage, Store, UnknownRecord
from mlops.bandit.workflows import EVALUATION, FAILED, HOSTING, JOINING, TRAINING, Workflow
from mlops.evaluation import EvaluationUnusable
from mlops.operators.athena import rows

HOPELESS = (BadExperiment, EvaluationUnusable, InvalidUsage, UnknownRecord)


def final(body: Callable[..., Any]) -> Callable[..., Any]:
    """What another try would not change fails the task at once."""

    @functools.wraps(body)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return body(*arguments, **named)
        except HOPELESS as error:
            raise AirflowFailException(str(error)) from None

    return call


def store() -> Store:
    return Store(load(), client("dynamodb"))


def owner(dag_run: Any) -> str:
    """How the store names a DAG run."""
    return f"{dag_run.dag_id}/{dag_run.run_id}"


@final
def wait(params: dict[str, Any], dag_run: Any = None) -> PokeReturnValue:
    """Waits for a batch: by size, by the clock, or not at all. Without any reward the run is skipped."""
    experiment, s3, now = Experiment(load(), params["experiment"]), client("s3"), datetime.now(UTC)
    last = last_claim(s3, experiment, store().experiment(experiment.id))
    keys = rewards.waiting(s3, experiment, last, now)
    over = now - dag_run.start_date >= timedelta(seconds=params["maximum_wait"])
    if params["learn_now"] or over:
        if not keys:
            raise AirflowSkipException(f"experiment {experiment.id} has no rewards to learn from")
        return PokeReturnValue(is_done=True)
    found = rewards.count(s3, experiment, keys, params["minimum_rewards"])
    print(f"{found} of {params['minimum_rewards']} rewards, in {len(keys)} objects")
    return PokeReturnValue(is_done=found >= params["minimum_rewards"])


@final
def plan(params: dict[str, Any], dag_run: Any = None, ti: Any = None) -> dict[str, Any]:
    """Claims the waiting rewards for one join and words the requests of everything that follows."""
    settings, records, s3, me = load(), store(), client("s3"), owner(dag_run)
    experiment, now = Experiment(settings, params["experiment"]), datetime.now(UTC)
    for left in records.abandon(experiment.id, me, functools.partial(is_over, ti)):
        print(f"taken over: {left}")
    record = records.experiment(experiment.id)
    joining = record[JOINING.metadata]
    mine = joining.get("owner") == me
    join_id = (
        joining.get(JOINING.next) or joining[JOINING.last]
        if mine
        else experiment.join_id(dag_run.run_id, now)
    )
    last_join = records.join(experiment.id, join_id).get("last_join") if mine else joining.get(JOINING.last)
    records.request(JOINING, experiment.id, join_id, me, last_join=last_join)
    last = rewards.read(s3, experiment, last_join) if last_join else None
    claim = rewards.claim(s3, experiment, join_id, last, now)
    as_of = datetime.fromisoformat(claim.as_of)
    since = datetime.fromisoformat(last.as_of if last else record["created_at"])
    arrivals = joins.arrivals(since, settings.bandit, as_of)
    glue = client("glue")
    catalog.add_partitions(glue, experiment, "rewards", [join_id])
    catalog.add_partitions(glue, experiment, "observations", arrivals)
    champion = record[HOSTING.metadata].get(HOSTING.last)
    parent = record[TRAINING.metadata].get(TRAINING.last)
    model_id = experiment.model_id(dag_run.run_id)
    if parent == model_id:  # the run is being repeated after it has trained
        parent = records.model(experiment.id, model_id)["input_model_id"]
    if not parent or not champion:
        raise InvalidUsage(f"experiment {experiment.id} serves no model yet: run bandit_warm_start first")
    artefact = {
        name: records.model(experiment.id, name)["s3_model_output_path"] for name in {parent, champion}
    }
    print(f"join {join_id}: {len(claim.rewards)} objects of rewards; parent {parent}, champion {champion}")
    low, high = reward_range(json.loads(record["policy"]))
    folder = experiment.s3(f"joins/{join_id}/")
    channels = {
        "parent": artefact[parent].rsplit("/", 1)[0] + "/",
        "train": experiment.s3(f"joined/join_id={join_id}/outcome=train/"),
    }
    version = params["code_version"]
    return {
        "experiment": experiment.id,
        "join_id": join_id,
        "last_join": last_join,
        "as_of": as_of.timestamp(),
        "last_as_of": datetime.fromisoformat(last.as_of).timestamp() if last else None,
        "arrivals": arrivals,
        "tables": {kind: experiment.table(kind) for kind in catalog.TABLES},
        "reward_low": low,
        "reward_high": high,
        "train_share": record["train_share"],
        "late_seconds": settings.bandit.late_hours * 3600,
        "default_reward": float(params["default_reward"]),
        "joined": experiment.s3(f"joined/join_id={join_id}/"),
        "queries": f"{folder}queries/",
        "model_id": model_id,
        "parent": parent,
        "champion": champion,
        "champion_uri": artefact[champion],
        "manifest": f"{folder}evaluation.manifest",
        "training": requests.training(experiment, model_id, version, channels, params["seed"]),
        "evaluation": requests.evaluation(
            experiment, version, f"{folder}evaluation.manifest", artefact[champion], f"{folder}evaluation/"
        ),
        "evaluated": f"{folder}evaluation/evaluation.json",
        "endpoint": experiment.endpoint,
        "deployment": requests.deployment(experiment),
        "code_version": version,
    }


def is_over(ti: Any, other: str) -> bool:
    """Whether the DAG run that the store names has ended, or is not known to Airflow any more."""
    dag_id, _, run_id = other.partition("/")
    try:
        return str(ti.get_dagrun_state(dag_id, run_id)) in {"success", "failed"}
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == 404:  # deleted, or of another Airflow
            return True
        raise


def last_claim(s3: Any, experiment: Experiment, record: Mapping[str, Any]) -> rewards.Claim | None:
    """What the last join that succeeded had claimed."""
    last = record[JOINING.metadata].get(JOINING.last)
    return rewards.read(s3, experiment, last) if last else None


@final
def scope(plan: dict[str, Any], look: str, params: dict[str, Any]) -> dict[str, Any]:
    """Names the hour partitions that hold the batch's observations, and the joins that may have used them."""
    settings, records = load(), store()
    experiment = Experiment(settings, plan["experiment"])
    record = records.experiment(experiment.id)
    found = joins.read_look(rows(client("athena"), look))
    as_of = datetime.fromtimestamp(plan["as_of"], UTC)
    policy = settings.bandit.model_copy(update={"reward_horizon": params["reward_horizon"]})
    last = datetime.fromtimestamp(plan["last_as_of"], UTC) if plan["last_as_of"] else None
    defaults = joins.to_default(policy, last, as_of)
    known = joins.remembered(record.get("stragglers", {}), found.stragglers, policy, as_of)
    hours = joins.partitions(found, known, policy, as_of, defaults)
    catalog.add_partitions(client("glue"), experiment, "observations", hours)
    since = datetime.strptime(hours[0], HOUR).replace(tzinfo=UTC) - timedelta(hours=1) if hours else as_of
    earlier = joins.to_check(records.joins(experiment.id, f"{since:{HOUR}}"), plan["join_id"], hours)
    records.note("experiments", experiment.id, experiment.id, stragglers=known)
    records.advance(JOINING, experiment.id, plan["join_id"], JOINING.running, hours=hours)
    print(f"reading {len(hours)} hours of observations ({', '.join(hours)}) and {len(earlier)} earlier joins")
    return {
        "hours": hours,
        "earlier": earlier,
        "defaults": [moment.timestamp() for moment in defaults] if defaults else None,
    }


@final
def settle(plan: dict[str, Any], counts: str) -> bool:
    """Counts what became of the rewards and closes the join; ends the run without an event to train on."""
    counted = close_join(plan, counts)
    if not counted.counts.get("train"):
        print("no event of this batch is to train on: nothing is learned")
    return bool(counted.counts.get("train"))


def close_join(plan: dict[str, Any], counts: str | None) -> joins.Counted:
    """Reads the counts of the run's join, writes them down everywhere, lists the events to evaluate on."""
    experiment = Experiment(load(), plan["experiment"])
    counted = joins.read_counts(rows(client("athena"), counts)) if counts else joins.read_counts([])
    print(counted)
    store().advance(JOINING, experiment.id, plan["join_id"], JOINING.succeeded, **counted.as_dict())
    metrics.publish(client("cloudwatch"), experiment, metrics.of_batch(counted))
    write_manifest(plan)
    return counted


def write_manifest(plan: dict[str, Any]) -> None:
    """Lists the objects of the events that the evaluation is to read, in SageMaker's form."""
    s3 = client("s3")
    objects = evaluation_objects(s3, store(), Experiment(load(), plan["experiment"]))
    bucket, key = split_s3(plan["manifest"])
    body = json.dumps([{"prefix": f"s3://{bucket}/"}, *objects]).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def evaluation_objects(s3: Any, records: Store, experiment: Experiment) -> list[str]:
    """Keys of the evaluation splits of the newest joins: events that no model was ever trained on."""
    found: list[str] = []
    window = experiment.settings.bandit.evaluation_batches
    for join in records.joins(experiment.id):
        if join["current_state"] != JOINING.succeeded or not join["counts"]["evaluation"]:
            continue
        prefix = f"{experiment.root}joined/join_id={join['join_job_id']}/outcome=evaluation/"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=experiment.settings.bucket, Prefix=prefix)
        found += [item["Key"] for page in pages for item in page.get("Contents", [])]
        window -= 1
        if not window:
            break
    return found


def begins(workflow: Workflow) -> Callable[[Any], None]:
    """A hook before an operator: the workflow takes up the run's model."""

    @final
    def hook(context: Any) -> None:
        made = context["ti"].xcom_pull(task_ids=plan_task(context))
        attributes = {TRAINING: ("parent", "join_id"), EVALUATION: ("manifest",)}.get(workflow, ())
        names = {"parent": "input_model_id", "join_id": "input_join_job_id", "manifest": "eval_data_s3_path"}
        given = {names[name]: made.get(name) for name in attributes}
        experiment, model_id = made["experiment"], made["model_id"]
        state = store().request(workflow, experiment, model_id, owner(context["dag_run"]), **given)
        if state == "PENDING":
            store().advance(workflow, experiment, model_id, workflow.running)

    return hook


def ends(workflow: Workflow) -> Callable[[Any, Any], None]:
    """A hook after an operator that succeeded: the workflow has done its work."""

    @final
    def hook(context: Any, result: Any) -> None:
        made = context["ti"].xcom_pull(task_ids=plan_task(context))
        given: dict[str, Any] = {}
        if workflow is TRAINING:
            given = {"s3_model_output_path": result["model"], "training_job_name": result["job_name"]}
        elif workflow is EVALUATION:
            given = {"evaluation_job_name": result["job_name"]}
        store().advance(workflow, made["experiment"], made["model_id"], workflow.succeeded, **given)

    return hook


def fails(workflow: Workflow) -> Callable[[Any], None]:
    """A callback of a task that has failed for good: the workflow is free again."""

    def callback(context: Any) -> None:
        made = context["ti"].xcom_pull(task_ids=plan_task(context))
        reason = str(context.get("exception") or "the task failed")[:1000]
        thing = made["join_id"] if workflow is JOINING else made["model_id"]
        try:
            store().advance(workflow, made["experiment"], thing, FAILED, reason=reason)
        except (InvalidUsage, UnknownRecord) as error:
            print(f"{workflow.name} is left as it is: {error}")

    return callback


def plan_task(context: Any) -> str:
    """Which task of the DAG made the plan."""
    return "plan" if context["dag_run"].dag_id == "bandit_warm_start" else "batch.plan"


def begins_evaluation(context: Any) -> None:
    """As `begins`, once there is anything to evaluate on; until then the task is skipped."""
    made = context["ti"].xcom_pull(task_ids=plan_task(context))
    bucket, key = split_s3(made["manifest"])
    if len(json.load(client("s3").get_object(Bucket=bucket, Key=key)["Body"])) < 2:
        raise AirflowSkipException("there are no events to evaluate on yet")
    begins(EVALUATION)(context)


@final
def gate(plan: dict[str, Any], params: dict[str, Any], model_uri: str | None, ti: Any = None) -> list[str]:
    """Decides; returns the tasks to go on with: none when the champion stays."""
    if model_uri is None:
        print("nothing was learned from this batch: the champion stays")
        return []
    experiment = Experiment(load(), plan["experiment"])
    approved = verdict_of(plan, params, experiment, ti)
    ti.xcom_push(
        key="model", value=requests.model(experiment, plan["model_id"], model_uri, plan["code_version"])
    )
    ti.xcom_push(key="endpoint_config", value=requests.endpoint_config(experiment, plan["model_id"]))
    if approved and not params.get("deploy", True):
        print("the trigger form said not to swap: the champion stays")
        return []
    step = {"soft": "swap.soft", "blue-green": "swap.blue_green"}[params["swap"]]
    return [step] if approved else []


def verdict_of(plan: dict[str, Any], params: dict[str, Any], experiment: Experiment, ti: Any) -> bool:
    """Whether the run's model may serve; the verdict goes into the log, XCom, the store and CloudWatch."""
    bucket, key = split_s3(plan["evaluated"])
    s3 = client("s3")
    try:
        evaluation = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    except s3.exceptions.NoSuchKey:
        print("no evaluation was made: there were no events to evaluate on")
        return not plan["champion"]
    verdict = decide(evaluation, margin=params["margin"], minimum_rows=params["minimum_rows"])
    print(verdict)
    ti.xcom_push(key="verdict", value=verdict.as_dict())
    values = metrics.of_evaluation(evaluation) | metrics.of_verdict(verdict)
    metrics.publish(client("cloudwatch"), experiment, values)
    scores = {
        role: policy["estimates"]["dr"]["value"] for role, policy in evaluation["policies"].items() if policy
    }
    scores |= {"logged": evaluation["logged"]["value"], "rows": evaluation["rows"]}
    store().note(
        "models",
        experiment.id,
        plan["model_id"],
        eval_scores={plan["evaluated"]: scores},
        verdict=verdict.as_dict(),
    )
    return verdict.approved


@final
def soft_swap(plan: dict[str, Any], model_uri: str, dag_run: Any = None) -> None:
    """Tells the running containers to pick the model up."""
    experiment, records = Experiment(load(), plan["experiment"]), store()
    state = records.request(HOSTING, experiment.id, plan["model_id"], owner(dag_run))
    if state == "PENDING":
        hosting.point(client("s3"), experiment, plan["model_id"], model_uri)
        records.advance(HOSTING, experiment.id, plan["model_id"], HOSTING.running)


def point_new_containers(context: Any) -> None:
    """Before containers are built for a model: they read the pointer when they start."""
    begins(HOSTING)(context)
    made = context["ti"].xcom_pull(task_ids=plan_task(context))
    model_uri = context["ti"].xcom_pull(task_ids="train", key="model")
    hosting.point(client("s3"), Experiment(load(), made["experiment"]), made["model_id"], model_uri)


@final
def verify(dag_run: Any = None, ti: Any = None) -> str:
    """Asks every worker what it serves. A swap that failed is undone, and fails the run."""
    # Pulled, not an argument: with the plan upstream the task would run after a champion that stayed, too.
    plan = ti.xcom_pull(task_ids=plan_task({"dag_run": dag_run}))
    settings, records = load(), store()
    experiment = Experiment(settings, plan["experiment"])
    try:
        workers = hosting.verify(
            client("sagemaker-runtime"),
            client("dynamodb"),
            experiment,
            plan["model_id"],
            seconds=settings.bandit.swap_seconds,
        )
    except hosting.SwapFailed as error:
        records.advance(HOSTING, experiment.id, plan["model_id"], FAILED, reason=str(error))
        if plan["champion"]:
            hosting.point(client("s3"), experiment, plan["champion"], plan["champion_uri"])
        raise AirflowFailException(str(error)) from None
    records.advance(HOSTING, experiment.id, plan["model_id"], HOSTING.succeeded)
    print(f"{workers} workers of {experiment.endpoint} serve {plan['model_id']}")
    return str(plan["model_id"])


def next_batch(params: dict[str, Any]) -> dict[str, Any]:
    """The params of the next batch's run; skipped after the last one."""
    if params["batches"] <= 1:
        raise AirflowSkipException("that was the last batch of this loop")
    return {**params, "batches": params["batches"] - 1}
