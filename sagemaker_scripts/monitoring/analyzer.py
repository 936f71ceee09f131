"""The analyzer job: data quality or model quality, of a baseline or of a window.

Container contract of ``sagemaker-model-monitor-analyzer``: everything comes from environment variables, the
rest is ``run`` on plain values. With ``baseline_constraints`` it judges a window, without it suggests a
baseline.

Settings of ours, all optional:

* model quality: ``constraint_tolerance`` (standard errors; 0 is managed behaviour), ``expected_window_rows``;
* data quality: ``window_alarm_rate`` (see ``drift``), ``mangled_rows`` (``name`` or ``count``);
* both: ``model_version`` (a baseline of another version fails), ``seed``;
* the report page: ``metric_history`` and ``merge_report`` (paths of JSON files);
* every job: ``cloudwatch_namespace`` (the job sends its metrics there itself, see ``publish``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import checks, data_quality, model_constraints, model_quality, report_page
from .answers import Attributes, read_answers
from .hooks import preprocessor
from .profile import profile
from .publish import Report, stamped
from .sources import AnalysisError, Locations, rebase
from .tables import Dataset

Json = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """One analysis. Paths are local; times are ISO 8601 texts as they came."""

    source: Path
    output: Path
    format: str
    header: bool = False
    sections: tuple[str, ...] = ("endpointOutput", "endpointInput")
    constraints: Path | None = None
    statistics: Path | None = None
    model_quality: bool = False
    attributes: Attributes = field(default_factory=lambda: Attributes("BinaryClassification"))
    excluded: frozenset[str] = frozenset()
    start: str = ""
    end: str = ""
    metric_time: str = ""
    endpoint: str = ""
    schedule: str = ""
    publish_metrics: bool = False
    categorical_drift_method: str = "LInfinity"
    window_alarm_rate: float | None = None
    tolerance: float = 0.0
    expected_rows: int = 0
    group_mangled_rows: bool = True
    model_version: str = ""
    seed: int = 7
    preprocessor: Path | None = None
    postprocessor: Path | None = None
    history: Path | None = None
    merge_report: Path | None = None
    locations: Locations = field(default_factory=Locations)


def settings_from(env: Mapping[str, str], base: Path) -> Settings:
    """Read the container's environment; ``AnalysisError`` names what is missing or malformed."""
    name, header, sections = _format(env)
    threshold = env.get("probability_threshold_attribute")
    rate = env.get("window_alarm_rate")
    problem = env.get("problem_type", "BinaryClassification")
    if problem not in model_quality.SECTION:
        raise AnalysisError(f"problem_type={problem!r} is not one of {', '.join(model_quality.SECTION)}.")
    return Settings(
        source=rebase(_required(env, "dataset_source"), base),
        output=rebase(_required(env, "output_path"), base),
        format=name,
        header=header,
        sections=sections,
        constraints=_path(env, "baseline_constraints", base),
        statistics=_path(env, "baseline_statistics", base),
        model_quality=env.get("analysis_type") == "MODEL_QUALITY",
        attributes=Attributes(
            problem,  # type: ignore[arg-type]
            env.get("inference_attribute") or None,
            env.get("probability_attribute") or None,
            float(threshold) if threshold else None,
            env.get("ground_truth_attribute") or None,
        ),
        excluded=frozenset(
            filter(None, (n.strip() for n in env.get("exclude_features_attribute", "").split(",")))
        ),
        start=env.get("start_time", "").replace(" ", ""),
        end=env.get("end_time", "").replace(" ", ""),
        metric_time=env.get("metric_time", "") or env.get("start_time", "").replace(" ", ""),
        endpoint=env.get("sagemaker_endpoint_name", ""),
        schedule=env.get("sagemaker_monitoring_schedule_name", ""),
        publish_metrics=env.get("publish_cloudwatch_metrics") == "Enabled",
        categorical_drift_method=env.get("categorical_drift_method", "LInfinity"),
        window_alarm_rate=float(rate) if rate else None,
        tolerance=float(env.get("constraint_tolerance", "0")),
        expected_rows=int(env.get("expected_window_rows", "0")),
        group_mangled_rows=env.get("mangled_rows", "name") == "name",
        model_version=env.get("model_version", ""),
        seed=int(env.get("seed", "7")),
        preprocessor=_path(env, "record_preprocessor_script", base),
        postprocessor=_path(env, "post_analytics_processor_script", base),
        history=_path(env, "metric_history", base),
        merge_report=_path(env, "merge_report", base),
        locations=Locations.of_job(base),
    )


def run(settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Report:
    """Analyse. ``AnalysisError`` is the execution's failure, in one sentence."""
    if settings.start and settings.end and settings.start >= settings.end:
        raise AnalysisError(
            f"The window ends ({settings.end}) before it starts ({settings.start}): check the clock."
        )
    constraints = _baseline(settings.constraints, "baseline_constraints", settings.model_version)
    statistics = _baseline(settings.statistics, "baseline_statistics", settings.model_version)
    analyse = _model_quality if settings.model_quality else _data_quality
    return analyse(settings, constraints, statistics, clock)


def _data_quality(
    settings: Settings, constraints: Json | None, statistics: Json | None, clock: Callable[[], datetime]
) -> Report:
    baseline = constraints or {"features": []}
    dataset = Dataset(
        settings.source,
        settings.format,
        settings.header,
        settings.sections,
        names=[entry["name"] for entry in baseline["features"]],
        kinds=data_quality.kinds_of(baseline),
        locations=settings.locations,
        window=(settings.start, settings.end),
        preprocess=preprocessor(settings.preprocessor) if settings.preprocessor else None,
    )
    found = profile(dataset)
    if not found.rows:
        raise dataset.refusals.nothing_left("readable record")
    positions = {str(i): name for i, name in enumerate(found.columns)}
    excluded = frozenset(positions.get(name, name) for name in settings.excluded)
    report = data_quality.statistics_of(found, excluded)
    suggested = data_quality.suggest_constraints(
        report,
        categorical_drift_method=settings.categorical_drift_method,
        window_alarm_rate=settings.window_alarm_rate,
    )
    _stamp(settings, dataset, report, suggested)
    files = {"statistics.json": report, "constraints.json": suggested}
    if constraints is None:
        _all_read(dataset)
        return Report(files)
    kept = constraints | {"features": [e for e in constraints["features"] if e["name"] not in excluded]}
    violations, distances = checks.check(
        found, statistics, kept, dataset.refusals, group_mangled_rows=settings.group_mangled_rows
    )
    emit = settings.publish_metrics and _emits(constraints)
    entries = data_quality.metrics_of(report, distances) if emit else []
    html = _page(settings, "data", report, violations, statistics, constraints)
    return Report(files, violations, metrics=_stamped(settings, entries, clock), pages={"report.html": html})


def _model_quality(
    settings: Settings, constraints: Json | None, statistics: Json | None, clock: Callable[[], datetime]
) -> Report:
    dataset = Dataset(
        settings.source, settings.format, settings.header, locations=settings.locations,
        window=(settings.start, settings.end),
    )  # fmt: skip
    classes = tuple((constraints or {}).get("classes", ()))
    attributes = Attributes(**(vars(settings.attributes) | {"classes": classes}))
    answers = read_answers(dataset, attributes)
    times = {"start_time": settings.start, "end_time": settings.end} if settings.start else {}
    report = model_quality.statistics_of(
        answers, seed=settings.seed, extra=times | {"evaluation_time": _iso(clock())}
    )
    suggested = model_constraints.suggest(
        report,
        answers,
        tolerance=settings.tolerance,
        expected_rows=settings.expected_rows,
        seed=settings.seed,
    )
    _stamp(settings, dataset, report, suggested)
    files = {"statistics.json": report, "constraints.json": suggested}
    if constraints is None:
        _all_read(dataset)
        return Report(files)
    violations = model_constraints.check(report, constraints)
    if dataset.refusals.total:
        violations.append(
            {
                "constraint_check_type": "record_check",
                "description": f"{dataset.refusals.sentence()}.",
                "metric_name": "records",
            }
        )
    section = model_quality.SECTION[answers.problem]
    entries = [
        {"MetricName": name, "Value": body["value"]}
        for name, body in report[f"{section}_metrics"].items()
        if isinstance(body.get("value"), float) and name not in model_constraints.UNCONSTRAINED
    ]
    lines = _stamped(settings, entries if settings.publish_metrics else [], clock)
    html = _page(settings, "model", report, violations, statistics, constraints)
    return Report(files, violations, metrics=lines, pages={"report.html": html})


def _page(
    settings: Settings,
    kind: str,
    report: Json,
    violations: list[Json],
    statistics: Json | None,
    constraints: Json,
) -> str:
    merged = json.loads(settings.merge_report.read_text()) if settings.merge_report else {}
    facts = {
        "endpoint": settings.endpoint,
        "schedule": settings.schedule,
        "window": f"{settings.start} to {settings.end}" if settings.start else "",
        "model version": settings.model_version,
        "records analysed": f"{report['dataset']['item_count']:,}",
        "records waiting for a label": f"{merged['waiting']:,}" if merged else "",
        "labels without a request": f"{merged['labels_without_capture']:,}" if merged else "",
    }
    return report_page.page(
        kind,
        facts,
        {"statistics.json": report},
        violations,
        baseline=statistics,
        constraints=constraints,
        history=json.loads(settings.history.read_text()) if settings.history else [],
    )


def _stamp(settings: Settings, dataset: Dataset, statistics: Json, constraints: Json) -> None:
    if dataset.refusals.total:
        statistics["dataset"]["refused"] = dataset.refusals.to_json()
    if settings.model_version:
        statistics["model_version"] = constraints["model_version"] = settings.model_version


def _all_read(dataset: Dataset) -> None:
    if dataset.refusals.total:
        raise AnalysisError(
            f"The baseline data set is not clean: {dataset.refusals.sentence()}. Correct or drop them."
        )


def _stamped(settings: Settings, entries: list[Json], clock: Callable[[], datetime]) -> list[Json]:
    dimensions = {"Endpoint": settings.endpoint} if settings.endpoint else {}
    if settings.schedule:
        dimensions["MonitoringSchedule"] = settings.schedule
    return stamped(entries, settings.metric_time or _iso(clock()), dimensions)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _emits(constraints: Json) -> bool:
    return (constraints.get("monitoring_config") or {}).get("emit_metrics", "Enabled") == "Enabled"


def _baseline(path: Path | None, setting: str, model_version: str) -> Json | None:
    if path is None:
        return None
    if path.is_dir():
        path = next(iter(sorted(path.glob("*.json"))), path)
    try:
        content: Json = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AnalysisError(f"{setting}: cannot read {path}: {error}. Run the baseline job again.") from error
    written = content.get("model_version", "")
    if model_version and written and written != model_version:
        raise AnalysisError(
            f"The baseline is of model version {written}, the endpoint serves version {model_version}: "
            "point the schedule at the baseline of the version that is deployed."
        )
    return content


def _format(env: Mapping[str, str]) -> tuple[str, bool, tuple[str, ...]]:
    """``dataset_format``: keys in lower camel case from the SDK, capitalised from the API."""
    text = env.get("dataset_format", "")
    try:
        ((name, options),) = json.loads(text).items()
    except (ValueError, AttributeError) as error:
        raise AnalysisError(f"dataset_format={text!r} is not an object with one format in it.") from error
    options = {str(key).lower(): value for key, value in (options or {}).items()}
    kind = str(name).lower()
    if kind == "sagemakercapturejson":
        chosen = options.get("captureindexnames") or ["endpointInput", "endpointOutput"]
        # The output's columns come first, whatever the order of the names.
        return "capture", False, tuple(n for n in ("endpointOutput", "endpointInput") if n in chosen)
    if kind == "sagemakermergejson":
        return "merged", False, ("endpointOutput", "groundTruthData")
    if kind in ("csv", "json", "parquet"):
        return kind, str(options.get("header", False)).lower() == "true", ()
    raise AnalysisError(
        f"dataset_format: {name!r} is not supported; use csv, json, parquet or a capture format."
    )


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise AnalysisError(f"The environment variable {name} is not set.")
    return env[name]


def _path(env: Mapping[str, str], name: str, base: Path) -> Path | None:
    return rebase(env[name], base) if env.get(name) else None
