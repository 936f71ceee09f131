"""One endpoint, brought to serve a wanted configuration: what to do next, given what is there.

SageMaker reports a rolled-back update as `InService`, like a successful one. What tells them apart is the
name of the configuration that the endpoint serves, so that name is the measure of everything here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Step = Literal["create", "update", "delete", "wait", "done"]

IN_MOTION = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}


class DeploymentFailed(Exception):
    """The endpoint does not serve what was asked for. The message says what it serves and why."""


def next_step(endpoint: Mapping[str, Any] | None, config_name: str, requested: bool) -> Step:
    """What brings the endpoint to `config_name`.

    `endpoint` is DescribeEndpoint's answer, None when there is none; `requested` says whether this task has
    already asked for the configuration. Raises DeploymentFailed when it has, and got something else.
    """
    if endpoint is None:
        if requested:
            raise DeploymentFailed("the endpoint was deleted while it was being deployed")
        return "create"
    name, status, serves = (
        endpoint["EndpointName"],
        endpoint["EndpointStatus"],
        endpoint["EndpointConfigName"],
    )
    if status in IN_MOTION:
        return "wait"
    reason = endpoint.get("FailureReason") or "no reason given"
    if status == "InService":
        if serves == config_name:
            return "done"
        if requested:
            raise DeploymentFailed(
                f"the deployment of {config_name} was rolled back: endpoint {name} still serves {serves}. "
                f"Reason: {reason}"
            )
        return "update"
    if requested:
        raise DeploymentFailed(f"endpoint {name} with {config_name} is {status}: {reason}")
    # A first deployment that failed leaves an endpoint that can only be deleted (it has never served).
    if status == "Failed":
        return "delete"
    raise DeploymentFailed(f"endpoint {name} is {status} and cannot be updated: {reason}")


def is_ours_in_motion(endpoint: Mapping[str, Any], config_name: str) -> bool:
    """Whether a deployment of `config_name` is under way, begun by an earlier try of the same task."""
    if endpoint["EndpointStatus"] not in IN_MOTION:
        return False
    pending = endpoint.get("PendingDeploymentSummary") or {}
    return bool(config_name in {pending.get("EndpointConfigName"), endpoint["EndpointConfigName"]})
