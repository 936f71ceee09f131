"""Bodies of the monitoring's own tasks, in the DAG `monitoring` and at the end of `churn_training`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from config import load
from mlops.aws import client, split_s3
from mlops.champion import UnknownChampion
from mlops.forms import UnknownParams
from mlops.jobs import KINDS
from mlops.links import page_url
from mlops.monitoring import baselines, outcomes, schedules
from mlops.monitoring import plan as planning
from mlops.monitoring.baselines import MONITORS, NoBaselines
from mlops.monitoring.outcomes import Execution, Outcome
from mlops.monitoring.page import render
from mlops.monitoring.plan import SUMMARIES, NothingToWatch, make_plan
from mlops.monitoring.requests import NAMESPACE
from mlops.monitoring.windows import BadWindow, parse

COUNTED = ("captures", "matched", "waiting", "repeated_labels", "corrected_labels", "labels_without_capture")


def plan(params: dict[str, Any], run_id: str, dag_run: Any, ti: Any) -> dict[str, Any]:
    """Fixes window, model and files of the execution; words every request."""
    settings = load()
    at = dag_run.logical_date or dag_run.run_after
    clients = {name: client(name) for name in ("s3", "sagemaker")}
    try:
        if params["mode"] == "off":
            raise NothingToWatch("monitoring is off in this environment")
        made = make_plan(settings, params, run_id, at, now=datetime.now(UTC), **clients)
    except NothingToWatch as reason:
        print(reason)  # Airflow does not show why a task was skipped
        ti.xcom_push(key="skipped", value=str(reason))
        raise AirflowSkipException(str(reason)) from None
    except (BadWindow, NoBaselines, UnknownChampion, UnknownParams) as error:
        raise AirflowFailException(str(error)) from None
    print(f"endpoint {made['endpoint']}, model package {made['model_package']}")
    print(f"window {made['window']['start']} to {made['window']['end']}, mode {made['mode']}")
    return made


def choose(plan: dict[str, Any]) -> list[str]:
    """Our own analyses, or those of the schedules."""
    own = ["analyse.merge", "analyse.data_quality", "analyse.attribution"]
    return own if plan["mode"] == "own" else ["collect"]


def collect(plan: dict[str, Any]) -> PokeReturnValue:
    """Waits for the four executions of the window's hour."""
    hour = parse(plan["window"]["end"])
    try:
        found = schedules.collect(client("sagemaker"), load(), hour)
    except schedules.NothingToCollect as error:
        raise AirflowFailException(str(error)) from None
    if found is None:
        return PokeReturnValue(is_done=False)
    return PokeReturnValue(is_done=True, xcom_value=[one.as_dict() for one in found])


def summarise(run_id: str, ti: Any) -> dict[str, Any]:
    """What was found, in words, in metrics that ring alarms, and on the endpoint's page. Fails, at the end,
    when an analysis failed."""
    plan = ti.xcom_pull(task_ids="plan")
    if plan is None:
        if reason := ti.xcom_pull(task_ids="plan", key="skipped"):
            raise AirflowSkipException(reason)
        raise AirflowFailException("nothing was analysed: the log of the task plan says why")
    settings, s3 = load(), client("s3")
    if plan["mode"] == "own":
        ended = own_outcomes(plan)
    elif collected := ti.xcom_pull(task_ids="collect"):
        ended = [Outcome(**one) for one in collected]
    else:
        raise AirflowFailException("nothing was collected: the log of the task collect says why")
    execution = summary(plan, run_id, ended, s3)
    for one in ended:
        print(f"{one.monitor}: {one.status}. {one.reason}")
    for monitor, found in execution.violations.items():
        for violation in found:
            print(f"{monitor}: {outcomes.in_words(violation)}")
    prefix = settings.monitoring_prefix(plan["endpoint"])
    name = f"{execution.end.replace(':', '-')}-{plan['run_key']}.json"
    _put(s3, settings.s3(f"{prefix}{SUMMARIES}{name}"), json.dumps(execution.as_dict()), "application/json")
    known = planning.executions(s3, settings, settings.monitoring.history + 1)
    page = settings.s3(f"{prefix}index.html")
    _put(s3, page, render(plan["endpoint"], known, page_url), "text/html")
    resolution = 1 if settings.monitoring.alarm_period < 60 else 60
    client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE, MetricData=outcomes.metric_data(execution, resolution=resolution)
    )
    ti.xcom_push(key="page", value=page_url(page))
    if execution.failures:
        told = "; ".join(f"{one.monitor}: {one.reason}" for one in execution.failures)
        raise AirflowFailException(f"{len(execution.failures)} of {len(ended)} analyses failed. {told}")
    return {
        "drift": {monitor: len(found) for monitor, found in execution.drift.items()},
        "broken_data": len(execution.broken),
        "no_data": [one.monitor for one in execution.without_data],
        "records": dict(execution.records),
    }


def own_outcomes(plan: dict[str, Any]) -> list[Outcome]:
    """How our own analyses ended, asked of SageMaker: a task that died cannot say it.

    What needs merged records ends as the merge did, where that brought none.
    """
    merged = own_outcome(plan, "merge")
    found = []
    for monitor in MONITORS:
        one = own_outcome(plan, monitor)
        if monitor in ("model_quality", "bias") and merged and merged.status not in outcomes.CONCLUDED:
            one = Outcome(monitor, merged.status, merged.reason, job=merged.job)
        found.append(one or Outcome(monitor, "Failed", "it was not started"))
    return found


def own_outcome(plan: dict[str, Any], step: str) -> Outcome | None:
    """The newest job of one step of this run; None when there is none."""
    if reason := plan[step].get("no_data"):
        return Outcome(step, "NO_DATA", reason)
    sagemaker = client("sagemaker")
    listed = sagemaker.list_processing_jobs(
        NameContains=f"monitoring-{plan['run_key']}-{step.replace('_', '-')}-",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ProcessingJobSummaries"]
    if not listed:
        return None
    name = listed[0]["ProcessingJobName"]
    return outcomes.of_job(step, KINDS["processing"].describe(sagemaker, name))


def summary(plan: dict[str, Any], run_id: str, ended: list[Outcome], s3: Any) -> Execution:
    """The execution as it is kept, from the reports' own files."""

    def read(uri: str) -> dict[str, Any]:
        bucket, key = split_s3(uri)
        try:
            return dict(json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]))
        except s3.exceptions.NoSuchKey:
            return {}  # Clarify writes no file of violations where there are none

    reports = {one.monitor: one.report for one in ended if one.report}
    violations = {
        monitor: read(f"{report}constraint_violations.json").get("violations", [])
        for monitor, report in reports.items()
    }
    quality = read(f"{reports['model_quality']}statistics.json") if "model_quality" in reports else {}
    metrics = {
        name: body["value"]
        for name, body in quality.get("binary_classification_metrics", {}).items()
        if isinstance(body.get("value"), float)
    }
    merged = read(f"{plan['prefix']}merge/merge_report.json") if plan["mode"] == "own" else {}
    return Execution(
        endpoint=plan["endpoint"],
        model_package=plan["model_package"],
        start=plan["window"]["start"],
        end=plan["window"]["end"],
        run_id=run_id,
        outcomes=ended,
        violations=violations,
        metrics=metrics,
        records={name: merged[name] for name in COUNTED if name in merged},
    )


def ensure_schedules(model_package: str, model: dict[str, Any], params: dict[str, Any]) -> list[str]:
    """Brings the endpoint's schedules to the new model's baselines, or stops them where others watch it."""
    settings, sagemaker = load(), client("sagemaker")
    if params["monitoring"] != "managed":
        stopped = schedules.stop(sagemaker, settings)
        print(f"managed schedules stopped: {', '.join(stopped) or 'there were none'}")
        return stopped
    package = sagemaker.describe_model_package(ModelPackageName=model_package)
    threshold = float(package["CustomerMetadataProperties"]["threshold"])
    done = []
    for monitor, baseline in baselines.of_package(package).items():
        name = f"{model['ModelName']}-{monitor.replace('_', '-')}"
        config = _for_clarify(baseline, model["ModelName"]) if monitor == "attribution" else None
        wanted = schedules.definition(
            settings, monitor, name, baseline, threshold=threshold, config_uri=config
        )
        done.append(schedules.ensure(sagemaker, monitor, wanted, schedules.schedule(settings, monitor, name)))
    print("\n".join(done))
    return done


def _for_clarify(baseline: baselines.Baseline, model: str) -> str:
    """A copy of the attribution's configuration that names the model to explain; its URI."""
    s3 = client("s3")
    bucket, key = split_s3(str(baseline.config))
    config = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    uri = f"{baseline.prefix}managed/analysis_config.json"
    _put(s3, uri, json.dumps(schedules.explainer_config(config, load(), model)), "application/json")
    return uri


def _put(s3: Any, uri: str, text: str, content_type: str) -> None:
    bucket, key = split_s3(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType=content_type)
