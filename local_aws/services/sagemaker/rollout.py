"""How traffic moves from the old fleet to the new one: pure functions of the deployment's policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import errors


@dataclass(frozen=True)
class Step:
    """Share of traffic on the new fleet, 0..1, and how long it is watched there."""

    share: float
    bake_seconds: float


@dataclass(frozen=True)
class Rollout:
    """A deployment's plan. termination_seconds: how long the old fleet stays, without traffic, at the end."""

    steps: tuple[Step, ...]
    termination_seconds: float
    timeout_seconds: float
    alarms: tuple[str, ...]


def plan(config: dict[str, Any] | None, instances: int) -> Rollout:
    """A DeploymentConfig as steps. Without one: all traffic at once, as AWS does.

    instances: of the new fleet, for sizes given as INSTANCE_COUNT.
    Raises ValidationException for sizes out of AWS's bounds and for rolling updates.
    """
    config = config or {}
    errors.refuse(config, "RollingUpdatePolicy")
    policy = config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    wait = routing["WaitIntervalInSeconds"]
    shares = _shares(routing, instances)
    termination = policy.get("TerminationWaitInSeconds", 0)
    # AWS asks for at least 600; its default is 24 hours.
    timeout = policy.get("MaximumExecutionTimeoutInSeconds", 86400)
    if timeout < wait * len(shares) + termination:
        raise errors.validation(
            f"MaximumExecutionTimeoutInSeconds ({timeout}) must be greater than the sum of the waits "
            f"({wait * len(shares) + termination})."
        )
    alarms = tuple(
        alarm["AlarmName"] for alarm in (config.get("AutoRollbackConfiguration") or {}).get("Alarms", ())
    )
    return Rollout(tuple(Step(share, wait) for share in shares), termination, timeout, alarms)


def _shares(routing: dict[str, Any], instances: int) -> list[float]:
    if routing["Type"] == "ALL_AT_ONCE":
        return [1.0]
    if routing["Type"] == "CANARY":
        share = _share(routing.get("CanarySize"), instances, "CanarySize")
        if not 0 < share <= 0.5:
            raise errors.validation("CanarySize must be more than 0 and at most 50 percent of the fleet.")
        return [share, 1.0]
    share = _share(routing.get("LinearStepSize"), instances, "LinearStepSize")
    if not 0.1 <= share <= 0.5:
        raise errors.validation("LinearStepSize must be between 10 and 50 percent of the fleet.")
    shares, total = [], share
    while total < 1 - 1e-9:
        shares.append(round(total, 6))
        total += share
    return [*shares, 1.0]


def _share(size: dict[str, Any] | None, instances: int, name: str) -> float:
    if not size:
        raise errors.validation(f"TrafficRoutingConfiguration needs a {name}.")
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"]) / 100
    # A fleet of one instance cannot be split by instances on AWS; half is the nearest that means anything
    # here.
    return float(size["Value"]) / max(instances, 1) if instances > 1 else 0.5
