"""The services that local AWS computes itself; everything else is moto's own answer.

Each module or package named here exposes `install(context: Context) -> None`, called once before the first
request is served. `install` registers its backend and responses; what it must do with the state of an
earlier run (attach to jobs, start the data plane again) goes into `resume(context)`, called after the state
of every service has been read back.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from local_aws.context import Context

PACKAGES = ("logs", "cloudwatch", "cloudformation", "glue", "athena", "sagemaker")


def install(context: Context, restore: Callable[[], None]) -> None:
    """Install every service, read the state back, then let each take up its work again."""
    modules = [importlib.import_module(f"local_aws.services.{name}") for name in PACKAGES]
    for module in modules:
        module.install(context)
    restore()
    for module in modules:
        if hasattr(module, "resume"):
            module.resume(context)
