"""The page a person opens after an execution: what was found, in words and pictures, in one HTML file.

Everything in it comes from the report's own files and the baseline's; every text is escaped. ``history`` is
optional: executions before this one, oldest first, as ``{"time": "...", "metrics": {name: value}}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from . import model_constraints
from .charts import Axes, Line, bar_pairs, histograms, lines
from .page_style import STYLE
from .sketch import read_items

Json = dict[str, Any]

_METRIC = re.compile(r"Metric (\S+) with (\S+)(?: \+/- (\S+))? was (Less|Greater)\w* '(.+)'$")
CURVE = 200
SHOWN_FEATURES = 12
TITLES = {
    "data": "Data quality",
    "model": "Model quality",
    "clarify": "Bias and attribution",
}


def page(
    kind: str,
    facts: Mapping[str, str],
    files: Mapping[str, Json],
    violations: Sequence[Json],
    *,
    baseline: Json | None = None,
    constraints: Json | None = None,
    history: Sequence[Json] = (),
) -> str:
    """HTML of one execution.

    ``baseline``: the baseline's statistics (or ``analysis.json``); ``facts``: name, value.
    """
    analysis = files.get("analysis.json") or files.get("statistics.json") or {}
    sections = [_violations(violations), _refused(analysis)]
    if kind == "model":
        sections += [
            _history(analysis, constraints, history),
            _metrics(analysis, baseline, constraints),
            _curves(analysis, baseline),
        ]
    elif kind == "data":
        sections.append(_features(analysis, baseline, violations))
    else:
        sections += [_attribution(analysis, baseline), _bias(analysis, baseline, violations)]
    title = TITLES[kind]
    count = len(violations)
    chip = "no violations" if not count else f"{count} violation" + ("s" if count > 1 else "")
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items() if v)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: {chip}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1>"
        f'<span class="chip {"bad" if count else "good"}">{chip}</span></header>'
        f"<dl>{rows}</dl>{''.join(section for section in sections if section)}</main></body></html>\n"
    )


def _section(title: str, body: str, note: str = "") -> str:
    aside = f"<p class=note>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{aside}{body}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Cells that are not text are numbers and align right."""
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(cell)}</td>"
            if isinstance(cell, str)
            else f'<td class="number">{_number(cell)}</td>'
            for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _violations(violations: Sequence[Json]) -> str:
    if not violations:
        return ""
    rows = [
        (
            str(v.get("feature_name") or v.get("metric_name") or v.get("label") or ""),
            str(v.get("facet", "")),
            v["constraint_check_type"].replace("_", " "),
            _words(v["description"]),
        )
        for v in violations
    ]
    if not any(row[1] for row in rows):
        return _section(
            "Violations", _table(("what", "check", "in words"), [(a, c, d) for a, _, c, d in rows])
        )
    return _section("Violations", _table(("what", "facet", "check", "in words"), rows))


def _words(description: str) -> str:
    """A metric's violation as a sentence; every other text is one already."""
    found = _METRIC.match(description)
    if not found:
        return description
    name, value, spread, side, limit = found.groups()
    around = f" ± {float(spread):.2g}" if spread else ""
    where = "below" if side == "Less" else "above"
    return f"{name} is {float(value):.4g}{around}, {where} its threshold of {float(limit):.4g}"


def _refused(analysis: Json) -> str:
    refused = analysis.get("refused") or analysis.get("dataset", {}).get("refused")
    if not refused:
        return ""
    reasons = [(reason, count) for reason, count in refused["reasons"].items()]
    examples = [(e["where"], e["reason"], e["detail"]) for e in refused["examples"]]
    body = _table(("reason", "records"), reasons) + _table(("where", "reason", "detail"), examples)
    return _section("Records that were not used", body)


def _scalars(statistics: Json | None) -> dict[str, float]:
    for key, body in (statistics or {}).items():
        if key.endswith("_metrics"):
            return {n: m["value"] for n, m in body.items() if isinstance(m.get("value"), float)}
    return {}


def _limits(statistics: Json, constraints: Json | None) -> dict[str, tuple[float, str]]:
    rows = statistics.get("dataset", {}).get("item_count", 0)
    return {
        name: (model_constraints.threshold(c, rows), c["comparison_operator"])
        for name, c in _constraints(constraints).items()
    }


def _constraints(constraints: Json | None) -> Json:
    for key, body in (constraints or {}).items():
        if key.endswith("_constraints"):
            return dict(body)
    return {}


def _history(statistics: Json, constraints: Json | None, history: Sequence[Json]) -> str:
    if not history:
        return ""
    now, limits = _scalars(statistics), _limits(statistics, constraints)
    points = [*history, {"time": "now", "metrics": now}]
    charts = []
    for name in [n for n in now if n in limits][:SHOWN_FEATURES]:
        series = [(float(i), p["metrics"][name]) for i, p in enumerate(points) if name in p["metrics"]]
        limit, operator = limits[name]
        values = [value for _, value in series] + [limit]
        pad = (max(values) - min(values)) * 0.15 or 0.05
        axes = Axes((0, max(len(points) - 1, 1)), (min(values) - pad, max(values) + pad))
        below = operator.startswith("Less")
        forbidden = (axes.y[0], limit) if below else (limit, axes.y[1])
        wrong = [p for p in series if (p[1] < limit if below else p[1] > limit)]
        ticks = [(0.0, str(points[0]["time"])[:16]), (float(len(points) - 1), "now")]
        chart = lines(
            [Line(name, series), Line("beyond the threshold", wrong, "wrong", dots=True)],
            axes, label=f"{name} over time", x_ticks=ticks, forbidden=forbidden,
        )  # fmt: skip
        charts.append(f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>")
    return _section(
        "History", f"<div class=charts>{''.join(charts)}</div>", "The shaded band is beyond the threshold."
    )


def _metrics(statistics: Json, baseline: Json | None, constraints: Json | None) -> str:
    now, limits = _scalars(statistics), _limits(statistics, constraints)
    suggested = {
        name: (c.get("additional_properties") or {}).get("baseline", c["threshold"])
        for name, c in _constraints(constraints).items()
    }
    before = suggested | _scalars(baseline)
    rows = []
    for name, value in now.items():
        limit, operator = limits.get(name, (None, ""))
        rows.append(
            (name, value, before.get(name), limit, {"L": "not below", "G": "not above"}.get(operator[:1], ""))
        )
    return _section("Metrics", _table(("metric", "now", "baseline", "threshold", ""), rows))


def _curves(statistics: Json, baseline: Json | None) -> str:
    charts = []
    unit = Axes((0, 1), (0, 1))
    kinds = (
        ("receiver_operating_characteristic_curve", "false_positive_rates", "true_positive_rates", "ROC"),
        ("precision_recall_curve", "recalls", "precisions", "Precision and recall"),
    )
    for key, x, y, title in kinds:
        series = []
        for style, name, source in (("base", "baseline", baseline), ("now", "window", statistics)):
            curve = (source or {}).get("binary_classification_metrics", {}).get(key)
            if curve:
                points = list(zip(curve[x], curve[y], strict=True))
                keep = np.unique(np.linspace(0, len(points) - 1, min(CURVE, len(points))).astype(int))
                series.append(Line(name, [points[i] for i in keep], style))
        if series:
            names = [text.replace("_", " ") for text in (x, y)]
            chart = lines(
                series, unit, label=title, x_label=names[0], y_label=names[1], diagonal=title == "ROC"
            )
            charts.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    bins = [
        Line(name, [(b["mean_score"], b["observed"]) for b in source["calibration"]], style)
        for style, name, source in (("base", "baseline", baseline or {}), ("now", "window", statistics))
        if source.get("calibration")
    ]
    if bins:
        chart = lines(
            bins, unit, label="Calibration", x_label="mean score", y_label="observed rate", diagonal=True
        )
        charts.append(f"<figure><figcaption>Calibration</figcaption>{chart}</figure>")
    return _section("Curves", f"{LEGEND}<div class=charts>{''.join(charts)}</div>") if charts else ""


def _features(statistics: Json, baseline: Json | None, violations: Sequence[Json]) -> str:
    known = {entry["name"]: entry for entry in (baseline or {}).get("features", [])}
    drifted = list(
        dict.fromkeys(v["feature_name"] for v in violations if "drift" in v["constraint_check_type"])
    )
    now = {entry["name"]: entry for entry in statistics.get("features", [])}
    charts = []
    for name in [n for n in drifted if n in known and n in now][:SHOWN_FEATURES]:
        chart = _distributions(known[name], now[name], name)
        charts.append(f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>")
    more = len(drifted) - len(charts)
    note = f"{more} more drifted features are listed above." if more > 0 else ""
    drawn = (
        _section("Drifted features", f"{LEGEND}<div class=charts>{''.join(charts)}</div>", note)
        if charts
        else ""
    )
    rows = []
    for name, entry in now.items():
        body = entry.get("numerical_statistics") or entry.get("string_statistics") or {}
        before = known.get(name, {}).get("numerical_statistics") or {}
        common = body.get("common", {})
        cells = common.get("num_present"), common.get("num_missing"), body.get("mean"), before.get("mean")
        rows.append((name, entry["inferred_type"], *cells, body.get("std_dev"), before.get("std_dev")))
    head = ("feature", "type", "present", "missing", "mean", "at baseline", "deviation", "at baseline")
    table = f"<details><summary>{len(rows)} features in numbers</summary>{_table(head, rows)}</details>"
    return drawn + _section("All features", table)


def _distributions(base: Json, now: Json, name: str) -> str:
    label = f"{name}: baseline and window"
    if "numerical_statistics" in base and "numerical_statistics" in now:
        pairs = [read_items(e["numerical_statistics"]["distribution"]["kll"]["sketch"]) for e in (base, now)]
        low = min(float(values[0]) for values, _ in pairs)
        high = max(float(values[-1]) for values, _ in pairs)
        edges = np.linspace(low, high if high > low else low + 1, 21)
        shares = [
            np.histogram(values, edges, weights=weights)[0] / weights.sum() for values, weights in pairs
        ]
        ticks = [(0.0, f"{edges[0]:.4g}"), (10.0, f"{edges[10]:.4g}"), (20.0, f"{edges[-1]:.4g}")]
        return histograms(shares[0].tolist(), shares[1].tolist(), ticks, label=label)
    counts = [
        {b["value"]: b["count"] for b in e["string_statistics"]["distribution"]["categorical"]["buckets"]}
        if "string_statistics" in e
        else {}
        for e in (base, now)
    ]
    top = sorted(
        counts[0].keys() | counts[1].keys(), key=lambda v: -(counts[0].get(v, 0) + counts[1].get(v, 0))
    )[:12]
    totals = [sum(c.values()) or 1 for c in counts]
    rows = [(v, counts[0].get(v, 0) / totals[0], counts[1].get(v, 0) / totals[1]) for v in top]
    return bar_pairs(rows, label=label)


def _attribution(analysis: Json, baseline: Json | None) -> str:
    parts = []
    for label, body in analysis.get("explanations", {}).get("kernel_shap", {}).items():
        before = (baseline or {}).get("explanations", {}).get("kernel_shap", {}).get(label, {})
        known = before.get("global_shap_values", {})
        now = body["global_shap_values"]
        size = {name: max(abs(value), abs(known.get(name, 0.0))) for name, value in now.items()}
        order = [n for n in sorted(size, key=lambda n: -size[n])[:20] if size[n] > 0.005 * max(size.values())]
        parts.append(
            f"<h3>{escape(label)}</h3>"
            + bar_pairs([(n, known.get(n, 0.0), now[n]) for n in order], label=label)
        )
    return _section("Global attribution (SHAP)", LEGEND + "".join(parts)) if parts else ""


def _bias(analysis: Json, baseline: Json | None, violations: Sequence[Json]) -> str:
    flagged = {(v.get("facet"), v.get("metric_name")) for v in violations}
    rows = []
    for section, stage in (("pre_training_bias_metrics", "data"), ("post_training_bias_metrics", "model")):
        before = (baseline or {}).get(section, {}).get("facets", {})
        for facet, entries in analysis.get(section, {}).get("facets", {}).items():
            known = {m["name"]: m["value"] for e in before.get(facet, []) for m in e["metrics"]}
            for entry in entries:
                for metric in entry["metrics"]:
                    mark = "violation" if (facet, metric["name"]) in flagged else ""
                    value, error = metric["value"], metric.get("standard_error")
                    shown = metric.get("error", "") if value is None else mark
                    cells = (value, known.get(metric["name"]), error)
                    rows.append(
                        (facet, entry["value_or_threshold"], stage, metric["description"], *cells, shown)
                    )
    head = ("facet", "value", "of", "metric", "now", "baseline", "standard error", "")
    return _section("Bias", _table(head, rows)) if rows else ""


LEGEND = '<p class=legend><span class="key base"></span>baseline<span class="key now"></span>window</p>'
