"""The Clarify job: bias metrics and feature attribution of a data set or of a monitored window.

Container contract of ``sagemaker-clarify-processing``:
``/opt/ml/processing/input/config/analysis_config.json``, data in ``/opt/ml/processing/input/data`` (or
``dataset_source``), results in ``/opt/ml/processing/output``. A monitor's execution also brings the
baseline's own ``analysis.json`` as ``baseline_constraints`` and reads captured (attribution) or merged (bias)
records; ``constraint_violations.json`` appears only when there are violations.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pyarrow as pa
from botocore.exceptions import ClientError

from . import attribution, bias, report_page
from .attribution import Predict
from .capture import Rows, check_encodings, csv_rows, in_window, read_requests
from .predictor import predictor
from .publish import Report, dimensions_of, publish, stamped, write_text
from .sources import AnalysisError, Locations, Refusals, find_files, line_blocks, no_data, rebase
from .tables import Dataset

Json = dict[str, Any]

FORMATS = {
    "text/csv": "csv",
    "application/jsonlines": "json",
    "application/x-parquet": "parquet",
    "application/json": "json",
}

ANSWER = ("probability", "predicted")  # columns that come from the answer


def job(env: Mapping[str, str], base: Path) -> None:
    """Read environment, configuration and data; publish ``analysis.json`` and what belongs to it."""
    config_dir = rebase(env.get("analysis_config", "/opt/ml/processing/input/config"), base)
    config = _config(config_dir)
    if model := (config.get("predictor") or {}).get("model_path"):
        config["predictor"] = config["predictor"] | {"model_path": str(rebase(model, base))}
    output = rebase(env.get("output_path", "/opt/ml/processing/output"), base)
    source = rebase(env.get("dataset_source", "/opt/ml/processing/input/data"), base)
    locations, refusals = Locations.of_job(base), Refusals()
    window = (env.get("start_time", ""), env.get("end_time", ""))
    monitored = "Json" in env.get("dataset_format", "")
    if monitored:
        merged = "sagemakerMergeJson" in env["dataset_format"]
        if merged and not config.get("methods"):
            # What the SDK's ModelBiasMonitor sends names the question only.
            config["methods"] = {"pre_training_bias": {}, "post_training_bias": {}}
        table = read_window(source, config, locations, refusals, merged=merged, window=window, env=env)
    else:
        table = read_table(source, config, locations)
    analysis, local = analyse(table, config, env)
    if refusals.total:
        analysis["refused"] = refusals.to_json()
    report = _judged(analysis, env, base, refusals)
    publish(report, output, base, env)
    if local is not None:
        write_text(output / "explanations_shap" / "out.csv", local.to_csv(index=False))


def analyse(
    table: pd.DataFrame, config: Json, env: Mapping[str, str], predict: Predict | None = None
) -> tuple[Json, pd.DataFrame | None]:
    """``(analysis.json, local SHAP values or None)`` of features, label and perhaps a prediction."""
    methods, label = config.get("methods", {}), config.get("label")
    excluded = set(config.get("excluded_columns") or [])
    features = [n for n in table.columns if n not in {label, "predicted", "probability"} | excluded]
    chosen = config.get("features_used") or features
    analysis: Json = {"version": "1.0"}
    local = None
    with ExitStack() as stack:
        said = _given_prediction(table, config, env)
        needs_scores = "shap" in methods or ("post_training_bias" in methods and said is None)
        if needs_scores and predict is None:
            predict = stack.enter_context(predictor(config.get("predictor") or {}))
        if said is None and "post_training_bias" in methods and predict is not None:
            said = _decided(predict(table[chosen].to_numpy(dtype=float)), config)
        if "shap" in methods and predict is not None:
            options = methods["shap"] or {}
            explained = attribution.explain(
                table[chosen],
                predict,
                baseline=_shap_baseline(options),
                clusters=options.get("num_clusters"),
                samples=options.get("num_samples"),
                use_logit=bool(options.get("use_logit", False)),
                seed=int(options.get("seed") or 7),
                max_rows=int(options.get("max_rows") or attribution.MAX_ROWS),
            )
            analysis["explanations"] = {
                "kernel_shap": explained.to_json(
                    options.get("agg_method", "mean_abs"), int(options.get("window_rows") or 0)
                )
            }
            local = explained.local() if options.get("save_local_shap_values") else None
    if "pre_training_bias" in methods or "post_training_bias" in methods:
        kept = table.drop(columns=[n for n in ("predicted", "probability") if n in table.columns])
        analysis |= bias.analyse(kept, _question(config, methods, excluded), said)
    return analysis, local


def read_table(source: Path, config: Json, locations: Locations) -> pd.DataFrame:
    """The configured data set with its column names."""
    kind = config.get("dataset_type", "text/csv")
    if kind not in FORMATS:
        raise AnalysisError(f"dataset_type={kind!r} is not supported; use one of {', '.join(FORMATS)}.")
    headers = config.get("headers") or []
    dataset = Dataset(
        source, FORMATS[kind], header=kind == "text/csv" and not headers, names=headers, locations=locations
    )
    tables = [chunk.table for chunk in dataset.chunks()]
    if dataset.refusals.total:
        raise AnalysisError(f"The data set is not clean: {dataset.refusals.sentence()}.")
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    if headers and len(headers) != frame.shape[1]:
        raise AnalysisError(f"headers has {len(headers)} names, the data {frame.shape[1]} columns.")
    return frame


def read_window(
    source: Path,
    config: Json,
    locations: Locations,
    refusals: Refusals,
    *,
    merged: bool,
    window: tuple[str, str] = ("", ""),
    env: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Captured rows by the configuration's names, with labels when merged.

    Of the answer, ``probability_attribute`` and ``inference_attribute`` (positions; without either the first
    value is a probability) become the columns ``probability`` and ``predicted``.
    """
    headers, label = list(config.get("headers") or []), config.get("label")
    features = [name for name in headers if name != label]
    if not features:
        raise AnalysisError("analysis_config: headers are needed to name the columns of captured records.")
    files = find_files(source, (".jsonl",)) if source.exists() else []
    if not files:
        raise no_data(f".jsonl file under {locations.name(source)}")
    inputs = [*features, *([str(label)] if merged else [])]
    sections = ("endpointOutput", "endpointInput") + (("groundTruthData",) if merged else ())
    dataset = Dataset(source, "capture", locations=locations, refusals=refusals)
    parts = []
    for block in line_blocks(files, locations):
        requests = check_encodings(in_window(read_requests(block, refusals), window, refusals), refusals)
        if not len(requests.line):
            continue
        if not dataset.columns:
            answers = csv_rows(requests, ("endpointOutput",), Refusals())
            dataset.columns = [*_answer_columns(answers, env or {}), *inputs]
        rows = csv_rows(requests, sections, refusals)
        parts += [chunk.table for chunk in dataset.text_chunks(rows.text, rows.where)]
    if not parts:
        raise refusals.nothing_left(f"record with {len(inputs)} values beside the answer")
    wanted = [name for name in dataset.columns if name in {*ANSWER, *inputs}]
    parts = [part.select(wanted) for part in parts]
    frame: pd.DataFrame = pa.concat_tables(parts, promote_options="permissive").to_pandas()
    return frame


def _answer_columns(answers: Rows, env: Mapping[str, str]) -> list[str]:
    """A name for each value of an answer. Raises ``AnalysisError`` when a position names none."""
    width = len(next(csv.reader([answers.text[0].as_py()]))) if len(answers.text) else 1
    names = [f"answer {i}" for i in range(width)]
    said, score = env.get("inference_attribute"), env.get("probability_attribute")
    for name, place in (("predicted", said), ("probability", score if said else score or "0")):
        if place is None:
            continue
        if not place.isdecimal() or int(place) >= width:
            setting = "inference_attribute" if name == "predicted" else "probability_attribute"
            raise AnalysisError(
                f"{setting}={place!r} names none of the {width} values of an answer; count from 0."
            )
        names[int(place)] = name
    return names


def _judged(analysis: Json, env: Mapping[str, str], base: Path, refusals: Refusals) -> Report:
    entries = bias.metrics_of(analysis) + attribution.metrics_of(analysis)
    time = env.get("metric_time") or env.get("start_time") or ""
    metrics = (
        stamped(entries, time, dimensions_of(env))
        if env.get("publish_cloudwatch_metrics") == "Enabled"
        else []
    )
    violations: list[Json] = []
    baseline: Json | None = None
    if env.get("baseline_constraints"):
        path = rebase(env["baseline_constraints"], base)
        path = next(iter(sorted(path.glob("*.json"))), path) if path.is_dir() else path
        try:
            baseline = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise AnalysisError(
                f"baseline_constraints: cannot read {path}: {error}. Run the baseline job again."
            ) from error
        rate = float(env.get("bias_alarm_rate", str(bias.ALARM_RATE)))
        violations = bias.drift(analysis, baseline, alarm_rate=rate or None)
        violations += attribution.drift(analysis, baseline)
    if refusals.total:
        violations.append(
            {
                "metric_name": "records",
                "constraint_check_type": "record_check",
                "description": f"{refusals.sentence()}.",
            }
        )
    facts = {
        "endpoint": env.get("sagemaker_endpoint_name", ""),
        "schedule": env.get("sagemaker_monitoring_schedule_name", ""),
        "window": f"{env['start_time']} to {env.get('end_time')}" if env.get("start_time") else "",
    }
    files = {"analysis.json": analysis}
    html = report_page.page("clarify", facts, files, violations, baseline=baseline)
    return Report(
        files, violations or None, violations_version="1.0", metrics=metrics, pages={"report.html": html}
    )


def _config(folder: Path) -> Json:
    path = folder if folder.is_file() else folder / "analysis_config.json"
    try:
        config: Json = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AnalysisError(f"Cannot read the analysis configuration {path.name}: {error}.") from error
    if config.get("version", "1.0") != "1.0":
        raise AnalysisError(f"analysis_config version {config['version']!r} is not supported; only 1.0 is.")
    unknown = set(config.get("methods") or {}) - {"pre_training_bias", "post_training_bias", "shap", "report"}
    if unknown:
        raise AnalysisError(f"analysis_config: method {sorted(unknown)[0]!r} is not supported.")
    return config


def _question(config: Json, methods: Json, excluded: set[str]) -> bias.Question:
    label, values = config.get("label"), config.get("label_values_or_threshold")
    if not label or not values or not config.get("facet"):
        raise AnalysisError("analysis_config: bias needs label, label_values_or_threshold and facet.")
    facets = tuple(
        bias.Facet(str(f["name_or_index"]), tuple(f.get("value_or_threshold") or ())) for f in config["facet"]
    )
    pre, post = (
        _names(methods[stage]) if stage in methods else ()
        for stage in ("pre_training_bias", "post_training_bias")
    )
    return bias.Question(
        str(label), tuple(values), facets, config.get("group_variable"), pre, post, frozenset(excluded)
    )


def _names(method: Json | None) -> tuple[str, ...]:
    chosen = (method or {}).get("methods", "all")
    return ("all",) if chosen == "all" else tuple(chosen)


def _given_prediction(table: pd.DataFrame, config: Json, env: Mapping[str, str]) -> pd.Series | None:
    for named in (config.get("predicted_label"), "predicted"):
        if named in table.columns:
            return table[named]
    if "probability" not in table.columns:
        return None
    if config.get("label") not in table.columns:
        return None
    threshold = env.get("probability_threshold_attribute")
    merged = config | ({"probability_threshold": float(threshold)} if threshold else {})
    return _decided(table["probability"].to_numpy(dtype=float), merged)


def _decided(scores: Any, config: Json) -> pd.Series:
    """1 where the score is strictly greater than the threshold, as Clarify decides."""
    return pd.Series(
        (np.asarray(scores).reshape(-1) > float(config.get("probability_threshold", 0.5))).astype(int)
    )


def _shap_baseline(options: Json) -> list[list[float]] | None:
    rows = options.get("baseline")
    if rows is None:
        return None
    if isinstance(rows, str):
        return _rows_of(rows)
    if not isinstance(rows, list):
        raise AnalysisError(
            "analysis_config: shap.baseline must be a list of rows, or the S3 URI of a CSV file."
        )
    return rows if not rows or isinstance(rows[0], list) else [rows]


def _rows_of(uri: str) -> list[list[float]]:
    """The rows of a CSV object without a header."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        text = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return [[float(cell) for cell in row] for row in csv.reader(text.splitlines()) if row]
    except (ClientError, ValueError) as error:
        raise AnalysisError(f"analysis_config: shap.baseline {uri} cannot be read: {error}.") from error
