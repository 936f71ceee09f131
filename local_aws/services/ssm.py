"""Systems Manager: moto's parameters, made fit for storing. Commands would run on machines: refused."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from moto.ssm.models import ParameterDict, SimpleSystemManagerBackend

from local_aws import moto_hooks
from local_aws.context import Context

REFUSED = ("SendCommand", "StartAutomationExecution", "CreateMaintenanceWindow")


class Backend(SimpleSystemManagerBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._resource_tags: Any = defaultdict(partial(defaultdict, dict))  # moto's holds a lambda


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    parameters: Any = ParameterDict
    parameters.__reduce__ = _reduce
    moto_hooks.replace_backend("ssm", Backend)
    for operation in REFUSED:
        moto_hooks.not_supported("ssm", operation)


def _reduce(self: ParameterDict) -> tuple[Any, ...]:
    return ParameterDict, (self.account_id, self.region_name), vars(self), None, iter(dict.items(self))
