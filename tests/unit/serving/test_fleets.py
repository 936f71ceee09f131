"""Traffic shares, and the passage from one desired state to the next."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from local_aws.images.xgboost.payload import Answer
from local_aws.serving import desired
from local_aws.serving.errors import RuntimeApiError
from local_aws.serving.fleets import Fleets
from local_aws.serving.hosts import HostError, Request


class FakeHost:
    """Starts when it is let, answers with its name."""

    def __init__(self, name):
        self.name = name
        self.may_start = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error = None
        self.stopped = False

    async def start(self):
        await self.may_start.wait()
        if self.error:
            raise HostError(self.error)

    async def invoke(self, request):
        await self.may_answer.wait()
        assert not self.stopped
        return Answer(200, "text/plain", self.name.encode())

    async def stop(self):
        self.stopped = True


class World:
    def __init__(self, seed=5):
        self.hosts = {}
        self.fleets = Fleets(self.make, account="123456789012", draw=random.Random(seed).random)

    def make(self, endpoint, fleet, variant):
        host = FakeHost(f"{fleet}/{variant.name}")
        self.hosts[host.name] = host
        return host

    async def apply(self, *fleets, start=True):
        self.fleets.apply({"e": desired.Endpoint("e", fleets, None)} if fleets else {})
        await self.settle()
        if start:
            for host in self.hosts.values():
                host.may_start.set()
            await self.settle()

    @staticmethod
    async def settle():
        for _ in range(5):
            await asyncio.sleep(0)

    def pick(self, target=None):
        choice = self.fleets.pick("e", target)[1]
        return f"{choice.fleet.id}/{choice.model.name}"


def fleet(name, weight=1.0, **variants):
    return desired.Fleet(
        name,
        weight,
        tuple(
            desired.Variant(n, w, Path(f"/{name}/{n}"), "i", (), ())
            for n, w in (variants or {"A": 1.0}).items()
        ),
    )


def within_binomial_bounds(count, n, p):
    return abs(count - n * p) <= 4 * (n * p * (1 - p)) ** 0.5


def test_variants_share_by_weight_and_weight_zero_gets_nothing():
    async def scenario():
        world = World()
        await world.apply(fleet("f", A=3, B=1, C=0))
        counts = Counter(world.pick() for _ in range(4000))
        assert counts["f/C"] == 0
        assert within_binomial_bounds(counts["f/A"], 4000, 0.75)
        assert counts["f/A"] + counts["f/B"] == 4000
        assert {world.pick("C") for _ in range(20)} == {"f/C"}
        with pytest.raises(RuntimeApiError, match="Variant X was not found in the endpoint"):
            world.pick("X")

    asyncio.run(scenario())


def test_a_canary_takes_its_share_and_its_target_variant_too():
    async def scenario():
        world = World()
        await world.apply(fleet("blue", 0.9, A=1, B=1), fleet("green", 0.1, A=1, B=1))
        counts = Counter(world.pick() for _ in range(5000))
        assert within_binomial_bounds(counts["green/A"] + counts["green/B"], 5000, 0.1)
        assert within_binomial_bounds(counts["blue/A"], 5000, 0.45)
        targeted = Counter(world.pick("A") for _ in range(5000))
        assert set(targeted) == {"blue/A", "green/A"}
        assert within_binomial_bounds(targeted["green/A"], 5000, 0.1)

    asyncio.run(scenario())


def test_metric_dimensions_name_the_config_only_while_there_are_two_fleets():
    async def scenario():
        world = World()
        await world.apply(fleet("blue"))
        base = (("EndpointName", "e"), ("VariantName", "A"))
        assert world.fleets.pick("e", None)[1].dimensions == (base,)
        await world.apply(fleet("blue", 1.0), fleet("green", 0.0))
        assert world.fleets.pick("e", None)[1].dimensions == (base,)  # green is ready but has no traffic
        await world.apply(fleet("blue", 0.0), fleet("green", 1.0))
        assert world.pick() == "green/A"
        await world.apply(fleet("blue", 0.5), fleet("green", 0.5))
        dimensions = {world.fleets.pick("e", None)[1].dimensions for _ in range(50)}
        assert dimensions == {(base, (*base, ("EndpointConfigName", name))) for name in ("blue", "green")}

    asyncio.run(scenario())


def test_while_the_first_model_loads_it_is_not_ready_and_then_it_answers():
    async def scenario():
        world = World()
        with pytest.raises(RuntimeApiError, match="Endpoint e of account 123456789012 not found"):
            world.pick()
        await world.apply(fleet("f"), start=False)
        assert world.fleets.status()["e"]["fleets"]["f"]["state"] == "Loading"
        with pytest.raises(RuntimeApiError) as error:
            world.pick()
        assert (error.value.code, error.value.status) == ("ServiceUnavailable", 503)  # boto3 tries again
        world.hosts["f/A"].may_start.set()
        await world.settle()
        assert world.pick() == "f/A"
        await world.apply()
        with pytest.raises(RuntimeApiError, match="not found"):
            world.pick()
        assert world.hosts["f/A"].stopped

    asyncio.run(scenario())


def test_replacement_loads_beside_and_drains_what_it_replaces():
    async def scenario():
        world = World()
        await world.apply(fleet("old"))
        old = world.hosts["old/A"]
        old.may_answer.clear()
        model = world.fleets.pick("e", None)[1].model
        answering = asyncio.create_task(model.invoke(Request(b"", "", "")))
        await world.apply(fleet("new"), start=False)
        assert world.pick() == "old/A"
        world.hosts["new/A"].may_start.set()
        await world.settle()
        assert world.pick() == "new/A"
        assert not old.stopped
        old.may_answer.set()
        assert (await answering).body == b"old/A"
        await world.settle()
        assert old.stopped

    asyncio.run(scenario())


def test_a_fleet_that_cannot_load_is_failed_with_its_reason_and_the_old_one_serves_on():
    async def scenario():
        world = World()
        await world.apply(fleet("old"))
        await world.apply(fleet("new"), start=False)
        world.hosts["new/A"].error = "Unable to load model: no xgboost-model"
        world.hosts["new/A"].may_start.set()
        await world.settle()
        assert world.fleets.status()["e"]["fleets"] == {
            "new": {
                "state": "Failed",
                "reason": "A: Unable to load model: no xgboost-model",
                "variants": {"A": {"state": "Failed", "reason": "Unable to load model: no xgboost-model"}},
            }
        }
        assert world.pick() == "old/A"
        await world.apply(fleet("old"))  # the control plane rolls back
        assert world.pick() == "old/A"
        assert not world.hosts["old/A"].stopped

    asyncio.run(scenario())


def test_a_change_of_weights_starts_no_model_again():
    async def scenario():
        world = World()
        await world.apply(fleet("f", A=1, B=1))
        hosts = dict(world.hosts)
        await world.apply(fleet("f", A=0, B=1))
        assert world.hosts == hosts
        assert {world.pick() for _ in range(50)} == {"f/B"}

    asyncio.run(scenario())


def test_an_endpoint_whose_only_fleet_failed_says_why():
    async def scenario():
        world = World()
        await world.apply(fleet("f"), start=False)
        world.hosts["f/A"].error = "broken"
        world.hosts["f/A"].may_start.set()
        await world.settle()
        with pytest.raises(RuntimeApiError, match="Endpoint e is not in service: A: broken"):
            world.pick()

    asyncio.run(scenario())
