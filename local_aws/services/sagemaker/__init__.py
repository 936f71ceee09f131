"""SageMaker's control plane: jobs that compute, a model registry, endpoints with guarded deployments.

`operations` is the table of contents. moto parses requests and writes answers; its canned results are
replaced (see `install`) and what is not computed here is refused by name.
"""

from __future__ import annotations

from moto.sagemaker.models import sagemaker_backends

from local_aws import moto_hooks
from local_aws.context import Context

from . import dataplane, deployments, jobs, operations, processing, responses, training, transform
from .backend import SageMakerBackend, Service

KINDS = (training.TRAINING, processing.PROCESSING, transform.TRANSFORM)


def install(context: Context) -> None:
    """Register the service with moto."""
    responses.SageMakerResponses.context = context
    moto_hooks.replace_backend("sagemaker", SageMakerBackend)
    moto_hooks.replace_responses("sagemaker", responses.SageMakerResponses)
    for operation in responses.service_model().operation_names:
        if operation not in operations.COMPUTED and operation not in operations.STORED:
            moto_hooks.not_supported("sagemaker", operation)


def resume(context: Context) -> None:
    """Take over what an earlier server left: running jobs, endpoints that serve, deployments under way."""
    home = service_of(context, context.account, context.region)
    for region in list(sagemaker_backends[context.account]):
        service = service_of(context, context.account, region)
        with service.lock:
            for kind in KINDS:
                jobs.resume(service, kind)
    deployments.resume(home)
    dataplane.start(context)


def service_of(context: Context, account: str, region: str) -> Service:
    return Service(context, sagemaker_backends[account][region])
