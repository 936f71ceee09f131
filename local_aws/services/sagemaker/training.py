"""Training jobs: the container contract of /opt/ml, run as a process."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.environment import role_environment
from local_aws.images import model_trainer, registry
from local_aws.processes import Exit

from . import checkpoints, errors, inputs, jobs, metrics
from .backend import Record, Service
from .jobs import Outcome

MOST_INSTANCES = 4  # each is a process on this machine


def check(service: Service, request: dict[str, Any]) -> None:
    """Refuse what cannot be trained, in AWS's words."""
    errors.refuse(
        request,
        "DebugRuleConfigurations",
        "ProfilerRuleConfigurations",
        "TensorBoardOutputConfig",
        "ServerlessJobConfig",
        "MlflowConfig",
        "ModelPackageConfig",
    )
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if not request.get(name):
            path = name[0].lower() + name[1:]
            raise errors.validation(
                f"1 validation error detected: Value null at '{path}' failed to satisfy constraint: "
                "Member must not be null"
            )
    algorithm = request["AlgorithmSpecification"]
    errors.refuse(algorithm, "AlgorithmName")
    _check_algorithm(service, request)
    resources = request["ResourceConfig"]
    errors.refuse(resources, "InstanceGroups", "TrainingPlanArn", "KeepAlivePeriodInSeconds")
    _check_spot(request)
    _check_instances(request)
    for channel in request.get("InputDataConfig", ()):
        _check_channel(service, channel, request["RoleArn"])
    _check_output(service, request["OutputDataConfig"]["S3OutputPath"])


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    check(service, request)
    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    if is_built_in(request):
        record["AlgorithmSpecification"]["MetricDefinitions"] = metrics.built_in_definitions(
            request["AlgorithmSpecification"]["TrainingImage"]
        )
    record["OutputDataConfig"].setdefault("KmsKeyId", "")  # AWS always says so, and the SDK reads it
    record["TrainingJobArn"] = service.arn("training-job", request["TrainingJobName"])
    jobs.submit(service, TRAINING, record, request.get("Tags"))
    return {"TrainingJobArn": record["TrainingJobArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return jobs.get(service, TRAINING, request["TrainingJobName"])


def stop(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    jobs.stop(service, TRAINING, request["TrainingJobName"])
    return {}


def _check_algorithm(service: Service, request: dict[str, Any]) -> None:
    algorithm = request["AlgorithmSpecification"]
    if not algorithm.get("TrainingImage"):
        raise errors.validation("AlgorithmSpecification names neither a TrainingImage nor an AlgorithmName.")
    if algorithm["TrainingInputMode"] == "Pipe":
        raise errors.unsupported("TrainingInputMode Pipe")
    if algorithm.get("MetricDefinitions") and is_built_in(request):
        raise errors.validation(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the "
            "request without specifying metric definitions."
        )
    try:
        registry.resolve(
            algorithm["TrainingImage"],
            "training",
            python=service.context.jobs_python,
            entrypoint=algorithm.get("ContainerEntrypoint"),
        )
    except registry.UnknownImage as error:
        raise errors.validation(str(error)) from error


def _check_instances(request: dict[str, Any]) -> None:
    resources = request["ResourceConfig"]
    count, instance_type = resources.get("InstanceCount", 1), resources.get("InstanceType")
    jobs.check_instances(count, instance_type, "training job", most=MOST_INSTANCES)
    if count > 1 and request.get("CheckpointConfig"):
        raise errors.unsupported("CheckpointConfig of a job with several instances")


def _check_spot(request: dict[str, Any]) -> None:
    """Capacity is never taken away here; the fields are checked as AWS checks them."""
    condition = request["StoppingCondition"]
    longest = condition.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if longest is not None:
            raise errors.validation("MaxWaitTimeInSeconds can only be given with EnableManagedSpotTraining.")
    elif longest is None or longest < condition.get("MaxRuntimeInSeconds", TRAINING.max_runtime_seconds):
        raise errors.validation(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds."
        )


def is_built_in(request: dict[str, Any]) -> bool:
    """Whether the image's own algorithm trains: no script of the user's, no other command."""
    script = "sagemaker_program" in request.get("HyperParameters", {})
    return not script and not request["AlgorithmSpecification"].get("ContainerEntrypoint")


def _check_channel(service: Service, channel: dict[str, Any], role_arn: str) -> None:
    errors.refuse(channel["DataSource"], "FileSystemDataSource", "DatasetSource")
    errors.refuse(channel, "ShuffleConfig")
    if channel.get("InputMode") == "Pipe":
        raise errors.unsupported(f"InputMode Pipe (channel {channel['ChannelName']})")
    if channel.get("RecordWrapperType", "None") != "None":
        raise errors.unsupported(f"RecordWrapperType {channel['RecordWrapperType']}")
    inputs.check(service, _source(channel), role_arn)


def _check_output(service: Service, uri: str) -> None:
    bucket = inputs.split_uri(uri)[0]
    if not service.context.objects.exists_bucket(bucket):
        raise errors.validation(
            f"The bucket of the output path {uri} does not exist: create s3://{bucket} first."
        )


def _source(channel: dict[str, Any]) -> inputs.Source:
    s3 = channel["DataSource"]["S3DataSource"]
    return inputs.Source(s3["S3Uri"], s3["S3DataType"], channel.get("CompressionType") == "Gzip")


def _prepare(service: Service, record: Record, base: Path) -> registry.Command:
    """Lay out /opt/ml, once for each instance; several are run by one process, see images/hosts.py."""
    count = record["ResourceConfig"].get("InstanceCount", 1)
    hosts = [f"algo-{number}" for number in range(1, count + 1)]
    if count == 1:
        return _prepare_host(service, record, base, hosts[0], hosts)
    for folder in ("model", "output/data"):
        (base / folder).mkdir(parents=True)
    plan = []
    for host in hosts:
        own = base / "hosts" / host
        own.mkdir(parents=True)
        command = _prepare_host(service, record, own, host, hosts)
        plan.append({"host": host, "argv": command.argv, "env": command.env, "base": str(own)})
    _write(base / "hosts.json", plan)
    return registry.Command(
        argv=[str(service.context.jobs_python), "-m", "local_aws.images.hosts", str(base)],
        env={"PYTHONPATH": str(registry.PROJECT_ROOT)},
    )


def _prepare_host(
    service: Service, record: Record, base: Path, host: str, hosts: list[str]
) -> registry.Command:
    """Lay out /opt/ml of one instance: configuration, channels, the folders that it fills."""
    config = base / "input" / "config"
    for path in (config, base / "model", base / "output" / "data", base / "checkpoints"):
        path.mkdir(parents=True)
    channels: dict[str, dict[str, Any]] = {}
    for channel in record.get("InputDataConfig", ()):
        name = channel["ChannelName"]
        channels[name] = {
            "TrainingInputMode": channel.get(
                "InputMode", record["AlgorithmSpecification"]["TrainingInputMode"]
            ),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        if "ContentType" in channel:
            channels[name]["ContentType"] = channel["ContentType"]
        sharded = channels[name]["S3DistributionType"] == "ShardedByS3Key"
        shard = inputs.Shard(hosts.index(host), len(hosts)) if sharded else inputs.WHOLE
        inputs.download(service, _source(channel), base / "input" / "data" / name, shard)
    _write(config / "hyperparameters.json", record.get("HyperParameters", {}))
    _write(config / "inputdataconfig.json", channels)
    _write(config / "resourceconfig.json", _resource_config(record, host, hosts))
    if record.get("CheckpointConfig"):
        local = str(checkpoints.local_path(record, base))
        _write(config / "checkpointconfig.json", {**record["CheckpointConfig"], "LocalPath": local})
        checkpoints.restore(service, record, base)
    algorithm = record["AlgorithmSpecification"]
    command = registry.resolve(
        algorithm["TrainingImage"],
        "training",
        python=service.context.jobs_python,
        base_dir=base,
        entrypoint=algorithm.get("ContainerEntrypoint"),
        arguments=algorithm.get("ContainerArguments"),
        environment={
            **role_environment(record["RoleArn"]),
            **record.get("Environment", {}),
            "TRAINING_JOB_NAME": record["TrainingJobName"],
            "TRAINING_JOB_ARN": record["TrainingJobArn"],
        },
    )
    if not model_trainer.is_driven(command.argv):
        return command
    try:
        return model_trainer.moved(command, base, service.context.jobs_python)
    except ValueError as error:
        raise inputs.BadInput(str(error)) from error


def _resource_config(record: Record, host: str, hosts: list[str]) -> dict[str, Any]:
    instance_type = record["ResourceConfig"].get("InstanceType")
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": hosts,
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": hosts}
        ],
        "network_interface_name": "lo",
    }


def _finish(service: Service, record: Record, base: Path, exit: Exit) -> Outcome:
    """Publish what there is, then say how it ended. A failed job's model is not published: it is none."""
    members = {"FinalMetricDataList": metrics.final(service, record), **_times(service, record)}
    if record.get("CheckpointConfig"):
        checkpoints.publish_all(service, record, base)
    if exit.reason == "lost":
        return jobs.ended_badly(exit)
    output = record["OutputDataConfig"]
    target = inputs.join_uri(output["S3OutputPath"], record["TrainingJobName"], "output")
    if any((base / "output" / "data").iterdir()):
        jobs.upload_archive(
            service, base / "output" / "data", base / "output.tar.gz", f"{target}/output.tar.gz"
        )
    outcome = _outcome(record, base, exit)
    if outcome.status != "Failed":
        members["ModelArtifacts"] = {"S3ModelArtifacts": _publish_model(service, output, base, target)}
    return Outcome(outcome.status, outcome.secondary, outcome.reason, members)


def _outcome(record: Record, base: Path, exit: Exit) -> Outcome:
    if exit.reason == "timed_out":
        seconds = record["StoppingCondition"].get("MaxRuntimeInSeconds", TRAINING.max_runtime_seconds)
        return Outcome(
            "Stopped", "MaxRuntimeExceeded", f"The job ran longer than MaxRuntimeInSeconds ({seconds} s)."
        )
    if record["TrainingJobStatus"] == "Stopping":
        return Outcome("Stopped", "Stopped")
    if exit.reason == "exited" and exit.code == 0:
        return Outcome("Completed", "Completed")
    return jobs.ended_badly(exit, jobs.read_text(base / "output" / "failure", jobs.FAILURE_REASON_LENGTH))


def _publish_model(service: Service, output: dict[str, Any], base: Path, target: str) -> str:
    if output.get("CompressionType") == "NONE":
        jobs.upload_folder(service, base / "model", f"{target}/model")
        return f"{target}/model/"
    return jobs.upload_archive(service, base / "model", base / "model.tar.gz", f"{target}/model.tar.gz")


def _times(service: Service, record: Record) -> dict[str, Any]:
    """Seconds are whole and at least 1, as AWS bills."""
    if "TrainingStartTime" not in record:
        return {}
    seconds = max(1, round((service.now() - record["TrainingStartTime"]).total_seconds()))
    return {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}


def _companion(service: Service, record: Record, base: Path) -> Callable[[threading.Event], None] | None:
    if not record.get("CheckpointConfig"):
        return None
    return lambda ended: checkpoints.follow(service, record, base, ended)


def _on_line(service: Service, record: Record) -> Callable[[str], None]:
    return metrics.Reader(service, record).feed


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2))


TRAINING = jobs.Kind(
    name="training-job",
    status="TrainingJobStatus",
    log_group="/aws/sagemaker/TrainingJobs",
    started="TrainingStartTime",
    ended="TrainingEndTime",
    prepare=_prepare,
    finish=_finish,
    on_line=_on_line,
    companion=_companion,
    grace_seconds=120,
)
