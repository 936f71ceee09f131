"""The work of the DAG monitoring's first task: which window, which model, which files, every request.

Fixed here is what could change while the run is under way: the endpoint may get another model, captures and
labels keep arriving. A retry of a later task sees the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.aws import split_s3
from mlops.champion import Champion, find_champion
from mlops.forms import require_known
from mlops.monitoring import baselines, form, requests, windows
from mlops.monitoring.baselines import Baseline
from mlops.monitoring.requests import Analysis
from mlops.monitoring.windows import Window
from mlops.naming import run_key

if TYPE_CHECKING:
    from config import Settings

Baselines = Mapping[str, Baseline]
SUMMARIES = "executions/"  # below the endpoint's monitoring prefix, one file an execution


class NothingToWatch(LookupError):
    """No model is deployed, or nobody wants it watched; the message says which."""


def make_plan(
    settings: Settings,
    params: Mapping[str, Any],
    run_id: str,
    at: datetime,
    *,
    now: datetime,
    s3: Any,
    sagemaker: Any,
) -> dict[str, Any]:
    """The plan of one run, all of it JSON. `at`: when the run is due; `s3`, `sagemaker`: boto3 clients.

    Raises forms.UnknownParams, NothingToWatch, windows.BadWindow, baselines.NoBaselines,
    champion.UnknownChampion.
    """
    require_known(params, form.params(settings))
    endpoint, policy = settings.churn_endpoint, settings.monitoring
    champion = find_champion(sagemaker, endpoint)
    if champion is None:
        raise NothingToWatch(f"endpoint {endpoint} serves nothing yet: run churn_training first")
    package = sagemaker.describe_model_package(ModelPackageName=champion.model_package)
    known = baselines.of_package(package)
    window = windows.of_run(params, at, timedelta(hours=policy.window_hours))
    named = bool(params.get("start") or params.get("end"))
    delay = timedelta(0) if named else timedelta(hours=policy.label_delay_hours)
    served_since = sagemaker.describe_endpoint(EndpointName=endpoint)["LastModifiedTime"]
    plan = {
        "run_key": run_key(run_id),
        "prefix": settings.s3(settings.run_prefix(run_key(run_id), "monitoring")),
        "mode": params["mode"],
        "endpoint": endpoint,
        "model_package": champion.model_package,
        "window": _texts(window),
        "label_window": _texts(window.earlier(delay)),
    }
    if params["mode"] == "own":
        files = _Files(s3, settings)
        what = Analysis(
            settings, params["code_version"], plan["prefix"], window, champion.metadata.get("run_key", "")
        )
        plan |= _of_requests(what, window.not_before(served_since), files, known, champion)
        plan |= _of_labels(what, window.earlier(delay).not_before(served_since), files, known, champion, now)
    return plan


def _of_requests(
    what: Analysis, window: Window | None, files: _Files, known: Baselines, champion: Champion
) -> dict[str, Any]:
    """The analyses that need no labels: their requests, or `{"no_data": reason}`."""
    captures = files.captures(window) if window else []
    if not window or not captures:
        return {step: {"no_data": _nothing(window)} for step in ("data_quality", "attribution")}
    what = replace(what, window=window)
    return {
        "data_quality": requests.data_quality(what, known["data_quality"], captures),
        "attribution": requests.attribution(
            what, known["attribution"], captures, model_uri=champion.model_uri
        ),
    }


def _of_labels(
    what: Analysis,
    window: Window | None,
    files: _Files,
    known: Baselines,
    champion: Champion,
    now: datetime,
) -> dict[str, Any]:
    """The merge and the analyses of what it brings."""
    captures = files.captures(window) if window else []
    labels = files.labels(window.start, now) if window and captures else []
    if not window or not captures or not labels:
        reason = f"no label has come in for the window {window}" if captures else _nothing(window)
        return {step: {"no_data": reason} for step in ("merge", "model_quality", "bias")}
    what = replace(what, window=window)
    # A model that was registered without its threshold decides at the usual one.
    threshold = champion.metadata.get("threshold", "0.5")
    return {
        "merge": requests.merge(what, captures, labels),
        "model_quality": requests.model_quality(
            what, known["model_quality"], threshold=threshold, history=files.history(what.prefix)
        ),
        "bias": requests.bias(what, known["bias"], threshold=threshold),
    }


def _nothing(window: Window | None) -> str:
    if window is None:
        return "the endpoint's model was deployed after the window: its requests went to an earlier one"
    return f"no request was captured in the window {window}"


@dataclass(frozen=True)
class _Files:
    """What is in S3 for a window; folders without objects are left out, SageMaker refuses a job for them."""

    s3: Any
    settings: Settings

    def captures(self, window: Window) -> list[tuple[str, str]]:
        """S3 prefix and folder (`<variant>/yyyy/mm/dd/HH`) of the window's captures."""
        prefix = self.settings.capture_prefix(self.settings.churn_endpoint)
        listed = self.s3.list_objects_v2(Bucket=self.settings.bucket, Prefix=prefix, Delimiter="/")
        variants = [entry["Prefix"].removeprefix(prefix) for entry in listed.get("CommonPrefixes", [])]
        return self._filled(prefix, [f"{variant}{hour}" for variant in variants for hour in window.hours()])

    def labels(self, since: datetime, now: datetime) -> list[tuple[str, str]]:
        prefix = self.settings.ground_truth_prefix(self.settings.churn_endpoint)
        return self._filled(prefix, windows.label_folders(since, now))

    def history(self, prefix: str) -> str | None:
        """A file of the earlier executions' metrics, for the page; None when there were none."""
        earlier = [
            {"time": one["end"], "metrics": one["metrics"]}
            for one in executions(self.s3, self.settings, self.settings.monitoring.history)
            if one["metrics"]
        ]
        if not earlier:
            return None
        uri = f"{prefix}history/metrics.json"
        bucket, key = split_s3(uri)
        self.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(earlier).encode())
        return uri

    def _filled(self, prefix: str, folders: list[str]) -> list[tuple[str, str]]:
        return [
            (self.settings.s3(f"{prefix}{folder}/"), folder)
            for folder in folders
            if self.s3.list_objects_v2(
                Bucket=self.settings.bucket, Prefix=f"{prefix}{folder}/", MaxKeys=1
            ).get("Contents")
        ]


def executions(s3: Any, settings: Settings, last: int) -> list[dict[str, Any]]:
    """The summaries of the newest executions, by the window's end, oldest first."""
    prefix = settings.monitoring_prefix(settings.churn_endpoint) + SUMMARIES
    return [
        json.load(s3.get_object(Bucket=settings.bucket, Key=key)["Body"])
        for key in sorted(_keys(s3, settings.bucket, prefix))[-last:]
    ]


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def _texts(window: Window) -> dict[str, str]:
    return {"start": windows.iso(window.start), "end": windows.iso(window.end)}
