"""KMS: moto's keys, made fit for storing. They encrypt and sign; nobody's permission to use one is asked."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from moto.kms.utils import AbstractPrivateKey

from local_aws import moto_hooks
from local_aws.context import Context

REFUSED = ("ReplicateKey", "CreateCustomKeyStore", "ImportKeyMaterial")


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    key: Any = AbstractPrivateKey
    key.__getstate__, key.__setstate__ = _to_pem, _from_pem
    for operation in REFUSED:
        moto_hooks.not_supported("kms", operation)


def _to_pem(self: Any) -> dict[str, Any]:
    pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {**vars(self), "private_key": pem}


def _from_pem(self: Any, state: dict[str, Any]) -> None:
    vars(self).update({**state, "private_key": load_pem_private_key(state["private_key"], password=None)})
