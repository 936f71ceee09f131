"""The six data-quality checks of a window against a baseline, with the texts Model Monitor's readers parse.

Readers cut ``distance: (.+) exceeds`` and ``Value: (.+) does not meet the constraint requirement!`` out of
the descriptions and turn the group into a number, so those words stay as they are; what we add (the file,
line and cell) follows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from . import distance, drift
from .profile import ColumnProfile, Profile
from .sketch import read_items
from .sources import Refusals

Json = dict[str, Any]

MANGLED_SHARE = 0.05


def check(
    profile: Profile,
    statistics: Json | None,
    constraints: Json,
    refusals: Refusals,
    *,
    group_mangled_rows: bool = True,
) -> tuple[list[Json], dict[str, float]]:
    """``(violations, distance per feature)`` of a window.

    ``group_mangled_rows``: rows in which several cells have the wrong type (at most 5 % of the rows) give one
    violation that names them, instead of one for every column they touch, which is what the managed analyzer
    does.
    """
    config = constraints.get("monitoring_config") or {}
    wanted = [entry for entry in constraints["features"] if _evaluated(entry, config)]
    violations = list(_columns(profile, constraints)) + list(_refused(constraints, refusals))
    grouped = group_mangled_rows and 0 < profile.mangled <= MANGLED_SHARE * profile.rows
    if grouped:
        violations.append(_mangled(profile, constraints, config))
    known = {entry["name"]: entry for entry in (statistics or {}).get("features", [])}
    rate = config.get("window_alarm_rate")
    alpha = rate / max(1, len(wanted)) if rate else None
    distances: dict[str, float] = {}
    for entry in wanted:
        column = profile.columns.get(entry["name"])
        if column is None or not column.total:
            continue
        baseline = known.get(entry["name"])
        violations += _data_type(column, entry, config, grouped)
        violations += _completeness(column, entry, baseline, alpha)
        violations += _domain(column, entry, config)
        if baseline is not None:
            violations += _drift(column, entry, baseline, config, alpha, distances)
    if config.get("evaluate_constraints", "Enabled") != "Enabled":
        violations = []
    return violations, distances


def _violation(feature: str, check_type: str, description: str) -> Json:
    return {"feature_name": feature, "constraint_check_type": check_type, "description": description}


def _evaluated(entry: Json, config: Json) -> bool:
    """Is the feature checked? The SDK puts the override in ``string_constraints``, the guide beside it."""
    for holder in (entry, entry.get("string_constraints") or {}, entry.get("num_constraints") or {}):
        override = holder.get("monitoring_config_overrides") or holder.get("monitoringConfigOverrides") or {}
        if "evaluate_constraints" in override:
            return bool(override["evaluate_constraints"] == "Enabled")
    return bool(config.get("evaluate_constraints", "Enabled") == "Enabled")


def _columns(profile: Profile, constraints: Json) -> Iterator[Json]:
    expected = [entry["name"] for entry in constraints["features"]]
    found = list(profile.columns)
    absent = [name for name in expected if name not in profile.columns]
    extra = [name for name in found if name not in expected]
    counts = (
        f"Number of columns in current dataset: {len(found)}, "
        f"Number of columns in baseline constraints: {len(expected)}"
    )
    if absent and len(found) <= len(expected):
        yield _violation(
            absent[0],
            "missing_column_check",
            f"There are missing columns in current dataset. {counts}. Missing: {', '.join(absent[:5])}.",
        )
    elif len(found) > len(expected):
        yield _violation(
            extra[0],
            "extra_column_check",
            f"There are extra columns in current dataset. {counts}. Extra: {', '.join(extra[:5])}.",
        )


def _refused(constraints: Json, refusals: Refusals) -> Iterator[Json]:
    """Records that could not be read.

    The name is that of the first column: readers look names up in the statistics.
    """
    if refusals.total and constraints["features"]:
        yield _violation(constraints["features"][0]["name"], "record_check", f"{refusals.sentence()}.")


def _mangled(profile: Profile, constraints: Json, config: Json) -> Json:
    kinds = {entry["name"]: entry["inferred_type"] for entry in constraints["features"]}
    column = max(profile.columns.values(), key=lambda c: c.broken_in_mangled_rows)
    share = 100.0 * (1 - profile.mangled / profile.rows)
    rows = "row has" if profile.mangled == 1 else "rows have"
    others = f" Rows: {', '.join(profile.mangled_rows)}." if profile.mangled > 1 else ""
    return _violation(
        column.name,
        "data_type_check",
        f"{_type_text(kinds[column.name], config, share)} "
        f"{profile.mangled} {rows} cells of the wrong type in several columns; "
        f"{profile.first_mangled}.{others}",
    )


def _type_text(kind: str, config: Json, percent: float) -> str:
    expected = 100.0 * config.get("datatype_check_threshold", 1.0)
    return (
        f"Data type match requirement is not met. Expected data type: {kind}, Expected match: {expected}%. "
        f"Observed: Only {percent}% of data is {kind}."
    )


def _data_type(column: ColumnProfile, entry: Json, config: Json, grouped: bool) -> Iterator[Json]:
    kind = entry["inferred_type"]
    if kind not in ("Integral", "Fractional") or not column.present:
        return
    aside = column.broken_in_mangled_rows if grouped else 0
    share = 1 - (column.broken - aside) / max(1, column.present - aside)
    if share < config.get("datatype_check_threshold", 1.0):
        named = f" First: {column.first_broken}." if column.first_broken else ""
        yield _violation(column.name, "data_type_check", _type_text(kind, config, 100.0 * share) + named)


def _completeness(
    column: ColumnProfile, entry: Json, baseline: Json | None, alpha: float | None
) -> Iterator[Json]:
    expected = entry.get("completeness")
    observed = column.present / column.total
    if expected is None or observed >= expected:
        return
    body = (baseline or {}).get("numerical_statistics") or (baseline or {}).get("string_statistics")
    if alpha is not None and body and expected < 1.0:
        rows = body["common"]["num_present"] + body["common"]["num_missing"]
        if not drift.completeness_falls(expected, rows, column.present, column.total, alpha):
            return
    yield _violation(
        column.name,
        "completeness_check",
        f"Value: {observed} does not meet the constraint requirement! "
        f"At least {expected} of the cells must be present.",
    )


def _domain(column: ColumnProfile, entry: Json, config: Json) -> Iterator[Json]:
    domains = (entry.get("string_constraints") or {}).get("domains")
    if not domains or not column.present:
        return
    known = set(domains)
    strange = {value: count for value, count in column.counts().items() if value not in known}
    share = 1 - sum(strange.values()) / column.present
    if strange and share < config.get("domain_content_threshold", 1.0):
        shown = ", ".join(repr(value) for value in sorted(strange, key=lambda v: -strange[v])[:5])
        yield _violation(
            column.name,
            "categorical_values_check",
            f"Value: {share} does not meet the constraint requirement! "
            f"Not among the baseline's values: {shown}.",
        )


def _drift(
    column: ColumnProfile,
    entry: Json,
    baseline: Json,
    config: Json,
    alpha: float | None,
    distances: dict[str, float],
) -> Iterator[Json]:
    rules = config.get("distribution_constraints") or {}
    if rules.get("perform_comparison", "Enabled") != "Enabled":
        return
    if "numerical_statistics" in baseline:
        stored = read_items(baseline["numerical_statistics"]["distribution"]["kll"]["sketch"])
        window = column.sketch.items()
        n, m = float(stored[1].sum()), float(window[1].sum())
        found, limit, word = (
            distance.numeric(stored, window),
            rules.get("comparison_threshold", 0.1),
            "numerical",
        )
        if rules.get("comparison_method", "Robust") == "Robust":
            found = distance.robust(found, n, m)
        own = drift.numeric_drift(stored, window, alpha) if alpha and n and m else None
    elif "string_statistics" in baseline:
        counts = {
            bucket["value"]: bucket["count"]
            for bucket in baseline["string_statistics"]["distribution"]["categorical"]["buckets"]
        }
        here = column.counts()
        found, limit, word = _categorical(counts, here, rules)
        own = drift.categorical_drift(counts, here, alpha) if alpha else None
    else:
        return
    if math.isnan(found):
        return
    distances[entry["name"]] = own[0] if own else found
    yield from _distance_violation(column.name, word, found, limit, own)


def _categorical(counts: dict[str, float], here: dict[str, int], rules: Json) -> tuple[float, float, str]:
    limit = float(rules.get("categorical_comparison_threshold") or rules.get("comparison_threshold") or 0.1)
    if rules.get("categorical_drift_method", "LInfinity") == "ChiSquared":
        return distance.chi_squared(here, counts), limit, "p-value"
    found = distance.categorical(counts, here)
    if rules.get("comparison_method", "Robust") == "Robust":
        found = distance.robust(found, sum(counts.values()), sum(here.values()))
    return found, limit, "categorical"


def _distance_violation(
    name: str, word: str, found: float, limit: float, own: tuple[float, float] | None
) -> Iterator[Json]:
    if word == "p-value":
        if found < limit:  # a p-value: small means different
            text = (
                f"Categorical distance: {found} exceeds categorical threshold: {limit} (p-value, ChiSquared)"
            )
            yield _violation(name, "baseline_drift_check", text)
        return
    if found > limit:
        text = f"{word.capitalize()} distance: {found} exceeds {word} threshold: {limit}"
        yield _violation(name, "baseline_drift_check", text)
    elif own and own[0] > own[1]:
        text = f"{word.capitalize()} distance: {own[0]} exceeds {word} threshold: {own[1]} (by sample sizes)"
        yield _violation(name, "baseline_drift_check", text)
