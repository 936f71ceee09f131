"""Batch transform jobs: a private model server, and a driver that feeds it the input objects.

Driver and server run as one job process (`local_aws.images.batch`), so stop, time limit, logs and adoption
after a restart are the supervisor's as for every job. This module lays the work out and publishes what came
back.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from local_aws.images import registry
from local_aws.processes import Exit

from . import archives, errors, inputs, jobs, models
from .backend import Record, Service
from .jobs import Outcome

DRIVER = "local_aws.images.batch.driver"


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(request, "DataCaptureConfig")
    models.check_servable(service, request["ModelName"], "transform")
    resources = request["TransformResources"]
    jobs.check_instances(resources.get("InstanceCount"), resources.get("InstanceType"), "transform job")
    _check_data(service, request)
    record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    # Batch transform has no limit of its own on AWS; the job ends when its objects are done.
    record["StoppingCondition"] = {"MaxRuntimeInSeconds": TRANSFORM.max_runtime_seconds}
    record["TransformJobArn"] = service.arn("transform-job", request["TransformJobName"])
    jobs.submit(service, TRANSFORM, record, request.get("Tags"))
    return {"TransformJobArn": record["TransformJobArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    return jobs.get(service, TRANSFORM, request["TransformJobName"])


def stop(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    jobs.stop(service, TRANSFORM, request["TransformJobName"])
    return {}


def _check_data(service: Service, request: dict[str, Any]) -> None:
    """The combinations that AWS refuses, and the splits that are not read here."""
    source, output = request["TransformInput"], request["TransformOutput"]
    split = source.get("SplitType", "None")
    if split not in ("None", "Line"):
        raise errors.unsupported(f"SplitType {split}")
    payload, concurrent = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if payload == 0:
        raise errors.unsupported("MaxPayloadInMB 0 (chunked transfer)")
    if payload and concurrent and payload * concurrent > 100:
        raise errors.validation("MaxPayloadInMB * MaxConcurrentTransforms must not exceed 100 MB.")
    if (request.get("DataProcessing") or {}).get("JoinSource", "None") == "Input":
        if source.get("ContentType") != output.get("Accept"):
            raise errors.validation("JoinSource Input needs ContentType and Accept to be the same.")
        if split != output.get("AssembleWith", "None"):
            raise errors.validation("JoinSource Input needs SplitType and AssembleWith to be the same.")
    inputs.check(service, _source(request), "the model's execution role")
    bucket = inputs.split_uri(output["S3OutputPath"])[0]
    if not service.context.objects.exists_bucket(bucket):
        raise errors.validation(
            f"The bucket of {output['S3OutputPath']} does not exist: create s3://{bucket} first."
        )


def _source(record: Record) -> inputs.Source:
    given = record["TransformInput"]
    s3 = given["DataSource"]["S3DataSource"]
    return inputs.Source(s3["S3Uri"], s3["S3DataType"], given.get("CompressionType") == "Gzip")


def _prepare(service: Service, record: Record, base: Path) -> registry.Command:
    """Inputs, the model, the driver's plan. The driver starts the server itself."""
    try:
        model = models.servable(service, record["ModelName"], base / "model")
    except archives.BadArchive as error:
        raise inputs.BadInput(str(error)) from error
    inputs.download(service, _source(record), base / "input")
    (base / "output").mkdir()
    environment = {**model.environment, **record.get("Environment", {}), **_batch_environment(record)}
    server = registry.resolve(
        model.image_uri,
        "transform",
        python=service.context.jobs_python,
        base_dir=base,
        environment=environment,
    )
    given, output = record["TransformInput"], record["TransformOutput"]
    plan = {
        "server": {"argv": server.argv, "env": server.env},
        "content_type": given.get("ContentType"),
        "accept": output.get("Accept"),
        "split": given.get("SplitType", "None"),
        "assemble": output.get("AssembleWith", "None"),
        "strategy": record.get("BatchStrategy"),
        "max_payload_mb": record.get("MaxPayloadInMB"),
        "concurrent": record.get("MaxConcurrentTransforms"),
        "timeout_seconds": (record.get("ModelClientConfig") or {}).get("InvocationsTimeoutInSeconds", 600),
        "retries": (record.get("ModelClientConfig") or {}).get("InvocationsMaxRetries", 3),
        "data_processing": record.get("DataProcessing") or {},
    }
    (base / "plan.json").write_text(json.dumps(plan))
    return registry.Command(
        argv=[str(service.context.jobs_python), "-m", DRIVER, str(base)],
        env={"PYTHONPATH": str(registry.PROJECT_ROOT)},
    )


def _batch_environment(record: Record) -> dict[str, str]:
    """What a container sees in batch mode; the last three only when the request sets them."""
    strategy = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}.get(
        record.get("BatchStrategy", "")
    )
    given = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": record.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": strategy,
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": record.get("MaxConcurrentTransforms"),
    }
    return {
        "SAGEMAKER_BATCH": "true",
        **{key: str(value) for key, value in given.items() if value is not None},
    }


def _finish(service: Service, record: Record, base: Path, exit: Exit) -> Outcome:
    """Publish the outputs that are complete, also those of a job that failed with another object."""
    if exit.reason == "lost":
        return jobs.ended_badly(exit)
    jobs.upload_folder(service, base / "output", record["TransformOutput"]["S3OutputPath"])
    if record["TransformJobStatus"] == "Stopping":
        return Outcome("Stopped", "Stopped")
    if exit.reason == "exited" and exit.code == 0:
        return Outcome("Completed", "Completed")
    return jobs.ended_badly(exit, jobs.read_text(base / "failure", jobs.FAILURE_REASON_LENGTH))


TRANSFORM = jobs.Kind(
    name="transform-job",
    status="TransformJobStatus",
    log_group="/aws/sagemaker/TransformJobs",
    started="TransformStartTime",
    ended="TransformEndTime",
    prepare=_prepare,
    finish=_finish,
    max_runtime_seconds=432000,
)
