"""Requests of a policy's jobs and endpoint. All run the scripts of sagemaker_scripts/bandit on SageMaker's
scikit-learn image; boto3's words, without names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.jobs import processing_input

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment

CODE = "/opt/ml/processing/input/code"
INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
MESSAGE = "/opt/ml/output/message"  # what SageMaker reports as the job's ExitMessage
VARIANT = "AllTraffic"
LOGGED = ("rows", "refused", "average_loss", "seconds")  # figures in the log line of a training


def training(
    experiment: Experiment, model_id: str, code_version: str, channels: Mapping[str, str], seed: int = 0
) -> dict[str, Any]:
    """Training job. `channels` (S3 URIs): `config`, or `config` and `train`, or `parent` and `train`."""
    settings = experiment.settings
    hyperparameters = {
        # The toolkit reads every value as JSON, as the SDK writes it.
        "sagemaker_program": json.dumps("train.py"),
        "sagemaker_submit_directory": json.dumps(source_archive(experiment, code_version)),
        "sagemaker_region": json.dumps(settings.region),
        "model_id": model_id,
        "seed": str(seed),
    }
    return {
        "AlgorithmSpecification": {
            "TrainingImage": settings.sklearn_image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": rf"{name}=([-+0-9.e]+);"} for name in LOGGED],
        },
        "RoleArn": settings.role_arn("bandit"),
        "HyperParameters": hyperparameters,
        "InputDataConfig": [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name, uri in channels.items()
        ],
        "OutputDataConfig": {"S3OutputPath": experiment.s3("models/")},
        "ResourceConfig": {
            "InstanceType": settings.compute.training_instance,
            "InstanceCount": 1,  # learning goes through the events in their order
            "VolumeSizeInGB": settings.compute.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.timeouts.train},
        "Tags": tags(experiment),
    }


def evaluation(
    experiment: Experiment, code_version: str, manifest: str, champion: str | None, output: str
) -> dict[str, Any]:
    """Processing job: challenger, champion and logged policy on the same events. The challenger comes with
    the task. `manifest` lists the events' objects; `champion` is a model.tar.gz."""
    settings, policy = experiment.settings, experiment.settings.bandit
    arguments = [
        "--data", f"{INPUT}/data",
        "--challenger", f"{INPUT}/challenger",
        "--output", OUTPUT,
        "--message", MESSAGE,
        "--confidence", str(policy.confidence),
        "--folds", str(policy.folds),
    ]  # fmt: skip
    code = settings.s3(f"code/{code_version}/sagemaker_scripts/bandit/")
    data = processing_input("data", manifest)
    data["S3Input"]["S3DataType"] = "ManifestFile"
    inputs = [processing_input("code", code), data]
    if champion:
        arguments += ["--champion", f"{INPUT}/champion"]
        inputs.append(processing_input("champion", champion))
    return {
        "AppSpecification": {
            "ImageUri": settings.sklearn_image,
            "ContainerEntrypoint": ["python3", f"{CODE}/evaluate_policies.py"],
            "ContainerArguments": arguments,
        },
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "evaluation",
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
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.timeouts.evaluate},
        "RoleArn": settings.role_arn("bandit"),
        "Tags": tags(experiment),
    }


def model(experiment: Experiment, model_id: str, model_uri: str, code_version: str) -> dict[str, Any]:
    """The SageMaker model: the policy, the code that serves it, and where its log goes."""
    settings = experiment.settings
    streams = experiment.streams
    return {
        "ModelName": experiment.release(model_id),
        "PrimaryContainer": {
            "Image": settings.sklearn_image,
            "ModelDataUrl": model_uri,
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": source_archive(experiment, code_version),
                "SAGEMAKER_REGION": settings.region,
                "SAGEMAKER_MODEL_SERVER_WORKERS": str(settings.bandit.server_workers),
                "BANDIT_EXPERIMENT": experiment.id,
                "BANDIT_OBSERVATION_STREAM": streams["inference_data"],
                "BANDIT_REWARD_STREAM": streams["rewards_data"],
                "BANDIT_POINTER": experiment.pointer,
                "BANDIT_WORKERS_TABLE": settings.bandit_table("workers"),
            },
        },
        "ExecutionRoleArn": settings.role_arn("bandit"),
        "Tags": tags(experiment),
    }


def endpoint_config(experiment: Experiment, model_id: str) -> dict[str, Any]:
    """Endpoint configuration of a model. No data capture: the inference log is the experiment's own."""
    name, compute = experiment.release(model_id), experiment.settings.compute
    return {
        "EndpointConfigName": name,
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": name,
                "InstanceType": compute.endpoint_instance,
                "InitialInstanceCount": compute.endpoint_instances,
                "InitialVariantWeight": 1.0,
            }
        ],
        "Tags": tags(experiment),
    }


def deployment(experiment: Experiment) -> dict[str, Any]:
    """How new containers take over: all at once. Two policies side by side would log two distributions,
    which is correct, but a canary says nothing of rewards that come later; the gate has judged them."""
    policy = experiment.settings.deployment
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "ALL_AT_ONCE",
                "WaitIntervalInSeconds": policy.canary_wait,
            },
            "TerminationWaitInSeconds": policy.termination_wait,
            "MaximumExecutionTimeoutInSeconds": policy.maximum_time,
        }
    }


def stream(experiment: Experiment, folder: str) -> dict[str, Any]:
    """Firehose stream into hour partitions (of arrival, UTC) of the experiment's `folder`."""
    settings = experiment.settings
    return {
        "DeliveryStreamName": experiment.streams[folder],
        "DeliveryStreamType": "DirectPut",
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": settings.role_arn("firehose"),
            "BucketARN": f"arn:{settings.partition}:s3:::{settings.bucket}",
            "Prefix": f"{experiment.root}{folder}/dt=!{{timestamp:yyyy-MM-dd-HH}}/",
            "ErrorOutputPrefix": f"{experiment.root}errors/{folder}/!{{firehose:error-output-type}}/",
            "BufferingHints": {
                "IntervalInSeconds": settings.bandit.buffer_seconds,
                "SizeInMBs": settings.bandit.buffer_megabytes,
            },
            "CompressionFormat": "GZIP",
        },
        "Tags": tags(experiment),
    }


def source_archive(experiment: Experiment, code_version: str) -> str:
    """The scripts as one archive, the form in which SageMaker's containers take them."""
    return experiment.settings.s3(f"code/{code_version}/sagemaker_scripts/bandit.tar.gz")


def tags(experiment: Experiment) -> list[dict[str, str]]:
    """Whose it is: what a bill is split by, and what a clean-up goes by."""
    return [
        {"Key": "project", "Value": experiment.settings.project},
        {"Key": "environment", "Value": experiment.settings.environment},
        {"Key": "pipeline", "Value": "bandit"},
        {"Key": "experiment", "Value": experiment.id},
    ]
