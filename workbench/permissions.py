"""What the roles of `infrastructure/` allow, against the calls that were really made: both ways.

Calls are recorded by local AWS (local_aws.recording), where jobs, endpoints, functions and Airflow sign with
the names of their roles. `python -m workbench.permissions` compares those of the running stack.
"""

from __future__ import annotations

import fnmatch
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from config import Settings, load
from workbench.progress import say
from workbench.settings import ROOT
from workbench.settings import load as load_workbench

# Statements that no recorded call can be expected for, by their Sid: what AWS's services do in the role's
# name, where local AWS does their work itself, and what only another setting uses.
BY_THE_SERVICE = {
    "AccountPublicAccess": "MWAA checks the bucket it reads",
    "AirflowMetrics": "MWAA",
    "Bucket": "MWAA checks the bucket it reads",
    "Capture": "SageMaker's endpoints",
    "Deliver": "Firehose",
    "Files": "MWAA copies DAGs and plugins",
    "FindLogGroups": "MWAA",
    "FindObjects": "SageMaker and Glue move code, inputs and artefacts",
    "ReadCode": "SageMaker and Glue move code, inputs and artefacts",
    "ReadAndWriteRuns": "SageMaker and Glue move code, inputs and artefacts",
    "ReadAndWriteExperiments": "SageMaker moves code, inputs and artefacts",
    "FindTheBucket": "Firehose",
    "ManagedExplainer": "Clarify, where monitoring.mode is managed",
    "ManagedMonitoring": "where monitoring.mode is managed",
    "ManagedReports": "SageMaker moves them, where monitoring.mode is managed",
    "Log": "Lambda writes what a function prints",
    "Logs": "SageMaker, Glue and MWAA write what their containers print",
    "Metrics": "SageMaker and MWAA publish the metrics of jobs",
    "PullImages": "SageMaker",
    "PullImagesLogin": "SageMaker",
    "QueriesInMyName": "Athena reads the catalog in the caller's name",
    "Queue": "MWAA's Celery",
    "QueueKey": "MWAA's Celery",
    "ReadEvents": "Lambda polls the queue of an event source mapping",
    "Secrets": "Airflow's secrets backend, for connections that a user adds",
    "WhatIsAnalysed": "SageMaker moves captures and labels into the analyses",
    "UseTheKey": "S3, SQS and DynamoDB decrypt in the caller's name",
}
# Allowed for what no test can be expected to reach, or what is not recorded.
RARELY = {
    "cloudwatch:DescribeAlarms": "when a canary was rolled back",
    "dynamodb:DeleteItem": "when an experiment is torn down that has records",
    "glue:BatchDeletePartition": "when a batch is joined once more",
    "glue:DeleteTable": "when an experiment is torn down that has tables",
    "s3:DeleteObject": "when an experiment is torn down that has objects",
    "sagemaker:ListTrainingJobs": "when an alarm asks for a retraining",
    "sagemaker:ListMonitoringExecutions": "where monitoring.mode is managed",
    "athena:StopQueryExecution": "when a task is stopped while its query runs",
    "glue:BatchStopJobRun": "when a task is stopped while its job runs",
    "glue:UpdateJob": "when a release changes the job's definition",
    "glue:UpdatePartition": "when a retry finds its partition",
    "glue:UpdateTable": "when a retry finds its table",
    "s3:AbortMultipartUpload": "when a large upload fails half way",
    "sagemaker:InvokeEndpoint": "the data plane answers these calls, and records none",
    "sagemaker:StopProcessingJob": "when a task is stopped while its job runs",
    "sagemaker:StopTrainingJob": "when a task is stopped while its job runs",
}
UNCHECKED = {"sts:GetCallerIdentity", "sts:AssumeRole"}
PREFIXES = {"mwaa": "airflow", "sagemaker-runtime": "sagemaker"}
S3_ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "ListObjectVersions": "ListBucketVersions",
    "DeleteObjects": "DeleteObject",
}
DYNAMODB_ACTIONS = {"TransactWriteItems": "PutItem", "BatchGetItem": "BatchGetItem"}
# Creating these hands them a role.
PASSES_A_ROLE = {
    "sagemaker:CreateTrainingJob",
    "sagemaker:CreateProcessingJob",
    "sagemaker:CreateTransformJob",
    "sagemaker:CreateModel",
    "sagemaker:CreateHyperParameterTuningJob",
    "sagemaker:CreateMonitoringSchedule",
    "glue:CreateJob",
    "glue:UpdateJob",
    "firehose:CreateDeliveryStream",
}
# Creating these with tags needs the right to tag.
TAGS = {
    "firehose:CreateDeliveryStream": "firehose:TagDeliveryStream",
    **dict.fromkeys(
        (
            "sagemaker:CreateEndpoint",
            "sagemaker:CreateEndpointConfig",
            "sagemaker:CreateModel",
            "sagemaker:CreateProcessingJob",
            "sagemaker:CreateTrainingJob",
        ),
        "sagemaker:AddTags",
    ),
}


@dataclass(frozen=True)
class Statement:
    """One Allow of a role's policies. resources: patterns; "*" where the action has none."""

    role: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, order=True)
class Use:
    """An action that a role has needed. resource: an ARN for S3, else ""."""

    role: str
    action: str
    resource: str = ""


def compare(statements: Iterable[Statement], uses: Iterable[Use]) -> tuple[list[str], list[str]]:
    """(what is used and not allowed, what is allowed and not used), as lines to read."""
    statements, uses = list(statements), list(uses)
    missing = [
        f"{use.role}: {use.action}" + (f" on {use.resource}" if use.resource else "")
        for use in sorted(set(uses))
        if not any(_allows(statement, use) for statement in statements)
    ]
    used = {(use.role, use.action) for use in uses}
    unused = [
        f"{statement.role}: {action} ({statement.sid})"
        for statement in statements
        for action in statement.actions
        if (statement.role, action) not in used
        and statement.sid not in BY_THE_SERVICE
        and action not in RARELY
    ]
    return missing, unused


def read_uses(path: Path) -> Iterator[Use]:
    """The recorded calls as IAM actions, of roles and of people alike."""
    for line in path.read_text().splitlines():
        call = json.loads(line)
        action = _action(call["service"], call["operation"])
        if action in UNCHECKED:
            continue
        yield Use(call["caller"], action, f"arn:aws:s3:::{_object(call)}" if call["service"] == "s3" else "")
        if action in PASSES_A_ROLE:
            yield Use(call["caller"], "iam:PassRole")
        if action in TAGS:
            yield Use(call["caller"], TAGS[action])


def _action(service: str, operation: str) -> str:
    if service == "s3":
        operation = S3_ACTIONS.get(operation, operation)
    elif service == "dynamodb":
        operation = DYNAMODB_ACTIONS.get(operation, operation)
    return f"{PREFIXES.get(service, service)}:{operation}"


def _object(call: dict[str, str]) -> str:
    if call["operation"] == "DeleteObjects":  # its keys are in the body
        return f"{call['resource']}/runs/x"
    return f"{call['resource']}/x" if "/" in call["resource"] else call["resource"]


def _allows(statement: Statement, use: Use) -> bool:
    return (
        statement.role == use.role
        and use.action in statement.actions
        and (not use.resource or any(fnmatch.fnmatchcase(use.resource, one) for one in statement.resources))
    )


def read_statements(settings: Settings, folder: Path = ROOT / "infrastructure") -> Iterator[Statement]:
    """Every Allow of every role in a folder's templates, with their names filled in."""
    for path in sorted(folder.glob("*.yaml")):
        resources = yaml.load(path.read_text(), TemplateLoader)["Resources"]  # noqa: S506  # a SafeLoader
        names = {
            logical: _fill(resource["Properties"]["RoleName"], settings)
            for logical, resource in resources.items()
            if resource["Type"] == "AWS::IAM::Role"
        }
        for logical, resource in resources.items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                for policy in properties.get("Policies", []):
                    yield from _statements(names[logical], policy["PolicyDocument"], settings)
            elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                for role in properties["Roles"]:
                    yield from _statements(names[role["Ref"]], properties["PolicyDocument"], settings)


def _statements(role: str, document: dict[str, Any], settings: Settings) -> Iterator[Statement]:
    for statement in document["Statement"]:
        resources = [_fill(one, settings) for one in _listed(statement.get("Resource", "*"))]
        yield Statement(role, statement["Sid"], tuple(_listed(statement["Action"])), tuple(resources))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fill(value: Any, settings: Settings) -> str:
    """`!Sub` of names that the settings know; any other reference may be anything."""
    known = {
        "AWS::Partition": settings.partition,
        "AWS::Region": settings.region,
        "AWS::AccountId": settings.account,
        "Project": settings.project,
        "Environment": settings.environment,
    }
    text = value.get("Sub", "*") if isinstance(value, dict) else str(value)
    return re.sub(r"\$\{([\w:.]+)\}", lambda found: known.get(found[1], "*"), text)


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Sub x -> {"Sub": x}."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {tag: loader.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", _short_form)


def main() -> int:
    """Print both differences; 1 when something was used that is not allowed."""
    path = load_workbench().calls
    if not path.exists():
        say(f"no calls were recorded in {path}: start the stack and run its DAGs")
        return 1
    statements = list(read_statements(load("local")))
    roles = {statement.role for statement in statements}
    missing, unused = compare(statements, (use for use in read_uses(path) if use.role in roles))
    for title, lines in (("used, not allowed", missing), ("allowed, not used", unused)):
        say(f"{title}: {len(lines)}")
        for line in lines:
            say(f"  {line}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
