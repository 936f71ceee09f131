"""The stacks of `infrastructure/`, one a concern: created or updated in order, on AWS and on local AWS alike.

A parameter gets its value from the settings, from the release (what was uploaded), or from an output of the
same name of an earlier stack; one that has none of them keeps the template's default.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from config import Settings
from workbench.calls import Calls
from workbench.settings import WorkbenchError

STORAGE = "storage"  # holds the bucket that the others' code is uploaded to
ORDER = (STORAGE, "roles", "catalog", "network", "airflow", "monitoring", "triggers", "bandit")
STACK_SECONDS = 3600.0  # MWAA takes half an hour, and up to twice that for some updates
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]

PARAMETERS: Mapping[str, Callable[[Settings], Any]] = {
    "Project": lambda s: s.project,
    "Environment": lambda s: s.environment,
    "UseKms": lambda s: str(s.infrastructure.use_kms).lower(),
    "UseNat": lambda s: str(s.infrastructure.use_nat).lower(),
    "EnvironmentClass": lambda s: s.infrastructure.airflow_class,
    "MaximumWorkers": lambda s: s.infrastructure.airflow_workers,
    "Access": lambda s: "PUBLIC_ONLY" if s.infrastructure.airflow_public else "PRIVATE_ONLY",
    "RunRetentionDays": lambda s: s.infrastructure.run_retention_days,
    "CaptureRetentionDays": lambda s: s.infrastructure.capture_retention_days,
    "LogRetentionDays": lambda s: s.infrastructure.log_retention_days,
    "ServerErrorThreshold": lambda s: s.deployment.server_error_threshold,
    "LatencyThresholdMicroseconds": lambda s: s.deployment.latency_threshold,
    "MonitoringPeriodSeconds": lambda s: s.monitoring.alarm_period,
    "FunctionTimeout": lambda s: s.infrastructure.function_timeout,
    "RetrySeconds": lambda s: s.infrastructure.retry_seconds,
}


def stack_name(settings: Settings, name: str) -> str:
    return f"{settings.stem}-{name}"


def template(root: Path, name: str) -> Path:
    return root / "infrastructure" / f"{name}.yaml"


def outputs(calls: Calls, settings: Settings, name: str) -> dict[str, str] | None:
    """What a stack puts out; None when there is no such stack."""
    try:
        answer = calls.client("cloudformation").describe_stacks(StackName=stack_name(settings, name))
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    (stack,) = answer["Stacks"]
    if stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # a change set was made, and never executed
        return None
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def put(calls: Calls, settings: Settings, path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Create a stack or update it, and wait; unchanged is fine. Returns its outputs.

    given: values beyond the settings'. A first creation takes over what an earlier stack left on purpose (the
    bucket and its data). In a dry run outputs that are not known yet are `<stack.Output>`.
    Raises WorkbenchError with the first resource that failed, and why.
    """
    name, body = stack_name(settings, path.stem), path.read_text()
    before = outputs(calls, settings, path.stem)
    arguments = {
        "StackName": name,
        "TemplateBody": body,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in sorted(values(settings, body, given).items())
        ],
        "Capabilities": CAPABILITIES,
        "Tags": [
            {"Key": "project", "Value": settings.project},
            {"Key": "environment", "Value": settings.environment},
        ],
    }
    try:
        if before is None:
            _create(calls, arguments)
        elif _differs(calls, arguments):
            calls.change("cloudformation", "update_stack", **arguments)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise WorkbenchError(f"infrastructure/{path.name} was refused: {error}") from error
    if calls.dry_run:
        return before or {key: f"<{path.stem}.{key}>" for key in declared(body, "Outputs")}
    _wait(calls, name, path.name)
    return outputs(calls, settings, path.stem) or {}


def values(settings: Settings, body: str, given: Mapping[str, str]) -> dict[str, str]:
    """Parameters of a template, with those values that are known."""
    wanted = declared(body, "Parameters")
    known = {key: str(value(settings)) for key, value in PARAMETERS.items()} | dict(given)
    return {key: known[key] for key in wanted if key in known}


def declared(body: str, section: str) -> list[str]:
    """The logical names in a section of a template. Read by its layout: YAML with CloudFormation's short
    forms needs a parser of its own, and the templates are ours."""
    match = re.search(rf"^{section}:\n((?:[ #].*\n|\n)*)", body + "\n", flags=re.MULTILINE)
    return re.findall(r"^  (\w+):", match.group(1), flags=re.MULTILINE) if match else []


def delete(calls: Calls, settings: Settings, name: str) -> None:
    """Delete a stack and wait; none is fine."""
    if outputs(calls, settings, name) is None:
        return
    full = stack_name(settings, name)
    identity = calls.client("cloudformation").describe_stacks(StackName=full)["Stacks"][0]["StackId"]
    calls.change("cloudformation", "delete_stack", StackName=full)
    if not calls.dry_run:
        _wait(calls, identity, f"{name}.yaml")  # by its id: the name of a deleted stack is unknown


def retained(calls: Calls, settings: Settings, root: Path, name: str) -> Iterator[str]:
    """What stays when a stack is deleted: `AWS::S3::Bucket mlops-dev-...`."""
    if outputs(calls, settings, name) is None:
        return
    body = template(root, name).read_text()
    kept = {
        found.group(1)
        for found in re.finditer(r"^  (\w+):\n(?:    .*\n)*?    DeletionPolicy: Retain", body, re.MULTILINE)
    }
    resources = calls.client("cloudformation").describe_stack_resources(StackName=stack_name(settings, name))
    for resource in resources["StackResources"]:
        if resource.get("LogicalResourceId") in kept:
            yield f"{resource['ResourceType']} {resource['PhysicalResourceId']}"


def _differs(calls: Calls, wanted: dict[str, Any]) -> bool:
    """Whether a stack's template or one of the given parameters is another one than deployed."""
    cloudformation, name = calls.client("cloudformation"), wanted["StackName"]
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    there = {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}
    if any(there.get(one["ParameterKey"]) != one["ParameterValue"] for one in wanted["Parameters"]):
        return True
    return bool(cloudformation.get_template(StackName=name)["TemplateBody"] != wanted["TemplateBody"])


def _create(calls: Calls, arguments: dict[str, Any]) -> None:
    name = f"create-{uuid.uuid4().hex[:8]}"
    calls.change(
        "cloudformation",
        "create_change_set",
        **arguments,
        ChangeSetName=name,
        ChangeSetType="CREATE",
        ImportExistingResources=True,
    )
    change_set = {"ChangeSetName": name, "StackName": arguments["StackName"]}
    if not calls.dry_run:
        calls.client("cloudformation").get_waiter("change_set_create_complete").wait(
            **change_set, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
    calls.change("cloudformation", "execute_change_set", **change_set)


def _wait(calls: Calls, name: str, template_name: str) -> None:
    cloudformation = calls.client("cloudformation")
    deadline, pause = time.monotonic() + STACK_SECONDS, 0.2
    while (status := cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith(
        "IN_PROGRESS"
    ):
        if time.monotonic() > deadline:
            raise WorkbenchError(f"infrastructure/{template_name}: still {status} after an hour")
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"):
        raise WorkbenchError(f"infrastructure/{template_name} is {status}: {_reason(cloudformation, name)}")


def _reason(cloudformation: Any, name: str) -> str:
    """The first failure among the stack's events: the later ones follow from it."""
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    if not failed:
        return f"stack {name} did not complete"
    first = failed[0]
    reason = first.get("ResourceStatusReason", "no reason given")
    return f"{first['LogicalResourceId']} {first['ResourceStatus']}: {reason}"
