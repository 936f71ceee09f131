"""The services that local AWS computes itself; everything else is moto's own answer.

Each module or package named here exposes `install(context: Context) -> None`, called once before the first
request is served. `install` registers its backend and responses; what it must do with the state of an
earlier run (attach to jobs, start the data plane again) goes into `resume(context)`, called after the state
of every service has been read back.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

from local_aws.context import Context
from local_aws.state import Snapshots

PACKAGES = (
    "logs",
    "delivery",
    "events",
    "state_changes",
    "notifications",
    "sns",
    "sqs",
    "mwaa",
    "cloudwatch",
    "glue",
    "athena",
    "sagemaker",
    "firehose",
    "lambda_",
)
# Installed when first needed: moto's imports for them would make up half of every start.
LATE = ("dynamodb", "iam", "kms", "secretsmanager", "ssm", "cloudformation")


def install(context: Context, state: Snapshots) -> Callable[[str], None]:
    """Install every service, read the state back, then let each take up its work again.

    Returns what must be called with a service's name before its first request.
    """
    modules = [importlib.import_module(f"local_aws.services.{name}") for name in PACKAGES]
    for module in modules:
        module.install(context)

    @functools.cache
    def install_late(name: str) -> None:
        if name == "cloudformation":  # a stack may hold resources of them all
            for other in LATE[:-1]:
                install_late(other)
        if name in LATE:
            importlib.import_module(f"local_aws.services.{name}").install(context)

    for name in state.stored_services():
        install_late(name)
    state.restore()
    for module in modules:
        if hasattr(module, "resume"):
            module.resume(context)
    return install_late
