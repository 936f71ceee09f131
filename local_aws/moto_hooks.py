"""Every place where this project reaches into moto, in one module.

moto's internals are not a stable interface: the version is pinned exactly, and tests/contracts/boto3 guard what
is used here. Services call `replace_backend`, `replace_responses` and `not_supported` from their `install`.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from moto import backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.responses import BaseResponse

_refused: dict[str, set[str]] = {}


def replace_backend(service: str, cls: type[BaseBackend]) -> BackendDict[Any]:
    """Make `cls` the backend of a service, for every account and region; return the dict that holds them.

    The dict's identity stays, so moto modules that read this service's backend see the replacement.
    `service` is moto's name ("s3", "glue", "sagemaker", "awslambda" is "lambda" ...).
    """
    backend_dict = backends.get_backend(service)  # type: ignore[call-overload]
    urls = _urls(service)
    cls._url_module = urls  # type: ignore[assignment]  # moto derives it from the class's module
    backend_dict.backend = cls
    backend_dict.clear()
    return backend_dict


def replace_responses(service: str, cls: type[BaseResponse]) -> None:
    """Route every URL of a service to `cls`, a subclass of moto's response class for it.

    A new operation is a snake_case method of `cls`. The handlers must be bound class methods of a base of
    `cls` (as nearly all of moto's are); others are left alone.
    """
    paths = _urls(service).url_paths
    for pattern, handler in list(paths.items()):
        owner = getattr(handler, "__self__", None)
        if isinstance(owner, type) and issubclass(cls, owner):
            paths[pattern] = getattr(cls, handler.__name__)


def not_supported(service: str, operation: str) -> None:
    """Refuse an operation that moto would answer without doing it (501 UnsupportedOperation, naming it)."""
    _refused.setdefault(service, set()).add(operation)


def is_refused(service: str, operation: str) -> bool:
    return operation in _refused.get(service, ())


def _urls(service: str) -> ModuleType:
    module_name = backends.get_backend(service).backend.__module__  # type: ignore[call-overload]
    package = "moto." + service if not module_name.startswith("moto.") else module_name.rsplit(".", 1)[0]
    return importlib.import_module(package + ".urls")
