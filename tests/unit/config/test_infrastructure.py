"""The CloudFormation templates make what the settings name."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import Settings, load
from mlops.monitoring import outcomes
from mlops.monitoring.outcomes import Execution
from workbench import stacks
from workbench.permissions import TemplateLoader, read_statements

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "infrastructure"


@pytest.fixture(params=["local", "dev", "prod"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(request.param)


def resources(template: str) -> dict[str, Any]:
    return dict(yaml.load((FOLDER / template).read_text(), TemplateLoader)["Resources"])


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


def test_the_dashboard_shows_the_alarms_and_what_the_monitoring_publishes() -> None:
    text = resources("monitoring.yaml")["Dashboard"]["Properties"]["DashboardBody"]["Sub"]
    board = json.loads(re.sub(r"\$\{[\w:.]+\}", "x", text))
    assert len(board["widgets"]) == 5
    for alarm in ("ServerErrors", "Latency", "Drift", "BrokenData"):
        assert f'"${{{alarm}.Arn}}"' in text
    shown = {metric[1] for one in board["widgets"][3:] for metric in one["properties"]["metrics"]}
    published = outcomes.metric_data(Execution("e", "p", "s", "e", "r", [], {}, {}, {}), resolution=60)
    assert {one["MetricName"] for one in published} <= shown


def test_what_holds_data_is_kept_and_private() -> None:
    bucket = resources("storage.yaml")["Bucket"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert bucket["Properties"]["VersioningConfiguration"]["Status"] == "Enabled"
    (statement,) = resources("storage.yaml")["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_no_role_may_do_everything(settings: Settings) -> None:
    for statement in [*read_statements(settings), *read_statements(settings, FOLDER / "once")]:
        assert statement.actions
        for action in statement.actions:
            assert "*" not in action, f"{statement.role} {statement.sid}"


CREATES = {  # what CloudFormation calls first for a resource of a type
    "AWS::Athena::WorkGroup": "athena:CreateWorkGroup",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:PutCompositeAlarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard",
    "AWS::DynamoDB::Table": "dynamodb:CreateTable",
    "AWS::EC2::EIP": "ec2:AllocateAddress",
    "AWS::EC2::InternetGateway": "ec2:CreateInternetGateway",
    "AWS::EC2::NatGateway": "ec2:CreateNatGateway",
    "AWS::EC2::Route": "ec2:CreateRoute",
    "AWS::EC2::RouteTable": "ec2:CreateRouteTable",
    "AWS::EC2::SecurityGroup": "ec2:CreateSecurityGroup",
    "AWS::EC2::SecurityGroupIngress": "ec2:AuthorizeSecurityGroupIngress",
    "AWS::EC2::Subnet": "ec2:CreateSubnet",
    "AWS::EC2::SubnetRouteTableAssociation": "ec2:AssociateRouteTable",
    "AWS::EC2::VPC": "ec2:CreateVpc",
    "AWS::EC2::VPCEndpoint": "ec2:CreateVpcEndpoint",
    "AWS::EC2::VPCGatewayAttachment": "ec2:AttachInternetGateway",
    "AWS::Events::Rule": "events:PutRule",
    "AWS::Glue::Database": "glue:CreateDatabase",
    "AWS::IAM::Policy": "iam:PutRolePolicy",
    "AWS::IAM::Role": "iam:CreateRole",
    "AWS::KMS::Alias": "kms:CreateAlias",
    "AWS::KMS::Key": "kms:CreateKey",
    "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping",
    "AWS::Lambda::Function": "lambda:CreateFunction",
    "AWS::Logs::LogGroup": "logs:CreateLogGroup",
    "AWS::MWAA::Environment": "airflow:CreateEnvironment",
    "AWS::S3::Bucket": "s3:CreateBucket",
    "AWS::S3::BucketPolicy": "s3:PutBucketPolicy",
    "AWS::SageMaker::ModelPackageGroup": "sagemaker:CreateModelPackageGroup",
    "AWS::SQS::Queue": "sqs:CreateQueue",
    "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
}


def test_a_pipeline_may_create_what_the_templates_hold_and_cannot_delete_data(settings: Settings) -> None:
    """infrastructure/once/github.yaml: the types' own actions, no right to what other templates retain."""
    allowed = {
        action for statement in read_statements(settings, FOLDER / "once") for action in statement.actions
    }
    types = {one["Type"] for path in FOLDER.glob("*.yaml") for one in resources(path.name).values()}
    assert types == set(CREATES)
    assert {CREATES[one] for one in types} <= allowed
    assert not {"s3:DeleteBucket", "kms:ScheduleKeyDeletion", "logs:DeleteLogGroup",
                "sagemaker:DeleteModelPackageGroup", "cloudformation:DeleteStack"} & allowed  # fmt: skip
    # It must not change itself, nor run what it makes with its own rights.
    for statement in read_statements(settings, FOLDER / "once"):
        if any(action.startswith("iam:") for action in statement.actions):
            assert not any(fnmatch.fnmatch(f"role/{statement.role}", f"*{one.rpartition(':')[2]}")
                           for one in statement.resources)  # fmt: skip


def test_every_wildcard_has_its_reason_beside_it() -> None:
    """A resource that is "*" stands in a statement with a comment before its Sid."""
    found = 0
    for path in sorted(FOLDER.rglob("*.yaml")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"""\s*Resource: ["']\*["']""", line):
                found += 1
                sid = max(at for at in range(number) if "- Sid:" in lines[at])
                assert lines[sid - 1].lstrip().startswith("#"), f"{path.name}:{sid + 1}"
    assert found >= 5


def test_every_stack_is_deployed_and_knows_what_it_is_given(settings: Settings) -> None:
    assert set(stacks.ORDER) == {path.stem for path in FOLDER.glob("*.yaml")}
    known = {"FunctionKey", "PluginsVersion", "RequirementsVersion"}  # of a release
    for name in stacks.ORDER:
        body = (FOLDER / f"{name}.yaml").read_text()
        template = yaml.load(body, TemplateLoader)
        assert stacks.declared(body, "Parameters") == list(template["Parameters"])
        given = stacks.values(settings, body, dict.fromkeys(known, "x"))
        without = {key for key, value in template["Parameters"].items() if "Default" not in value}
        assert without <= given.keys(), name
        known |= template.get("Outputs", {}).keys()


def test_everything_that_can_be_tagged_is_found_by_its_tags() -> None:
    """The reaper, the teardown and the bill go by `project` and `environment`."""
    untagged_types = {
        "AWS::KMS::Alias", "AWS::KMS::Key", "AWS::S3::BucketPolicy", "AWS::IAM::Policy",
        "AWS::SQS::QueuePolicy",
        "AWS::Glue::Database", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard", "AWS::Events::Rule", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription",
        "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::EIP", "AWS::EC2::NatGateway",
    }  # fmt: skip  # no tags in CloudFormation, or tagged by the stack's own tags
    for path in sorted(FOLDER.glob("*.yaml")):
        for name, resource in resources(path.name).items():
            if resource["Type"] in untagged_types:
                continue
            text = str(resource.get("Properties", {}).get("Tags", {}))
            assert "project" in text, f"{path.name}: {name}"
            assert "environment" in text, f"{path.name}: {name}"


def test_the_security_checker_finds_nothing() -> None:
    python = ROOT / ".venv/dev/bin/python"
    if not python.exists():
        pytest.skip("there is no environment `dev` (make lint builds it)")
    done = subprocess.run(
        [str(python), "-m", "workbench.templates"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    linted = subprocess.run(
        [str(python.with_name("cfn-lint")), *map(str, sorted(FOLDER.rglob("*.yaml")))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
