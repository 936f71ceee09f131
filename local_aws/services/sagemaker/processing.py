"""Processing jobs: any command over downloaded inputs, its outputs uploaded when it ends, well or badly."""

from __future__ import annotations

import copy
import json
from pathlib import Path, PurePosixPath
from typing import Any

from local_aws.environment import role_environment
from local_aws.images import registry
from local_aws.processes import Exit

from . import errors, inputs, jobs
from .backend import Record, Service
from .jobs import Outcome
from .monitoring import metrics

ROOT = "/opt/ml/processing"
EXIT_MESSAGE_LENGTH = 1024


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    cluster = request["ProcessingResources"]["ClusterConfig"]
    jobs.check_instances(cluster.get("InstanceCount"), cluster.get("InstanceType"), "processing job")
    app = request["AppSpecification"]
    try:
        registry.resolve(app["ImageUri"], "processing", entrypoint=app.get("ContainerEntrypoint"))
    except registry.UnknownImage as error:
        raise errors.validation(str(error)) from error
    for item in request.get("ProcessingInputs", ()):
        _check_input(service, item, request["RoleArn"])
    for output in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        _check_output(service, output)

    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    record.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": PROCESSING.max_runtime_seconds})
    record["ProcessingJobArn"] = service.arn("processing-job", request["ProcessingJobName"])
    jobs.submit(service, PROCESSING, record, request.get("Tags"))
    return {"ProcessingJobArn": record["ProcessingJobArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return jobs.get(service, PROCESSING, request["ProcessingJobName"])


def stop(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    jobs.stop(service, PROCESSING, request["ProcessingJobName"])
    return {}


def _check_input(service: Service, item: dict[str, Any], role_arn: str) -> None:
    errors.refuse(item, "DatasetDefinition")
    s3 = item.get("S3Input")
    if not s3:
        raise errors.validation(f"ProcessingInput {item['InputName']} has no S3Input.")
    _check_local_path(s3.get("LocalPath"), f"ProcessingInput {item['InputName']}")
    if s3.get("S3InputMode") == "Pipe":
        raise errors.unsupported(f"S3InputMode Pipe (input {item['InputName']})")
    inputs.check(service, _source(s3), role_arn)


def _check_output(service: Service, output: dict[str, Any]) -> None:
    errors.refuse(output, "FeatureStoreOutput")
    s3 = output.get("S3Output")
    if not s3:
        raise errors.validation(f"ProcessingOutput {output['OutputName']} has no S3Output.")
    _check_local_path(s3.get("LocalPath"), f"ProcessingOutput {output['OutputName']}")
    bucket = inputs.split_uri(s3["S3Uri"])[0]
    if not service.context.objects.exists_bucket(bucket):
        raise errors.validation(
            f"The bucket of the output {output['OutputName']}, {s3['S3Uri']}, does not exist: "
            f"create s3://{bucket} first."
        )


def _check_local_path(path: str | None, where: str) -> None:
    parts = PurePosixPath(path or "").parts
    if ".." in parts or not (path or "").startswith(ROOT + "/"):
        raise errors.validation(f"{where}: LocalPath '{path}' must begin with {ROOT}/")


def _source(s3: dict[str, Any]) -> inputs.Source:
    return inputs.Source(s3["S3Uri"], s3["S3DataType"], s3.get("S3CompressionType") == "Gzip")


def _prepare(service: Service, record: Record, base: Path) -> registry.Command:
    """Lay out /opt/ml for processing. Configuration is in config/, for training in input/config/."""
    config = base / "config"
    config.mkdir()
    (base / "output").mkdir()
    for item in record.get("ProcessingInputs", ()):
        s3 = item["S3Input"]
        inputs.download(service, _source(s3), Path(registry.rebase(s3["LocalPath"], base)))
    for output in _outputs(record):
        Path(registry.rebase(output["LocalPath"], base)).mkdir(parents=True, exist_ok=True)
    (config / "processingjobconfig.json").write_text(json.dumps(_job_config(record), indent=2))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    app = record["AppSpecification"]
    return registry.resolve(
        app["ImageUri"],
        "processing",
        python=service.context.jobs_python,
        base_dir=base,
        entrypoint=app.get("ContainerEntrypoint"),
        arguments=app.get("ContainerArguments"),
        environment=role_environment(record["RoleArn"]) | record.get("Environment", {}),
    )


def _job_config(record: Record) -> dict[str, Any]:
    """What a container finds in processingjobconfig.json; members that were not given are null."""
    app = record["AppSpecification"]
    names = (
        *(
            "ProcessingJobArn",
            "ProcessingJobName",
            "Environment",
            "ProcessingInputs",
            "ProcessingOutputConfig",
        ),
        *("ProcessingResources", "RoleArn", "StoppingCondition", "NetworkConfig"),
    )
    config = {name: record.get(name) for name in names}
    config["AppSpecification"] = {
        name: app.get(name) for name in ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
    }
    config["ProcessingInputs"] = [
        {"AppManaged": False, "DatasetDefinition": None, **item}
        for item in record.get("ProcessingInputs", ())
    ]
    return config


def _outputs(record: Record) -> list[dict[str, Any]]:
    return [output["S3Output"] for output in record.get("ProcessingOutputConfig", {}).get("Outputs", ())]


def _finish(service: Service, record: Record, base: Path, exit: Exit) -> Outcome:
    """Outputs are uploaded however the job ended: a failed validation's report is what its reader needs."""
    if exit.reason == "lost":
        return jobs.ended_badly(exit)
    for output in _outputs(record):
        jobs.upload_folder(service, Path(registry.rebase(output["LocalPath"], base)), output["S3Uri"])
    metrics.publish(service, record, base)
    message = jobs.read_text(base / "output" / "message", EXIT_MESSAGE_LENGTH)
    outcome = _outcome(record, exit, message)
    members = {"ExitMessage": message} if message else {}
    return Outcome(outcome.status, outcome.secondary, outcome.reason, members)


def _outcome(record: Record, exit: Exit, message: str) -> Outcome:
    if exit.reason == "timed_out":
        seconds = record["StoppingCondition"]["MaxRuntimeInSeconds"]
        return Outcome(
            "Stopped", "MaxRuntimeExceeded", f"The job ran longer than MaxRuntimeInSeconds ({seconds} s)."
        )
    if record["ProcessingJobStatus"] == "Stopping":
        return Outcome("Stopped", "Stopped")
    if exit.reason == "exited" and exit.code == 0:
        return Outcome("Completed", "Completed")
    return jobs.ended_badly(exit, message)


PROCESSING = jobs.Kind(
    name="processing-job",
    status="ProcessingJobStatus",
    log_group="/aws/sagemaker/ProcessingJobs",
    started="ProcessingStartTime",
    ended="ProcessingEndTime",
    prepare=_prepare,
    finish=_finish,
)
