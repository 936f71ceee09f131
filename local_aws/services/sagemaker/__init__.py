"""SageMaker's control plane: jobs that compute, a model registry, endpoints with guarded deployments.

`operations` is the table of contents. moto parses requests and writes answers; its canned results are replaced
(see `install`) and what is not computed here is refused by name.
"""

from __future__ import annotations

from local_aws import moto_hooks
from local_aws.context import Context

from . import deployments, jobs, operations, processing, responses, training, transform
from .backend import SageMakerBackend, Service

KINDS = (training.TRAINING, processing.PROCESSING, transform.TRANSFORM)


def install(context: Context) -> None:
    """Register the service with moto. `recover` comes later, when the stored state is there."""
    responses.SageMakerResponses.context = context
    moto_hooks.replace_backend("sagemaker", SageMakerBackend)
    moto_hooks.replace_responses("sagemaker", responses.SageMakerResponses)
    for operation in responses.service_model().operation_names:
        if operation not in operations.COMPUTED and operation not in operations.STORED:
            moto_hooks.not_supported("sagemaker", operation)


def recover(context: Context) -> None:
    """Take over what an earlier server left: running jobs, endpoints that serve, deployments under way."""
    from moto.sagemaker.models import sagemaker_backends

    for backend in list(sagemaker_backends[context.account].values()):
        if isinstance(backend, SageMakerBackend):
            service = Service(context, backend)
            with service.lock:
                for kind in KINDS:
                    jobs.recover(service, kind)
            deployments.recover(service)
