"""The processing jobs of an execution, as CreateProcessingJob requests.

Names, inputs, outputs and environment are those of Model Monitor's own executions, as far as they are known
(jobs of real accounts, the SDK's parsers, AWS's documentation). The analysis reads its report's address back
from the first output, and clients take every input to have an S3Input: so there is nothing else in them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from local_aws.pace import HOUR_SECONDS

from . import calendar
from .calendar import Window
from .definitions import Definition

NAME_LENGTH = 63
MERGE_PREFIX = "groundtruth-merge"
MERGER_REPOSITORY = "sagemaker-model-monitor-groundtruth-merger"
PROCESSING = "/opt/ml/processing"
CONFIG = f"{PROCESSING}/input/config"
CONSTRAINTS, STATISTICS = f"{PROCESSING}/baseline/constraints", f"{PROCESSING}/baseline/stats"
CAPTURES, GROUND_TRUTH, RESULT = (f"{PROCESSING}/{name}" for name in ("input_data", "groundtruth", "output"))
MAX_RUNTIME_SECONDS = 3600
MERGED = ("ModelQuality", "ModelBias")  # kinds that compare with ground truth
CLARIFY = ("ModelBias", "ModelExplainability")
# Input -> the environment variable that names its file.
_VARIABLES = {
    "constraints": "baseline_constraints",
    "baseline": "baseline_statistics",
    "merge_report": "merge_report",
}


@dataclass(frozen=True)
class Folder:
    """An hour folder with records: its URI without a closing slash, and where below an input it belongs."""

    uri: str
    place: str


@dataclass(frozen=True)
class Execution:
    """One hour of one schedule.

    uid: of the schedule, so that a later one of its name has jobs of its own. hour_seconds: how long it is.
    """

    schedule: str
    uid: str
    scheduled: datetime
    window: Window
    hour_seconds: int = HOUR_SECONDS

    def job_name(self, prefix: str) -> str:
        """`<prefix>-<yyyymmddHHMM>-<hex>`, as much hex as fits: the same name whenever it is asked for."""
        head = f"{prefix}-{self.scheduled:%Y%m%d%H%M}-"
        key = f"{self.schedule}/{self.uid}/{self.scheduled.isoformat()}"
        return head + hashlib.sha256(key.encode()).hexdigest()[: min(24, NAME_LENGTH - len(head))]


@dataclass(frozen=True)
class Files:
    """S3 URIs of the files that an analysis is given beside its records; empty where there are none."""

    constraints: str = ""
    statistics: str = ""
    merge_report: str = ""


def report_uri(definition: Definition, execution: Execution) -> str:
    """Where the execution's report goes: by the hour it ran for, not by that of its records."""
    form = "%Y/%m/%d/%H" if execution.hour_seconds == HOUR_SECONDS else "%Y/%m/%d/%H/%M-%S"
    base = definition.output["S3Uri"].rstrip("/")
    return f"{base}/{definition.endpoint}/{execution.schedule}/{execution.scheduled.strftime(form)}"


def merge_uri(definition: Definition) -> str:
    return f"{definition.output['S3Uri'].rstrip('/')}/merge"


def merge(
    definition: Definition, execution: Execution, captures: list[Folder], labels: list[Folder]
) -> dict[str, Any]:
    """The job that joins captured requests with their labels, by hour of inference."""
    registry = definition.app["ImageUri"].rpartition("/")[0]
    image = f"{registry}/{MERGER_REPOSITORY}" if registry else MERGER_REPOSITORY
    inputs = [
        *_folders("groundtruth_input", GROUND_TRUTH, labels),
        *_folders("endpoint_input", CAPTURES, captures),
    ]
    environment = {"dataset_source": CAPTURES, "ground_truth_source": GROUND_TRUTH, "output_path": RESULT}
    name = execution.job_name(MERGE_PREFIX)
    app = {"ImageUri": image}
    return _request(definition, name, app, inputs, (merge_uri(definition), RESULT, "EndOfJob"), environment)


def analysis(
    definition: Definition, execution: Execution, records: list[Folder], files: Files, capture_uri: str
) -> dict[str, Any]:
    """The job that judges the window. records: captures, or what the merge made of them.

    Of model quality the report page also shows what was waiting for a label, and the curves of the baseline:
    `merge_report`, and statistics beside the constraints, are inputs that AWS's service does not give.
    """
    app = definition.app
    local = definition.source["LocalPath"].rstrip("/")
    output = definition.output["LocalPath"]
    inputs: list[dict[str, Any]] = []
    environment = dict(definition.environment)
    if config := app.get("ConfigUri"):
        inputs.append(_input("analysis_config", config, CONFIG))
        environment["analysis_config"] = f"{CONFIG}/{PurePosixPath(config).name}"
    for name, uri, folder in (
        ("constraints", files.constraints, CONSTRAINTS),
        ("baseline", files.statistics, STATISTICS),
        ("merge_report", files.merge_report, f"{PROCESSING}/input/merge_report"),
    ):
        if uri:
            inputs.append(_input(name, uri, folder))
            environment[_VARIABLES[name]] = f"{folder}/{PurePosixPath(uri).name}"
    for kind in ("record_preprocessor", "post_analytics_processor"):
        script = app.get("".join(word.title() for word in kind.split("_")) + "SourceUri")
        if script:
            folder = f"{PROCESSING}/input/{kind}_script_input"
            inputs.append(_input(f"{kind}_script_input", script, folder))
            environment[f"{kind}_script"] = f"{folder}/{PurePosixPath(script).name}"
    inputs += _folders("endpoint_input", local, records)
    environment.setdefault("publish_cloudwatch_metrics", "Enabled")
    environment |= {
        "dataset_format": _dataset_format(definition.type),
        "dataset_source": local,
        "output_path": output,
        "start_time": calendar.stamp(execution.window.start),
        "end_time": calendar.stamp(execution.window.end),
        "metric_time": calendar.stamp(execution.window.start),
        "sagemaker_endpoint_name": definition.endpoint,
        "sagemaker_monitoring_schedule_name": execution.schedule,
        "sagemaker_endpoint_datacapture_prefix": capture_uri,
    }
    environment |= _attributes(definition)
    name = execution.job_name(definition.job_prefix)
    mode = definition.output.get("S3UploadMode", "Continuous")
    to = (report_uri(definition, execution), output, mode)
    return _request(definition, name, app, inputs, to, environment)


def _attributes(definition: Definition) -> dict[str, str]:
    source, found = definition.source, {}
    names = ("inference_attribute", "probability_attribute", "probability_threshold_attribute")
    for name in (*names, "features_attribute", "exclude_features_attribute"):
        value = source.get("".join(word.title() for word in name.split("_")))
        if value is not None:
            found[name] = str(value)
    if definition.type == "ModelQuality":
        found["analysis_type"] = "MODEL_QUALITY"
        if problem := definition.app.get("ProblemType"):
            found["problem_type"] = problem
    return found


def _dataset_format(type_: str) -> str:
    """As the service writes it; the model quality analyzer reads no features."""
    names = ["endpointOutput"] if type_ == "ModelQuality" else ["endpointInput", "endpointOutput"]
    form = "sagemakerMergeJson" if type_ in MERGED else "sagemakerCaptureJson"
    return json.dumps({form: {"captureIndexNames": names}}, separators=(",", ":"))


def _request(
    definition: Definition,
    name: str,
    app: dict[str, Any],
    inputs: list[dict[str, Any]],
    output: tuple[str, str, str],
    environment: dict[str, str],
) -> dict[str, Any]:
    uri, local, mode = output
    container = ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
    s3_output = {"S3Uri": uri, "LocalPath": local, "S3UploadMode": mode}
    return {
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
        **definition.more,
        "ProcessingJobName": name,
        "AppSpecification": {key: app[key] for key in container if app.get(key)},
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "result", "S3Output": s3_output}]},
        "ProcessingResources": definition.cluster,
        "RoleArn": definition.role,
        "Environment": environment,
    }


def _folders(name: str, local: str, folders: list[Folder]) -> list[dict[str, Any]]:
    """One input for each hour, numbered from 1."""
    return [
        _input(f"{name}_{i}", folder.uri, f"{local}/{folder.place}") for i, folder in enumerate(folders, 1)
    ]


def _input(name: str, uri: str, local: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": local,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    }
