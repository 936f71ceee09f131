"""What the pipelines need in local AWS before their first run: infrastructure, and the jobs' code."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from config import load
from workbench import packaging
from workbench.programs import code_files, code_version
from workbench.settings import ROOT, Settings, WorkbenchError

ANSWER_SECONDS = 180.0  # on a machine that is busy with other things; a crash is noticed at once
CODE_PREFIX = "code"
SCRIPT_MODE = ("sagemaker_scripts/bandit",)  # folders that SageMaker takes as one archive
FIRST = "storage"  # the stack whose bucket holds what others are made of


def client(settings: Settings, service: str) -> Any:
    """A stock boto3 client of local AWS, whatever profile the terminal has."""
    session = boto3.Session(
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - local AWS takes any
        region_name=settings.aws_environment()["AWS_DEFAULT_REGION"],
    )
    url = settings.runtime_url if service == "sagemaker-runtime" else settings.aws_url
    config = Config(
        retries={"mode": "standard", "max_attempts": 3},
        proxies={},
        s3={"addressing_style": "path"},
        inject_host_prefix=False,  # MWAA: there is no api.127.0.0.1
    )
    return session.client(service, endpoint_url=url, config=config)


def answers(settings: Settings) -> bool:
    """Whether local AWS takes calls."""
    try:
        return httpx.get(f"{settings.aws_url}/-/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def provision(settings: Settings, root: Path = ROOT) -> None:
    """Create or update every stack of `infrastructure/`, then put the jobs' code under its version."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not answers(settings):
        if time.monotonic() > deadline:
            raise WorkbenchError(f"local AWS does not answer; see {settings.logs}/local-aws.log")
        time.sleep(0.2)
    try:
        function_key = None
        for template in sorted((root / "infrastructure").glob("*.yaml"), key=_order):
            if template.stem == FIRST:
                _deploy(settings, template, {})
                function_key = upload_function(settings, root)  # into the bucket of this stack
            else:
                _deploy(settings, template, {"FunctionKey": str(function_key)})
        upload_code(settings, root)
        ensure_environment(settings)
    except (BotoCoreError, ClientError) as error:
        raise WorkbenchError(f"local AWS could not be provisioned: {error}") from error


def upload_code(settings: Settings, root: Path = ROOT) -> str:
    """Put the jobs' code at code/<version>/, unless that version is complete there; returns the version."""
    version = code_version(root)
    prefix = f"{CODE_PREFIX}/{version}"
    s3 = client(settings, "s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, Prefix=f"{prefix}/")
    present = {item["Key"] for page in pages for item in page.get("Contents", [])}
    for path in code_files(root):
        key = f"{prefix}/{path.relative_to(root).as_posix()}"
        if key not in present:
            s3.upload_file(str(path), settings.bucket, key)
    for folder in SCRIPT_MODE:
        key = f"{prefix}/{folder}.tar.gz"
        if key not in present:
            s3.put_object(Bucket=settings.bucket, Key=key, Body=packaging.source(root / folder))
    return version


def upload_function(settings: Settings, root: Path = ROOT) -> str:
    """Put the function trigger_dag into the bucket, unless it is there; returns its key."""
    package = packaging.function(root)
    key = f"functions/trigger_dag-{hashlib.sha256(package).hexdigest()[:12]}.zip"
    s3 = client(settings, "s3")
    if not s3.list_objects_v2(Bucket=settings.bucket, Prefix=key)["KeyCount"]:
        s3.put_object(Bucket=settings.bucket, Key=key, Body=package)
    return key


def ensure_environment(settings: Settings) -> None:
    """The MWAA environment that trigger_dag calls: on local AWS it stands for the Airflow that runs here."""
    local, mwaa = load("local"), client(settings, "mwaa")
    pages = mwaa.get_paginator("list_environments").paginate()
    if local.stem in [name for page in pages for name in page["Environments"]]:
        return
    mwaa.create_environment(
        Name=local.stem,
        DagS3Path="dags",
        SourceBucketArn=f"arn:aws:s3:::{settings.bucket}",
        ExecutionRoleArn=local.role_arn("sagemaker"),
        NetworkConfiguration={
            "SubnetIds": ["subnet-00000000000000001", "subnet-00000000000000002"],
            "SecurityGroupIds": ["sg-00000000000000001"],
        },
    )


def _order(template: Path) -> tuple[bool, str]:
    return template.stem != FIRST, template.stem


def _deploy(settings: Settings, template: Path, more: dict[str, str]) -> None:
    """Create the template's stack, or update it; unchanged is fine."""
    cloudformation = client(settings, "cloudformation")
    name = f"{load('local').stem}-{template.stem}"
    body = template.read_text()
    arguments = {
        "StackName": name,
        "TemplateBody": body,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in (_parameters() | more).items()
            if re.search(rf"^  {key}:$", body, flags=re.MULTILINE)  # CloudFormation refuses unknown ones
        ],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    }
    try:
        if _exists(cloudformation, name):
            cloudformation.update_stack(**arguments)
            waiter = "stack_update_complete"
        else:
            cloudformation.create_stack(**arguments)
            waiter = "stack_create_complete"
        cloudformation.get_waiter(waiter).wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise WorkbenchError(f"infrastructure/{template.name} was refused: {error}") from error
    except WaiterError as error:
        raise WorkbenchError(f"infrastructure/{template.name}: {_reason(cloudformation, name)}") from error


def _parameters() -> dict[str, str]:
    """Values of the templates' parameters; those not named here keep the template's default."""
    local = load("local")
    return {
        "Project": local.project,
        "Environment": local.environment,
        "ServerErrorThreshold": str(local.deployment.server_error_threshold),
        "LatencyThresholdMicroseconds": str(local.deployment.latency_threshold),
        "FunctionTimeout": "30",
        "RetrySeconds": "30",  # nobody waits six minutes for a laptop's Airflow
        "MonitoringPeriodSeconds": str(local.monitoring.alarm_period),
    }


def _exists(cloudformation: Any, name: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _reason(cloudformation: Any, name: str) -> str:
    """The first failure among the stack's events: the later ones follow from it."""
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in reversed(events) if event["ResourceStatus"].endswith("FAILED")]
    if not failed:
        return f"stack {name} did not complete"
    first = failed[0]
    reason = first.get("ResourceStatusReason", "no reason given")
    return f"{first['LogicalResourceId']} {first['ResourceStatus']}: {reason}"
