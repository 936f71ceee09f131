"""The services that local AWS computes itself; everything else is moto's own answer.

Each module or package named here exposes `install(context: Context) -> None`, called once before the first
request is served.
"""

from __future__ import annotations

import importlib
import importlib.util

from local_aws.context import Context

PACKAGES = ("s3", "logs", "cloudwatch", "cloudformation", "glue", "athena", "sagemaker")


def install(context: Context) -> None:
    for name in PACKAGES:
        if importlib.util.find_spec(f"local_aws.services.{name}") is None:
            continue
        importlib.import_module(f"local_aws.services.{name}").install(context)
