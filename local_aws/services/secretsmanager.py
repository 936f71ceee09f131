"""Secrets Manager: moto's secrets. Rotation would run a function on a schedule: refused."""

from __future__ import annotations

from local_aws import moto_hooks
from local_aws.context import Context

REFUSED = ("RotateSecret", "ReplicateSecretToRegions")


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    for operation in REFUSED:
        moto_hooks.not_supported("secretsmanager", operation)
