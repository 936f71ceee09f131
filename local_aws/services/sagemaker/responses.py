"""Dispatch: requests validated, handed to the operation's function, answers written by moto's serializer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.model import ServiceModel
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.sagemaker.responses import SageMakerResponse

from . import operations, tags, validation
from .backend import Service

if TYPE_CHECKING:
    from local_aws.context import Context


class SageMakerResponses(SageMakerResponse):
    """moto's responses with every computed operation replaced; `install` sets the context."""

    context: ClassVar[Context]

    @property
    def service(self) -> Service:
        return Service(self.context, self.sagemaker_backend)


def service_model() -> ServiceModel:
    return get_service_model("sagemaker")


def _method(operation: str, handler: operations.Handler) -> Callable[[SageMakerResponses], ActionResult]:
    moto_name = camelcase_to_underscores(operation)

    def respond(self: SageMakerResponses) -> ActionResult:
        request: dict[str, Any] = self.params
        service = self.service
        validation.check(service_model().operation_model(operation).input_shape, request)
        if "ResourceArn" in request and not tags.is_ours(service, request["ResourceArn"]):
            answer: ActionResult = getattr(SageMakerResponse, moto_name)(self)
            return answer
        with service.lock:
            # A copy: the answer is written after the lock is released, while a thread may change the record.
            return ActionResult(copy.deepcopy(handler(service, request)))

    respond.__name__ = moto_name
    return respond


for _operation, _handler in operations.COMPUTED.items():
    setattr(SageMakerResponses, camelcase_to_underscores(_operation), _method(_operation, _handler))
