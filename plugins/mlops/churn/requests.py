"""Requests of every job and resource of the churn pipeline, as data: pure functions of settings and plan.

A test checks each against botocore's service model, so that a typo is found without AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.jobs import processing_input
from mlops.monitoring.baselines import drift_check_baselines, model_metrics

if TYPE_CHECKING:
    from config import Settings
    from mlops.champion import Champion

CODE = "/opt/ml/processing/input/code"
OUTPUT = "/opt/ml/processing/output"
MESSAGE = "/opt/ml/output/message"  # what SageMaker reports as the job's ExitMessage

# The last one decides about early stopping.
EVAL_METRICS = ("auc", "error", "logloss")


def validation(settings: Settings, params: Mapping[str, Any], prefix: str, raw: str) -> dict[str, Any]:
    """Processing job: the raw file against the declared schema. Writes `<prefix>validation/report.json`."""
    return _processing(
        settings,
        params,
        script="validate.py",
        arguments=[
            "--input", "/opt/ml/processing/input/raw",
            "--output", OUTPUT,
            "--message", MESSAGE,
            "--max-missing", str(settings.data.maximum_missing),
        ],
        inputs={"raw": raw},
        output=f"{prefix}validation/",
        seconds=settings.timeouts.validate_data,
    )  # fmt: skip


def etl_arguments(
    settings: Settings, params: Mapping[str, Any], prefix: str, raw: str, table: str
) -> dict[str, str]:
    """Arguments of the Glue job run: raw file in, encoded splits, Parquet and a catalog table out."""
    return {
        "--source": raw,
        "--destination": f"{prefix}data/",
        "--split": str(params["split"]),
        "--seed": str(params["split_seed"]),
        "--train_share": str(settings.data.train_share),
        "--validation_share": str(settings.data.validation_share),
        "--database": settings.glue_database,
        "--table": table,
    }


def etl_job(settings: Settings) -> dict[str, Any]:
    """What the Glue job is, apart from its script: Glue 5, Spark 3.5."""
    return {
        "GlueVersion": "5.0",
        "WorkerType": settings.compute.glue_worker,
        "NumberOfWorkers": settings.compute.glue_workers,
        "Timeout": max(1, settings.timeouts.etl // 60),
        "DefaultArguments": {"--job-language": "python"},
    }


def hyperparameters(params: Mapping[str, Any]) -> dict[str, str]:
    """The trigger form's values as the built-in XGBoost wants them: all text, switched-off ones absent."""
    names = (
        "max_depth",
        "eta",
        "gamma",
        "min_child_weight",
        "subsample",
        "num_round",
        "scale_pos_weight",
        "seed",
    )
    values = {
        name: f"{params[name]:g}" if isinstance(params[name], float) else str(params[name]) for name in names
    }
    if params["early_stopping_rounds"]:
        values["early_stopping_rounds"] = str(params["early_stopping_rounds"])
    return {"objective": "binary:logistic", "eval_metric": ",".join(EVAL_METRICS), **values}


def training(settings: Settings, params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Training job: built-in XGBoost on the train split, watched on the validation split.

    No MetricDefinitions: SageMaker refuses them for its own algorithms and sets them itself.
    """
    channels = ("train", "validation")
    return {
        "AlgorithmSpecification": {
            "TrainingImage": settings.xgboost_image,
            "TrainingInputMode": "File",
        },
        "RoleArn": settings.role_arn("sagemaker"),
        "HyperParameters": hyperparameters(params),
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "ContentType": "text/csv",  # SageMaker's default is libsvm
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"{prefix}data/{channel}/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in channels
        ],
        "OutputDataConfig": {"S3OutputPath": f"{prefix}model/"},
        "ResourceConfig": {
            "InstanceType": settings.compute.training_instance,
            "InstanceCount": settings.compute.training_instances,
            "VolumeSizeInGB": settings.compute.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.timeouts.train},
        "Tags": tags(settings),
    }


def evaluation(
    settings: Settings, params: Mapping[str, Any], prefix: str, champion: Champion | None
) -> dict[str, Any]:
    """Processing job: challenger and champion on the same hold-out. The challenger comes with the task.

    Writes evaluation.json, report.html, smoke_sample.csv and the scores to `<prefix>evaluation/`.
    """
    gate = settings.gate
    arguments = [
        "--holdout", "/opt/ml/processing/input/holdout",
        "--encoder", "/opt/ml/processing/input/encoder",
        "--challenger", "/opt/ml/processing/input/challenger",
        "--threshold", str(params["threshold"]),
        "--replicates", str(gate.replicates),
        "--seed", str(gate.seed),
        "--output", OUTPUT,
        "--message", MESSAGE,
    ]  # fmt: skip
    inputs = {
        "holdout": f"{prefix}data/customers/split=holdout/",
        "encoder": f"{prefix}data/encoder.json",
    }
    if champion:
        arguments += [
            "--champion", "/opt/ml/processing/input/champion",
            "--champion-encoder", "/opt/ml/processing/input/champion-encoder",
        ]  # fmt: skip
        inputs |= {"champion": champion.model_uri, "champion-encoder": champion.encoder_uri}
    return _processing(
        settings,
        params,
        script="evaluate.py",
        arguments=arguments,
        inputs=inputs,
        output=f"{prefix}evaluation/",
        seconds=settings.timeouts.evaluate,
    )


def baseline(settings: Settings, params: Mapping[str, Any], prefix: str, version: str) -> dict[str, Any]:
    """Processing job: what the model's monitors will compare with. The model comes with the task.

    Writes a folder for each monitor to `<prefix>baseline/`. `version` is kept in every file: a window of
    another model's answers is not judged by them.
    """
    policy = settings.monitoring
    names = (
        "constraint_tolerance",
        "window_alarm_rate",
        "expected_window_rows",
        "facet",
        "facet_threshold",
        "explained_rows",
        "shap_samples",
        "seed",
    )
    environment = {name: str(getattr(policy, name)) for name in names}
    environment |= {"threshold": str(params["threshold"]), "model_version": version}
    code = settings.s3(f"code/{params['code_version']}/sagemaker_scripts/monitoring/")
    return {
        **_processing(
            settings,
            params,
            script="monitoring",
            arguments=["baseline"],
            inputs={
                "train": f"{prefix}data/train/",
                "validation": f"{prefix}data/validation/",
                "encoder": f"{prefix}data/encoder.json",
            },
            output=f"{prefix}baseline/",
            seconds=settings.timeouts.baseline,
            code=processing_input("code", code, "code/monitoring"),
        ),
        "Environment": environment,
    }


def model_package(
    settings: Settings,
    model_uri: str,
    evaluation_uri: str,
    baseline_uri: str | None,
    description: str,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Model package: the trained model with its evaluation, its baselines and where everything came from.

    `baseline_uri`: the prefix of the baseline job's output, None for a model that nothing will watch.
    """
    evaluation = {"ContentType": "application/json", "S3Uri": f"{evaluation_uri}evaluation.json"}
    watched = {"DriftCheckBaselines": drift_check_baselines(baseline_uri)} if baseline_uri else {}
    return {
        "ModelPackageGroupName": settings.churn_model_group,
        "ModelPackageDescription": description[:1024],
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {
            "Containers": [{"Image": settings.xgboost_image, "ModelDataUrl": model_uri}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": [settings.compute.endpoint_instance],
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": evaluation},
            **(model_metrics(baseline_uri) if baseline_uri else {}),
        },
        **watched,
        "CustomerMetadataProperties": dict(metadata),
    }


def model(settings: Settings, name: str, package_arn: str) -> dict[str, Any]:
    """Model: a registered package, ready to be served."""
    return {
        "ModelName": name,
        "PrimaryContainer": {"ModelPackageName": package_arn},
        "ExecutionRoleArn": settings.role_arn("sagemaker"),
        "Tags": tags(settings),
    }


def endpoint_config(settings: Settings, name: str) -> dict[str, Any]:
    """Endpoint configuration of a model of the same name, with data capture."""
    policy = settings.deployment
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialVariantWeight": 1.0}
    if settings.compute.endpoint_serverless_mb:  # sleeps when nobody asks; AWS captures nothing of it
        serverless = {"MemorySizeInMB": settings.compute.endpoint_serverless_mb, "MaxConcurrency": 5}
        return {
            "EndpointConfigName": name,
            "ProductionVariants": [{**variant, "ServerlessConfig": serverless}],
            "Tags": tags(settings),
        }
    instances = {
        "InstanceType": settings.compute.endpoint_instance,
        "InitialInstanceCount": settings.compute.endpoint_instances,
    }
    return {
        "EndpointConfigName": name,
        "ProductionVariants": [{**variant, **instances}],
        "DataCaptureConfig": {
            "EnableCapture": policy.capture_percent > 0,
            "InitialSamplingPercentage": policy.capture_percent,
            "DestinationS3Uri": settings.s3("capture"),  # SageMaker appends /<endpoint>/<variant>/<hour>
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
        "Tags": tags(settings),
    }


def deployment(settings: Settings) -> dict[str, Any]:
    """How an update proceeds: blue/green, a canary first, back at once when an alarm rings. A serverless
    endpoint takes no such policy: AWS moves all of its traffic at once."""
    if settings.compute.endpoint_serverless_mb:
        return {}
    policy = settings.deployment
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": policy.canary_percent},
                "WaitIntervalInSeconds": policy.canary_wait,
            },
            "TerminationWaitInSeconds": policy.termination_wait,
            "MaximumExecutionTimeoutInSeconds": policy.maximum_time,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in settings.churn_alarms]},
    }


def tags(settings: Settings, pipeline: str = "churn_training") -> list[dict[str, str]]:
    """Whose it is: what a bill is split by, and what finds everything the platform has made."""
    return [
        {"Key": "project", "Value": settings.project},
        {"Key": "environment", "Value": settings.environment},
        {"Key": "pipeline", "Value": pipeline},
    ]


def _processing(
    settings: Settings,
    params: Mapping[str, Any],
    *,
    script: str,
    arguments: list[str],
    inputs: Mapping[str, str],
    output: str,
    seconds: int,
    code: dict[str, Any] | None = None,
) -> dict[str, Any]:
    scripts = settings.s3(f"code/{params['code_version']}/sagemaker_scripts/churn/")
    return {
        "AppSpecification": {
            "ImageUri": settings.xgboost_image,
            "ContainerEntrypoint": ["python3", f"{CODE}/{script}"],
            "ContainerArguments": arguments,
        },
        "ProcessingInputs": [
            code or processing_input("code", scripts),
            *(processing_input(name, uri) for name, uri in inputs.items()),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "report",
                    "S3Output": {"S3Uri": output, "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"},
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
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        "RoleArn": settings.role_arn("sagemaker"),
        "Tags": tags(settings),
    }
