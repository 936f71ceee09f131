"""Dispatch: requests validated, handed to the operation's function, answers written by moto's serializer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.model import ServiceModel
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.sagemaker.responses import SageMakerResponse

from . import errors, operations, tags, validation
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


def _computed(operation: str, handler: operations.Handler) -> Callable[[SageMakerResponses], ActionResult]:
    stored = _stored(operation)

    def respond(self: SageMakerResponses) -> ActionResult:
        request: dict[str, Any] = self.params
        service = self.service
        _check(operation, request)
        if "ResourceArn" in request and not tags.is_ours(service, request["ResourceArn"]):
            return stored(self)
        with service.lock:
            # A copy: the answer is written after the lock is released, while a thread may change the record.
            return ActionResult(copy.deepcopy(handler(service, request)))

    return respond


def _stored(operation: str) -> Callable[[SageMakerResponses], ActionResult]:
    """moto's own method. Where AWS answers that something does not exist, moto stumbles over it."""
    moto_name = camelcase_to_underscores(operation)

    def respond(self: SageMakerResponses) -> ActionResult:
        _check(operation, self.params)
        try:
            answer: ActionResult = getattr(SageMakerResponse, moto_name)(self)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise errors.not_found(f"{operation}: what the request names does not exist: {error}") from error
        return answer

    return respond


def _check(operation: str, request: dict[str, Any]) -> None:
    validation.check(service_model().operation_model(operation).input_shape, request)


for _operation, _handler in operations.COMPUTED.items():
    setattr(SageMakerResponses, camelcase_to_underscores(_operation), _computed(_operation, _handler))
for _operation in operations.STORED:
    setattr(SageMakerResponses, camelcase_to_underscores(_operation), _stored(_operation))
