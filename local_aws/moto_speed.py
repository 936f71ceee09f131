"""moto is made for tests of a second. What it repeats for every request is done once here, and what it keeps
of every request is let go; its answers stay as they are. The remarks of `moto_hooks` hold here too."""

from __future__ import annotations

import functools
import importlib
import string
import warnings
from typing import Any

from moto import backends
from moto.core import serialize, utils
from moto.core.common_models import BaseModel
from moto.moto_api._internal.moto_random import MotoRandom
from moto.moto_server.werkzeug_app import BackendRequest
from werkzeug.utils import cached_property
from werkzeug.wrappers import Request as WerkzeugRequest

NAMES = 4096  # more than the operations of all services


def make_fit_for_a_long_life() -> None:
    """Before the first request, and after the services that are always there are imported."""
    warnings.filterwarnings("ignore", message=".*does not match an error shape.*")
    backends.list_of_moto_modules = functools.cache(lambda: frozenset(_list_of_modules()))
    responses: Any = importlib.import_module("moto.core.responses")
    responses.method_names_from_class = functools.cache(
        lambda cls: frozenset(utils.method_names_from_class(cls))
    )
    underscores = functools.lru_cache(NAMES)(_camelcase_to_underscores)
    for module in ("moto.core.utils", "moto.core.responses", "moto.sqs.models"):
        importlib.import_module(module).camelcase_to_underscores = underscores  # type: ignore[attr-defined]
    BaseModel.__new__ = staticmethod(_untracked)
    iam: Any = importlib.import_module("moto.iam.models")
    iam.mark_account_as_visited = lambda **_: None
    MotoRandom.get_random_string = _random_string
    serialize.XFormedAttributePicker.get_possible_keys = _possible_keys


class SwiftRequest(BackendRequest):
    """A request whose addresses are put together once; the host has passed `server.LOCAL_HOST`."""

    # Flask's own makes a class for every request, for a hint about forms.
    _load_form_data = WerkzeugRequest._load_form_data

    @cached_property
    def root_url(self) -> str:
        return f"{self.scheme}://{self.host}/"

    url_root = root_url

    @cached_property
    def raw_url(self) -> str:
        return super().raw_url


_list_of_modules = backends.list_of_moto_modules
_camelcase_to_underscores = utils.camelcase_to_underscores
_all_possible_keys = serialize.XFormedAttributePicker.get_possible_keys
_known_keys: dict[tuple[Any, ...], tuple[str, ...]] = {}


def _untracked(cls: type[Any], *_: Any, **__: Any) -> Any:
    """BaseModel.__new__ without its list of every instance ever made, which only moto's test reset reads."""
    return object.__new__(cls)


def _random_string(
    self: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False
) -> str:
    text = "".join(self.choices(string.ascii_letters + (string.digits if include_digits else ""), k=length))
    return text.lower() if lower_case else text


def _possible_keys(
    self: serialize.XFormedAttributePicker, context: serialize.AttributePickerContext
) -> tuple[str, ...]:
    """The names under which a member of an answer may be found: the same for all objects of a class."""
    shape, service = context.shape, context.service_model
    parent = getattr(shape, "parent", None)
    mark = (
        type(context.obj),
        context.key,
        service and service.service_name,
        shape and (shape.name, shape.serialization.get("name")),
        parent and parent.name,
    )
    found = _known_keys.get(mark)
    if found is None:
        found = _known_keys[mark] = tuple(dict.fromkeys(_all_possible_keys(self, context)))
    return found
