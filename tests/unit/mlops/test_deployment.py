"""What a deployment does next, for every state an endpoint can be in."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.deployment import DeploymentFailed, is_ours_in_motion, next_step

IN_MOTION = ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"]


def endpoint(status: str, serves: str = "old", **more: Any) -> dict[str, Any]:
    return {"EndpointName": "e", "EndpointStatus": status, "EndpointConfigName": serves, **more}


@pytest.mark.parametrize(
    ("found", "requested", "step"),
    [
        (None, False, "create"),
        (endpoint("InService", "new"), False, "done"),
        (endpoint("InService", "new"), True, "done"),
        (endpoint("InService", "old"), False, "update"),
        (endpoint("Failed", "new"), False, "delete"),
        *[(endpoint(status), requested, "wait") for status in IN_MOTION for requested in (True, False)],
    ],
)  # fmt: skip
def test_next_step(found: dict[str, Any] | None, requested: bool, step: str) -> None:
    assert next_step(found, "new", requested) == step


@pytest.mark.parametrize(
    ("found", "requested", "message"),
    [
        (
            endpoint("InService", "old", FailureReason="alarm x rang"),
            True,
            "new was rolled back: endpoint e still serves old. Reason: alarm x rang",
        ),
        (endpoint("InService", "old"), True, "was rolled back.*no reason given"),
        (endpoint("Failed", "new", FailureReason="no memory"), True, "e with new is Failed: no memory"),
        (endpoint("UpdateRollbackFailed"), False, "UpdateRollbackFailed and cannot be updated"),
        (endpoint("OutOfService"), False, "OutOfService and cannot be updated"),
        (None, True, "was deleted while"),
    ],
)
def test_failures_say_what_is_served(found: dict[str, Any] | None, requested: bool, message: str) -> None:
    with pytest.raises(DeploymentFailed, match=message):
        next_step(found, "new", requested)


def test_a_deployment_under_way_is_recognised_as_ours() -> None:
    pending = {"EndpointConfigName": "new"}
    assert is_ours_in_motion(endpoint("Updating", PendingDeploymentSummary=pending), "new")
    assert is_ours_in_motion(endpoint("Creating", "new"), "new")
    assert not is_ours_in_motion(endpoint("Updating", PendingDeploymentSummary=pending), "newer")
    assert not is_ours_in_motion(endpoint("InService", "new"), "new")
