"""The CloudFormation templates make what the settings name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import Settings, load

FOLDER = Path(__file__).resolve().parents[3] / "infrastructure"


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Sub x -> {"Fn::Sub": x}."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {tag: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _short_form)


@pytest.fixture(params=["local", "dev", "prod"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(request.param)


def resources(template: str) -> dict[str, Any]:
    return dict(yaml.load((FOLDER / template).read_text(), Loader)["Resources"])


def resolve(value: Any, settings: Settings) -> str:
    known = {
        "Project": settings.project,
        "Environment": settings.environment,
        "AWS::Region": settings.region,
        "AWS::AccountId": settings.account,
    }
    return re.sub(r"\$\{([\w:]+)\}", lambda match: known[match[1]], value["Sub"])


def test_names_are_the_settings(settings: Settings) -> None:
    storage, roles, catalog = resources("storage.yaml"), resources("roles.yaml"), resources("catalog.yaml")
    monitoring = resources("monitoring.yaml")
    made = {
        settings.bucket: storage["Bucket"]["Properties"]["BucketName"],
        settings.role_arn("sagemaker").split("/")[-1]: roles["SageMakerRole"]["Properties"]["RoleName"],
        settings.role_arn("glue").split("/")[-1]: roles["GlueRole"]["Properties"]["RoleName"],
        settings.glue_database: catalog["Database"]["Properties"]["DatabaseInput"]["Name"],
        settings.athena_workgroup: catalog["WorkGroup"]["Properties"]["Name"],
        settings.churn_model_group: catalog["ChurnModels"]["Properties"]["ModelPackageGroupName"],
        settings.churn_alarms[0]: monitoring["ServerErrors"]["Properties"]["AlarmName"],
        settings.churn_alarms[1]: monitoring["Latency"]["Properties"]["AlarmName"],
        f"/aws/sagemaker/Endpoints/{settings.churn_endpoint}": monitoring["EndpointLogs"]["Properties"][
            "LogGroupName"
        ],
    }
    for expected, template in made.items():
        assert resolve(template, settings) == expected


def test_alarms_watch_the_endpoint(settings: Settings) -> None:
    for name in ("ServerErrors", "Latency"):
        properties = resources("monitoring.yaml")[name]["Properties"]
        endpoint, variant = properties["Dimensions"]
        assert resolve(endpoint["Value"], settings) == settings.churn_endpoint
        assert variant["Value"] == "AllTraffic"


def test_drift_alarms_watch_what_the_monitoring_publishes(settings: Settings) -> None:
    found = resources("monitoring.yaml")
    drift = {
        name: one["Properties"]
        for name, one in found.items()
        if one["Properties"].get("MetricName") == "drift"
    }
    rule = resolve(found["Drift"]["Properties"]["AlarmRule"], settings)
    assert resolve(found["Drift"]["Properties"]["AlarmName"], settings) == settings.drift_alarm
    assert resolve(found["BrokenData"]["Properties"]["AlarmName"], settings) == settings.broken_data_alarm
    watched = []
    for properties in drift.values():
        endpoint, monitor = properties["Dimensions"]
        assert resolve(endpoint["Value"], settings) == settings.churn_endpoint
        assert properties["TreatMissingData"] == "ignore"
        # The rule reads every one of them, and nothing else.
        assert f'ALARM("{resolve(properties["AlarmName"], settings)}")' in rule
        watched.append(monitor["Value"])
    assert watched == ["data_quality", "model_quality", "bias", "attribution"]
    assert rule.count("ALARM(") == len(watched)


def test_what_holds_data_is_kept_and_private() -> None:
    bucket = resources("storage.yaml")["Bucket"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert bucket["Properties"]["VersioningConfiguration"]["Status"] == "Enabled"
    (statement,) = resources("storage.yaml")["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_no_role_may_do_everything() -> None:
    for name, resource in resources("roles.yaml").items():
        if resource["Type"] != "AWS::IAM::Policy":
            continue
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action, f"{name} {statement['Sid']}"
            if statement["Resource"] == "*":  # only what has no resource, or is limited by a condition
                assert statement["Sid"] in {"Metrics", "PullImagesLogin"}
