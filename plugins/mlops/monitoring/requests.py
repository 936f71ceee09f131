"""Requests of the analyses as plain processing jobs, as data: pure functions of settings, window and inputs.

The images of Model Monitor and Clarify may be closed to an account; these run the same scripts on
SageMaker's XGBoost image, with the environment that the managed containers would be given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.churn.requests import tags
from mlops.jobs import processing_input
from mlops.monitoring.baselines import Baseline
from mlops.monitoring.windows import Window, iso

if TYPE_CHECKING:
    from config import Settings

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
CAPTURES, LABELS, BASELINE, HISTORY = (
    f"{INPUT}/{name}" for name in ("captures", "labels", "baseline", "history")
)
NAMESPACE = "MLOps/Monitoring"  # of CloudWatch metrics; AWS keeps namespaces that begin with "AWS/"
CAPTURED = json.dumps({"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}})
MERGED = json.dumps({"sagemakerMergeJson": {"captureIndexNames": ["endpointOutput"]}})

Inputs = Sequence[tuple[str, str]]
"""S3 prefix and the folder that it becomes below its input's own."""


@dataclass(frozen=True)
class Analysis:
    """What every analysis of a run shares but for its inputs. `prefix`: of the run's artefacts."""

    settings: Settings
    code_version: str
    prefix: str
    window: Window
    model_version: str
    """The run key of the training: what the model's baselines are stamped with."""

    def output(self, step: str) -> str:
        return f"{self.prefix}{step}/"


def merge(what: Analysis, captures: Inputs, labels: Inputs) -> dict[str, Any]:
    """Labels joined to the captured requests of the window: merged records and merge_report.json."""
    environment = {
        "dataset_source": CAPTURES,
        "ground_truth_source": LABELS,
        "start_time": iso(what.window.start),
        "end_time": iso(what.window.end),
    }
    inputs = [*_folders("captures", captures), *_folders("labels", labels)]
    return _job(what, "merge", "merger", environment, inputs)


def data_quality(what: Analysis, baseline: Baseline, captures: Inputs) -> dict[str, Any]:
    """The captured requests and answers against the training rows and the validation scores."""
    environment = {
        **_window(what, "data_quality", CAPTURED),
        "baseline_constraints": f"{BASELINE}/constraints.json",
        "baseline_statistics": f"{BASELINE}/statistics.json",
    }
    inputs = [processing_input("baseline", baseline.prefix), *_folders("captures", captures)]
    return _job(what, "data_quality", "analyzer", environment, inputs)


def model_quality(
    what: Analysis, baseline: Baseline, *, threshold: str, history: str | None
) -> dict[str, Any]:
    """The answers against the labels. `history`: a JSON file of earlier executions for the page, if any."""
    environment = {
        **_window(what, "model_quality", MERGED),
        "analysis_type": "MODEL_QUALITY",
        "problem_type": "BinaryClassification",
        "probability_attribute": "0",
        "probability_threshold_attribute": threshold,
        "merge_report": f"{CAPTURES}/merge_report.json",
        "baseline_constraints": f"{BASELINE}/constraints.json",
        "baseline_statistics": f"{BASELINE}/statistics.json",
        # A handful of metrics. Those of every feature would cost more than the machines that compute them.
        "publish_cloudwatch_metrics": "Enabled",
        "cloudwatch_namespace": NAMESPACE,
    }
    inputs = [
        processing_input("baseline", baseline.prefix),
        processing_input("captures", what.output("merge")),
    ]
    if history:
        environment["metric_history"] = f"{HISTORY}/{history.rsplit('/', 1)[-1]}"
        inputs.append(processing_input("history", history))
    return _job(what, "model_quality", "analyzer", environment, inputs)


def bias(what: Analysis, baseline: Baseline, *, threshold: str) -> dict[str, Any]:
    """Bias metrics of labels and answers, against those of the validation rows."""
    environment = {
        **_window(what, "bias", MERGED),
        "analysis_config": f"{BASELINE}/analysis_config.json",
        "baseline_constraints": f"{BASELINE}/analysis.json",
        "probability_threshold_attribute": threshold,
    }
    inputs = [
        processing_input("baseline", baseline.prefix),
        processing_input("captures", what.output("merge")),
    ]
    return _job(what, "bias", "clarify", environment, inputs)


def attribution(what: Analysis, baseline: Baseline, captures: Inputs, *, model_uri: str) -> dict[str, Any]:
    """What the answers rest on, against the baseline's. The model is scored in the job, no endpoint asked."""
    environment = {
        **_window(what, "attribution", CAPTURED),
        "analysis_config": f"{BASELINE}/analysis_config.json",
        "baseline_constraints": f"{BASELINE}/analysis.json",
    }
    inputs = [
        processing_input("baseline", baseline.prefix),
        processing_input("model", model_uri),
        *_folders("captures", captures),
    ]
    return _job(what, "attribution", "clarify", environment, inputs)


def schedule_name(endpoint: str, monitor: str) -> str:
    """What a monitor of an endpoint is called, whoever runs it."""
    return f"{endpoint}-{monitor.replace('_', '-')}"


def _window(what: Analysis, monitor: str, dataset_format: str) -> dict[str, str]:
    endpoint = what.settings.churn_endpoint
    return {
        "dataset_format": dataset_format,
        "dataset_source": CAPTURES,
        "start_time": iso(what.window.start),
        "end_time": iso(what.window.end),
        "metric_time": iso(what.window.start),
        "sagemaker_endpoint_name": endpoint,
        "sagemaker_monitoring_schedule_name": schedule_name(endpoint, monitor),
        "publish_cloudwatch_metrics": "Disabled",
        "model_version": what.model_version,
    }


def _folders(name: str, inputs: Inputs) -> list[dict[str, Any]]:
    return [
        processing_input(f"{name}_{number}", uri, f"{name}/{folder}")
        for number, (uri, folder) in enumerate(inputs, start=1)
    ]


def _job(
    what: Analysis,
    step: str,
    entry: str,
    environment: Mapping[str, str],
    inputs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    settings = what.settings
    code = settings.s3(f"code/{what.code_version}/sagemaker_scripts/monitoring/")
    return {
        "AppSpecification": {
            "ImageUri": settings.xgboost_image,
            "ContainerEntrypoint": ["python3", f"{INPUT}/code/monitoring"],
            "ContainerArguments": [entry],
        },
        "Environment": {**environment, "output_path": OUTPUT},
        "ProcessingInputs": [processing_input("code", code, "code/monitoring"), *map(dict, inputs)],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "result",
                    "S3Output": {
                        "S3Uri": what.output(step),
                        "LocalPath": OUTPUT,
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": settings.compute.processing_instance,
                "InstanceCount": 1,
                "VolumeSizeInGB": settings.compute.volume_gb,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.timeouts.analyse},
        "RoleArn": settings.role_arn("sagemaker"),
        "Tags": tags(settings, "monitoring"),
    }
