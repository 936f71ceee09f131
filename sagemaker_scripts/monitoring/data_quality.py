"""Data quality in Model Monitor's files: ``statistics.json`` from a profile, suggested ``constraints.json``.

Field names, the ten buckets, population standard deviation and the suggestion rules are those of the managed
analyzer's public schema. The extra key ``monitoring_config.window_alarm_rate`` is ours: it switches on the
check of ``drift``, which is calibrated to the window's size.
"""

from __future__ import annotations

import re
from typing import Any

from .profile import ColumnProfile, Profile
from .sketch import buckets

Json = dict[str, Any]

DOMAIN_VALUES = 100  # "small cardinality": AWS does not publish its cut-off


def statistics_of(profile: Profile, excluded: frozenset[str] = frozenset()) -> Json:
    """``statistics.json`` of a profile."""
    return {
        "version": 0.0,
        "dataset": {"item_count": profile.rows},
        "features": [feature(column) for name, column in profile.columns.items() if name not in excluded],
    }


def feature(column: ColumnProfile) -> Json:
    """One entry of ``statistics.json``; a column without any value carries its name and type only."""
    kind = column.inferred_type
    entry: Json = {"name": column.name, "inferred_type": kind}
    common = {"num_present": column.present, "num_missing": column.missing}
    if kind in ("Integral", "Fractional"):
        values, weights = column.sketch.items()
        entry["numerical_statistics"] = {
            "common": common,
            "mean": column.mean,
            "sum": column.mean * column.numbers,
            "std_dev": column.std_dev,
            "min": column.low,
            "max": column.high,
            "distribution": {
                "kll": {
                    "buckets": buckets(values, weights, column.low, column.high),
                    "sketch": column.sketch.to_json(),
                }
            },
        }
    elif kind == "String":
        counts = column.counts()
        entry["string_statistics"] = {
            "common": common,
            "distinct_count": float(len(counts)),
            "distribution": {
                "categorical": {
                    "buckets": [{"value": value, "count": count} for value, count in counts.most_common()]
                }
            },
        }
    return entry


def suggest_constraints(
    statistics: Json,
    *,
    comparison_method: str = "Robust",
    categorical_drift_method: str = "LInfinity",
    window_alarm_rate: float | None = None,
) -> Json:
    """``constraints.json`` suggested by the statistics of a baseline."""
    config: Json = {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        # Read as "the share of cells that must match": the published run asks for 100 %.
        "datatype_check_threshold": 1.0,
        "domain_content_threshold": 1.0,
        "distribution_constraints": {
            "perform_comparison": "Enabled",
            "comparison_threshold": 0.1,
            "comparison_method": comparison_method,
            "categorical_comparison_threshold": 0.1,
            "categorical_drift_method": categorical_drift_method,
        },
    }
    if window_alarm_rate is not None:
        config["window_alarm_rate"] = window_alarm_rate
    return {
        "version": 0.0,
        "features": [_constraint(entry) for entry in statistics["features"]],
        "monitoring_config": config,
    }


def _constraint(entry: Json) -> Json:
    constraint: Json = {"name": entry["name"], "inferred_type": entry["inferred_type"]}
    body = entry.get("numerical_statistics") or entry.get("string_statistics")
    if body is None:
        return constraint | {"completeness": 0.0}
    common = body["common"]
    total = common["num_present"] + common["num_missing"]
    constraint["completeness"] = common["num_present"] / total if total else 0.0
    if "numerical_statistics" in entry:
        constraint["num_constraints"] = {"is_non_negative": body["min"] >= 0}
    else:
        values = [bucket["value"] for bucket in body["distribution"]["categorical"]["buckets"]]
        if len(values) <= DOMAIN_VALUES:
            constraint["string_constraints"] = {"domains": values}
    return constraint


def kinds_of(baseline: Json) -> dict[str, str]:
    """Column -> inferred type, from either baseline file."""
    return {entry["name"]: entry["inferred_type"] for entry in baseline["features"]}


def metric_name(prefix: str, name: str) -> str:
    """``feature_data_Day Mins``: CloudWatch takes printable ASCII up to 255 characters."""
    return re.sub(r"[^\x20-\x7e]", "_", f"{prefix}_{name}")[:255]


def metrics_of(statistics: Json, distances: dict[str, float]) -> list[Json]:
    """Metric entries (name and value or statistic set), before time and dimensions are added."""
    found: list[Json] = []
    for entry in statistics["features"]:
        name = entry["name"]
        body = entry.get("numerical_statistics") or entry.get("string_statistics")
        if body is None:
            continue
        present, absent = body["common"]["num_present"], body["common"]["num_missing"]
        if "numerical_statistics" in entry and present:
            spread = {
                "SampleCount": present,
                "Sum": body["sum"],
                "Minimum": body["min"],
                "Maximum": body["max"],
            }
            found.append({"MetricName": metric_name("feature_data", name), "StatisticValues": spread})
        if present + absent:
            found.append(
                {"MetricName": metric_name("feature_non_null", name), "Value": present / (present + absent)}
            )
    found += [
        {"MetricName": metric_name("feature_baseline_drift", name), "Value": value}
        for name, value in distances.items()
    ]
    return found
