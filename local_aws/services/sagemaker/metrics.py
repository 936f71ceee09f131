"""Metrics of training jobs: regular expressions over the job's log lines."""

from __future__ import annotations

import math
import re
from typing import Any

from local_aws.images import registry

from .backend import Record, Service

NAMESPACE = "/aws/sagemaker/TrainingJobs"

_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
_XGBOOST_METRICS = (
    *("accuracy", "auc", "aucpr", "error", "f1", "gamma-nloglik", "logloss", "mae", "map", "merror"),
    *("mlogloss", "mse", "ndcg", "poisson-nloglik", "precision", "r2", "recall", "rmse", "rmsle"),
)


def built_in_definitions(image_uri: str) -> list[dict[str, str]]:
    """What the service adds for a built-in algorithm. Stored log lines carry TAB as `#011`."""
    if registry.split_uri(image_uri)[0] != "sagemaker-xgboost":
        return []
    return [
        {"Name": f"{channel}:{metric}", "Regex": rf".*\[[0-9]+\].*#011{channel}-{metric}:{_NUMBER}.*"}
        for channel in ("train", "validation")
        for metric in _XGBOOST_METRICS
    ]


def final(service: Service, record: Record) -> list[dict[str, Any]]:
    """FinalMetricDataList: the last value of each metric. Those in CloudWatch are made durable with it."""
    with service.context.state.lock("cloudwatch"):
        service.context.state.commit("cloudwatch")
    return list(record.get("_metrics", {}).values())


class Reader:
    """Watches one job's lines: the last value of every metric into the record, each value into CloudWatch.

    Of a tuning job's training job, every value of the objective is kept, for early stopping.
    """

    def __init__(self, service: Service, record: Record) -> None:
        self.service = service
        self.job = record["TrainingJobName"]
        with service.lock:
            self.latest: dict[str, dict[str, Any]] = record.setdefault("_metrics", {})
            self.objectives: list[float] = record.setdefault("_objectives", [])
        self.objective = record.get("HyperParameters", {}).get("_tuning_objective_metric")
        self.patterns = [
            (definition["Name"], re.compile(definition["Regex"]))
            for definition in record["AlgorithmSpecification"].get("MetricDefinitions", ())
        ]

    def feed(self, line: str) -> None:
        """Take one stored log line. Values that are no finite number are not metrics."""
        now = self.service.now()
        found = []
        for name, pattern in self.patterns:
            match = pattern.search(line)
            value = _number(match) if match else None
            if value is not None:
                found.append({"MetricName": name, "Value": value, "Timestamp": now})
        if not found:
            return
        with self.service.lock:
            self.latest.update({datum["MetricName"]: datum for datum in found})
            self.objectives += [datum["Value"] for datum in found if datum["MetricName"] == self.objective]
        self._publish(found)

    def _publish(self, found: list[dict[str, Any]]) -> None:
        from moto.cloudwatch.models import cloudwatch_backends

        backend = cloudwatch_backends[self.service.backend.account_id][self.service.backend.region_name]
        dimensions = [{"Name": "TrainingJobName", "Value": self.job}]
        with self.service.context.state.lock("cloudwatch"):
            backend.put_metric_data(
                NAMESPACE, [{**datum, "Dimensions": dimensions, "Unit": "None"} for datum in found]
            )


def _number(match: re.Match[str]) -> float | None:
    """The first capture group as a number."""
    try:
        value = float(match.group(1))
    except (IndexError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
