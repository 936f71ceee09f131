"""The running fleets: brings them to the desired state and picks a model for each request.

Everything here runs on the event loop; only the loading of models is handed to threads.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from bisect import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local_aws.images.xgboost.payload import Answer
from local_aws.serving import desired
from local_aws.serving.errors import RuntimeApiError, endpoint_not_found, invalid, not_ready, throttled
from local_aws.serving.hosts import Host, HostError, Request
from local_aws.serving.metrics import Dimensions

log = logging.getLogger(__name__)

DRAIN_SECONDS = 60.0

LOADING, READY, FAILED = "Loading", "Ready", "Failed"

HostFactory = Callable[[str, str, desired.Variant], Host]  # endpoint, fleet, variant


@dataclass(eq=False)
class Running:
    """One variant's model and its state."""

    name: str
    state: str = LOADING
    reason: str | None = None
    in_flight: int = 0
    host: Host | None = None
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def invoke(self, request: Request) -> Answer:
        assert self.host is not None, "routed before it was ready"
        self.in_flight += 1
        try:
            return await self.host.invoke(request)
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self.idle.set()


@dataclass(eq=False)
class LiveFleet:
    """A desired fleet with its running models, in the order of its variants and of its shadows."""

    wanted: desired.Fleet
    models: list[Running]
    shadows: list[Running] = field(default_factory=list)

    @property
    def all(self) -> list[Running]:
        return [*self.models, *self.shadows]

    @property
    def state(self) -> str:
        states = {model.state for model in self.all}
        return FAILED if FAILED in states else LOADING if LOADING in states else READY

    @property
    def reason(self) -> str | None:
        reasons = [f"{model.name}: {model.reason}" for model in self.all if model.reason]
        return "; ".join(reasons) or None


@dataclass(frozen=True)
class Shadow:
    """A model that gets a copy of a share (0..1) of the requests; nobody waits for its answers."""

    model: Running
    share: float
    dimensions: tuple[Dimensions, ...]


@dataclass(frozen=True)
class Choice:
    """A model that can be picked, and the metric dimensions its requests count under."""

    fleet: desired.Fleet
    model: Running
    dimensions: tuple[Dimensions, ...]
    concurrency: int | None = None
    shadows: tuple[Shadow, ...] = ()

    def check_free(self) -> None:
        """Raises RuntimeApiError when as many requests are under way as a serverless variant takes."""
        if self.concurrency is not None and self.model.in_flight >= self.concurrency:
            raise throttled(self.model.name, self.concurrency)


class Route:
    """How one endpoint's requests are shared out: fleets by weight, then variants by weight."""

    def __init__(self, endpoint: desired.Endpoint, fleets: list[LiveFleet]) -> None:
        self.capture = endpoint.capture
        self.choices = [
            Choice(
                fleet.wanted,
                model,
                _dimensions(endpoint.name, fleet.wanted.id, model.name, len(fleets)),
                variant.concurrency,
                tuple(
                    Shadow(
                        each,
                        wanted.weight,
                        _dimensions(endpoint.name, fleet.wanted.id, each.name, len(fleets)),
                    )
                    for each, wanted in zip(fleet.shadows, fleet.wanted.shadows, strict=True)
                ),
            )
            for fleet in fleets
            for model, variant in zip(fleet.models, fleet.wanted.variants, strict=True)
        ]
        self.limits = list(itertools.accumulate(_shares(fleets)))

    def pick(self, draw: Callable[[], float], target: str | None) -> Choice:
        """A choice at random, by weight; with a target, among that variant's models in the fleets.

        Raises RuntimeApiError (ValidationError) for a target that the endpoint does not have.
        """
        if target is None:
            if len(self.choices) == 1:
                return self.choices[0]
            return self.choices[min(bisect(self.limits, draw() * self.limits[-1]), len(self.choices) - 1)]
        named = [choice for choice in self.choices if choice.model.name == target]
        if not named:
            raise invalid(f"Variant {target} was not found in the endpoint.")
        limits = list(itertools.accumulate(_normalized(choice.fleet.weight for choice in named)))
        return named[min(bisect(limits, draw() * limits[-1]), len(named) - 1)]


class Fleets:
    """All endpoints of the data plane."""

    def __init__(
        self, factory: HostFactory, *, account: str, draw: Callable[[], float] = random.random
    ) -> None:
        self.factory = factory
        self.account = account
        self.draw = draw
        self.endpoints: dict[str, desired.Endpoint] = {}
        self._running: dict[tuple[Any, ...], Running] = {}
        self._live: dict[str, list[LiveFleet]] = {}
        self._routes: dict[str, Route] = {}
        self._served: dict[str, list[LiveFleet]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining: dict[tuple[Any, ...], asyncio.Task[None]] = {}

    def apply(self, endpoints: dict[str, desired.Endpoint]) -> set[str]:
        """Moves to a new desired state; models load in the background. Returns the names that are gone."""
        gone = set(self.endpoints) - set(endpoints)
        self.endpoints = endpoints
        for name in gone:
            self._routes.pop(name, None)
            self._served.pop(name, None)
            self._live.pop(name, None)
        for name, endpoint in endpoints.items():
            self._live[name] = [
                LiveFleet(
                    fleet,
                    [self._ensure(name, fleet.id, variant) for variant in fleet.variants],
                    [self._ensure(name, fleet.id, variant) for variant in fleet.shadows],
                )
                for fleet in endpoint.fleets
            ]
            self._reroute(name)
        self._retire_unused()
        return gone

    def pick(self, endpoint: str, target: str | None) -> tuple[Route, Choice]:
        """The model that answers an endpoint's next request. Raises RuntimeApiError when there is none."""
        route = self._routes.get(endpoint)
        if route is None:
            raise self._unroutable(endpoint)
        return route, route.pick(self.draw, target)

    def require(self, endpoint: str) -> None:
        """Raises RuntimeApiError for an endpoint that is not wanted."""
        if endpoint not in self.endpoints:
            raise endpoint_not_found(endpoint, self.account)

    def status(self) -> dict[str, Any]:
        """The state of every desired fleet; the schema is in the package's docstring."""
        return {
            name: {
                "fleets": {
                    fleet.wanted.id: {
                        "state": fleet.state,
                        "reason": fleet.reason,
                        "variants": {
                            model.name: {"state": model.state, "reason": model.reason} for model in fleet.all
                        },
                    }
                    for fleet in fleets
                }
            }
            for name, fleets in self._live.items()
        }

    async def close(self) -> None:
        """Stops every model; the requests that are being answered have been waited for by the server."""
        for task in self._tasks:
            task.cancel()
        hosts = [running.host for running in self._running.values() if running.host]
        await asyncio.gather(*(host.stop() for host in hosts), return_exceptions=True)

    def _ensure(self, endpoint: str, fleet: str, variant: desired.Variant) -> Running:
        key = (endpoint, fleet, variant.identity)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = Running(variant.name)
            self._spawn(self._load(running, endpoint, fleet, variant, self._draining.get(key)))
        return running

    async def _load(
        self,
        running: Running,
        endpoint: str,
        fleet: str,
        variant: desired.Variant,
        earlier: asyncio.Task[None] | None,
    ) -> None:
        """earlier: the same model being stopped, of an endpoint that was deleted and made again at once."""
        try:
            if earlier is not None:
                await earlier
            running.host = self.factory(endpoint, fleet, variant)
            await running.host.start()
            running.state = READY
        except HostError as error:
            running.state, running.reason = FAILED, str(error)
        except Exception as error:  # whatever it was, the fleet must not stay Loading for ever
            log.exception("Endpoint %s, fleet %s", endpoint, fleet)
            running.state, running.reason = FAILED, f"{type(error).__name__}: {error}"
        if endpoint in self.endpoints:
            self._reroute(endpoint)
        self._retire_unused()

    def _reroute(self, name: str) -> None:
        """Routes to the desired fleets that are Ready; keeps the earlier route while there is none."""
        endpoint, fleets = self.endpoints[name], self._live[name]
        ready = [fleet for fleet in fleets if fleet.state == READY]
        serving = [fleet for fleet in ready if fleet.wanted.weight > 0] or (
            # Nothing with traffic is ready. An earlier fleet is better than one with weight 0.
            self._served.get(name) or ready
        )
        if serving:
            self._served[name] = serving
            self._routes[name] = Route(endpoint, serving)

    def _retire_unused(self) -> None:
        used = {
            id(model)
            for fleets in (*self._live.values(), *self._served.values())
            for fleet in fleets
            for model in fleet.all
        }
        for key, running in list(self._running.items()):
            if id(running) not in used and running.state != LOADING:
                del self._running[key]
                self._draining[key] = self._spawn(_drain(running))
                self._draining[key].add_done_callback(partial(self._drained, key))

    def _unroutable(self, name: str) -> RuntimeApiError:
        fleets = self._live.get(name)
        if fleets is None:
            return endpoint_not_found(name, self.account)
        if any(fleet.state == LOADING for fleet in fleets):
            return not_ready(name)
        reasons = "; ".join(fleet.reason for fleet in fleets if fleet.reason)
        return invalid(f"Endpoint {name} is not in service: {reasons or 'it has no fleet'}.")

    def _drained(self, key: tuple[Any, ...], task: asyncio.Task[None]) -> None:
        if self._draining.get(key) is task:
            del self._draining[key]

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _drain(running: Running) -> None:
    """Stops a model for good, once the requests it is answering are answered, or after a minute."""
    if running.in_flight:
        running.idle.clear()
        try:
            await asyncio.wait_for(running.idle.wait(), DRAIN_SECONDS)
        except TimeoutError:
            log.warning(
                "Variant %s still answers %d requests; it is stopped.", running.name, running.in_flight
            )
    if running.host is not None:
        await running.host.stop()
        await asyncio.to_thread(running.host.forget)


def _shares(fleets: list[LiveFleet]) -> list[float]:
    """Each model's share of the traffic, in the order of the fleets and their variants."""
    weights = _normalized(fleet.wanted.weight for fleet in fleets)
    return [
        weight * share
        for weight, fleet in zip(weights, fleets, strict=True)
        for share in _normalized(variant.weight for variant in fleet.wanted.variants)
    ]


def _normalized(weights: Iterable[float]) -> list[float]:
    """Weights -> shares that sum to 1; equal ones when all are zero."""
    values = list(weights)
    total = sum(values)
    return [value / total for value in values] if total else [1 / len(values)] * len(values)


def _dimensions(endpoint: str, fleet: str, variant: str, fleets: int) -> tuple[Dimensions, ...]:
    both: Dimensions = (("EndpointName", endpoint), ("VariantName", variant))
    return (both,) if fleets == 1 else (both, (*both, ("EndpointConfigName", fleet)))
