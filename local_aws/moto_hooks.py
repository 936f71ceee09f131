"""Every place where this project reaches into moto, in one module; for speed and memory, in `moto_speed`.

moto's internals are not a stable interface: the version is pinned exactly, and tests/contracts/boto3 guard
what is used here. Services call `replace_backend`, `replace_responses` and `not_supported` from `install`.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from moto import backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.responses import BaseResponse
from moto.iam.access_control import IAMPolicy
from moto.s3 import models as s3_models

Backends = dict[str, dict[str, BaseBackend]]  # account -> region -> backend

_refused: dict[str, set[str]] = {}
_refused_resource_types: set[str] = set()


def replace_backend(service: str, cls: type[BaseBackend]) -> BackendDict[Any]:
    """Make `cls` the backend of a service, for every account and region; return the dict that holds them.

    The dict's identity stays, so moto modules that read this service's backend see the replacement.
    `service` is boto3's name ("s3", "glue", "sagemaker", "sagemaker-runtime" ...).
    """
    backend_dict = backend_dict_of(service)
    cls._url_module = _urls(service)  # moto derives it from the class's module
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


def add_service(
    name: str, signing_name: str, paths: Iterable[str], responses: type[BaseResponse], found: BackendDict[Any]
) -> None:
    """A service that moto has none of, for its dispatcher, its snapshots and whoever imports `moto.<name>`.

    signing_name: in the credentials of its requests. paths: regular expressions below the host.
    """
    urls: Any = ModuleType(f"moto.{name}.urls")
    urls.url_bases = [rf"https?://{signing_name}\.(.+)\.amazonaws\.com"]
    urls.url_paths = {f"{{0}}/{path}$": responses.dispatch for path in paths}
    found.backend._url_module = urls
    models: Any = ModuleType(f"moto.{name}.models")
    package: Any = ModuleType(f"moto.{name}")
    for module in (models, package):
        setattr(module, f"{name}_backends", found)
    sys.modules |= {f"moto.{name}": package, models.__name__: models, urls.__name__: urls}
    index: Any = importlib.import_module("moto.backend_index")
    index.backend_url_patterns.append((name, re.compile(urls.url_bases[0])))


def response_classes(service: str) -> set[type[BaseResponse]]:
    """The classes whose methods answer a service's requests."""
    owners = (getattr(handler, "__self__", None) for handler in _urls(service).url_paths.values())
    return {owner for owner in owners if isinstance(owner, type)}


def not_supported(service: str, operation: str) -> None:
    """Refuse an operation that moto would answer without doing it (501 UnsupportedOperation, naming it)."""
    _refused.setdefault(module_name(service), set()).add(operation)


def refused(service: str) -> set[str]:
    return _refused.get(module_name(service), set())


def module_name(service: str) -> str:
    """moto's package for a service: "lambda" -> "awslambda", "sagemaker-runtime" -> "sagemakerruntime"."""
    name = service.replace("-", "")
    return backends.ALT_SERVICE_NAMES.get(name, name)


def backend_dict_of(service: str) -> BackendDict[Any]:
    return backends.get_backend(service)


def leave_conditional_bucket_statements() -> None:
    """Bucket policies are stored and, as far as they have no condition, enforced. moto enforces a statement
    as if its condition were not there, by which "deny what is not TLS" would deny everything on loopback."""
    judge = s3_models.FakeBucket.get_permission

    def without_conditions(self: s3_models.FakeBucket, action: str, resource: str) -> Any:
        if self.policy is None:
            return judge(self, action, resource)
        policy = json.loads(self.policy)
        statements = [s for s in policy.get("Statement", []) if not s.get("Condition")]
        kept = IAMPolicy(json.dumps({**policy, "Statement": statements}))
        return kept.is_action_permitted(action, resource)

    s3_models.FakeBucket.get_permission = without_conditions


def replace_attribute(service: str, cls: str, name: str, value: Any) -> None:
    """Put a method or property of ours in the place of one of moto's own record classes."""
    models: Any = importlib.import_module(f"moto.{module_name(service)}.models")
    setattr(getattr(models, cls), name, value)


def replace_notifications(on_event: Callable[..., None], on_configured: Callable[..., None]) -> None:
    """What moto's S3 calls when something happens to an object, and when a bucket's notifications are set."""
    notifications: Any = importlib.import_module("moto.s3.notifications")
    notifications.send_event = on_event
    notifications.send_test_event = on_configured


def refuse_resource_type(*types: str) -> None:
    """CloudFormation types that moto would create in tables of its own, which nothing here looks at."""
    _refused_resource_types.update(types)


def refuse_unknown_resource_types() -> None:
    """A CloudFormation type that nobody implements is an error before anything is made or changed; moto would
    skip it with a warning and call the stack complete. A resource whose condition is false may be of any
    type, so that one template serves AWS and local AWS."""
    # Here, because it imports a dozen services, which makes up half of the start.
    from moto.cloudformation import parsing
    from moto.cloudformation.exceptions import ValidationError

    load, update = parsing.ResourceMap.load, parsing.ResourceMap.update

    def strict_load(self: parsing.ResourceMap) -> None:
        load(self)
        unknown = {
            resource["Type"]
            for resource in self._resource_json_map.values()
            if self.lazy_condition_map.get(resource.get("Condition"), True)
            and not resource["Type"].startswith("Custom::")
            and (
                resource["Type"] not in [*parsing.NULL_MODELS, *parsing.get_model_map()]
                or resource["Type"] in _refused_resource_types
            )
        }
        if unknown:
            raise ValidationError(
                message=f"Template format error: Unrecognized resource types: {sorted(unknown)} "
                "(local AWS does not support them)"
            )

    def strict_update(
        self: parsing.ResourceMap, template: dict[str, Any], parameters: dict[str, Any] | None = None
    ) -> None:
        parsing.ResourceMap(
            self.stack_id,
            str(self["AWS::StackName"]),
            parameters or self.input_parameters,
            self.tags,
            self._region_name,
            self._account_id,
            template,
            self.cross_stack_resources,
        ).load()
        update(self, template, parameters)

    parsing.ResourceMap.load = strict_load
    parsing.ResourceMap.update = strict_update


def _urls(service: str) -> ModuleType:
    return importlib.import_module(f"moto.{module_name(service)}.urls")


# State: what a snapshot holds, and how it names what belongs to another service.


def services_in_use() -> dict[str, BackendDict[Any]]:
    """moto's package name -> backends, of every service of which a backend exists."""
    found = {}
    for name, module in list(sys.modules.items()):
        package = name.removeprefix("moto.").removesuffix(".models")
        if name == f"moto.{package}.models" and "." not in package and package != "moto_api":
            for value in vars(module).values():
                if isinstance(value, BackendDict) and any(value.values()) and _urls_of(value) == package:
                    found[package] = value
    return found


def _urls_of(backend_dict: BackendDict[Any]) -> str:
    """Package that defines a backend dict: its class may be ours, its `_url_module` is moto's."""
    for regions in backend_dict.values():
        for backend in regions.values():
            return str(backend._url_module.__name__).split(".")[1]
    return ""


def get_backends(service: str) -> Backends:
    return {account: dict(regions) for account, regions in backend_dict_of(service).items()}


def put_backends(service: str, content: Backends) -> None:
    backend_dict = backend_dict_of(service)
    for account, regions in content.items():
        for region, backend in regions.items():
            backend_dict[account][region] = backend


def backend_reference(backend: BaseBackend) -> tuple[str, ...] | None:
    for service, backend_dict in services_in_use().items():
        for account, region, candidate in backend_dict.iter_backends():
            if candidate is backend:
                return ("backend", service, account, region)
    return None


def bucket_reference(obj: Any) -> tuple[str, ...] | None:
    """CloudFormation's stacks hold the buckets they made; those are stored by S3."""
    if isinstance(obj, s3_models.FakeBucket):
        return ("bucket", obj.account_id, obj.partition, obj.name)
    return None


def resolve_reference(reference: tuple[str, ...]) -> Any:
    kind, *where = reference
    if kind == "backend":
        service, account, region = where
        return backend_dict_of(service)[account][region]
    account, partition, name = where
    return backend_dict_of("s3")[account][partition].buckets.get(name)
