"""SageMaker's control plane: jobs that compute, a model registry, endpoints with guarded deployments.

`operations` is the table of contents. moto parses requests and writes answers; its canned results are
replaced (see `install`) and what is not computed here is refused by name.
"""

from __future__ import annotations

from moto.sagemaker.models import sagemaker_backends

from local_aws import moto_hooks
from local_aws.context import Context

from . import dataplane, deployments, jobs, operations, packages, processing, responses, training, transform
from .backend import SageMakerBackend, Service
from .monitoring import timer
from .tuning import driver as tuning

REFUSED_RESOURCE_TYPES = tuple(
    f"AWS::SageMaker::{noun}"
    for noun in ("Model", "EndpointConfig", "Endpoint", "NotebookInstance", "NotebookInstanceLifecycleConfig")
)
Tags = list[dict[str, str]]
KINDS = (training.TRAINING, processing.PROCESSING, transform.TRANSFORM)


def install(context: Context) -> None:
    """Register the service with moto."""
    responses.SageMakerResponses.context = context
    moto_hooks.replace_backend("sagemaker", SageMakerBackend)
    moto_hooks.replace_responses("sagemaker", responses.SageMakerResponses)
    for operation in responses.service_model().operation_names:
        if operation not in operations.COMPUTED and operation not in operations.STORED:
            moto_hooks.not_supported("sagemaker", operation)
    moto_hooks.refuse_resource_type(*REFUSED_RESOURCE_TYPES)


def resume(context: Context) -> None:
    """Take over what an earlier server left: running jobs, endpoints that serve, deployments under way."""
    home = service_of(context, context.account, context.region)
    for region in list(sagemaker_backends[context.account]):
        service = service_of(context, context.account, region)
        with service.lock:
            service.backend.add_missing_kinds()
            for kind in KINDS:
                jobs.resume(service, kind)
        tuning.resume(service)
    deployments.resume(home)
    dataplane.start(context)
    timer.start(context)


def service_of(context: Context, account: str, region: str) -> Service:
    return Service(context, sagemaker_backends[account][region])


def put_model_package_group(account: str, region: str, name: str, description: str, tags: Tags) -> None:
    """For CloudFormation: create a model package group, or describe the one that is there anew."""
    service = service_of(responses.SageMakerResponses.context, account, region)
    group = service.find("model-package-group", name)
    if group is None:
        request = {"ModelPackageGroupName": name, "ModelPackageGroupDescription": description, "Tags": tags}
        packages.create_group(service, request)
    else:
        group["ModelPackageGroupDescription"] = description


def remove_model_package_group(account: str, region: str, name: str) -> None:
    """For CloudFormation. Raises ConflictException when the group still has versions."""
    service = service_of(responses.SageMakerResponses.context, account, region)
    if service.find("model-package-group", name):
        packages.delete_group(service, {"ModelPackageGroupName": name})
