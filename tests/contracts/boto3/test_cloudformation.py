"""CloudFormation through boto3: stacks whose resources are there, are changed, and go."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

INFRASTRUCTURE = Path(__file__).parents[3] / "infrastructure"


@pytest.fixture
def cloudformation(local_aws: Any) -> Any:
    return local_aws.client("cloudformation")


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def template(name: str, **changes: Any) -> str:
    resources: dict[str, Any] = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
        "Database": {
            "Type": "AWS::Glue::Database",
            "Properties": {
                "CatalogId": {"Ref": "AWS::AccountId"},
                "DatabaseInput": {"Name": name.replace("-", "_")},
            },
        },
        "WorkGroup": {
            "Type": "AWS::Athena::WorkGroup",
            "Properties": {
                "Name": name,
                "WorkGroupConfiguration": {
                    "ResultConfiguration": {"OutputLocation": {"Fn::Sub": "s3://${Bucket}/athena/"}}
                },
            },
        },
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": name},
        },
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": name,
                "Namespace": "AWS/SageMaker",
                "MetricName": "Invocation5XXErrors",
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanThreshold",
            },
        },
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, "RetentionInDays": 7}},
    }
    resources |= changes
    return json.dumps({"Resources": {key: value for key, value in resources.items() if value}})


def test_a_stack_makes_changes_and_removes_its_resources(
    local_aws: Any, cloudformation: Any, name: str
) -> None:
    cloudformation.create_stack(StackName=name, TemplateBody=template(name))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    assert len(cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]) == 6
    local_aws.client("s3").head_bucket(Bucket=name)
    glue = local_aws.client("glue")
    assert glue.get_database(Name=name.replace("-", "_"))["Database"]["Name"] == name.replace("-", "_")
    group = local_aws.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{name}/athena/"
    sagemaker = local_aws.client("sagemaker")
    sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    cloudwatch = local_aws.client("cloudwatch")
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["Threshold"] == 1

    alarm = json.loads(template(name))["Resources"]["Alarm"]
    alarm["Properties"]["Threshold"] = 5
    cloudformation.update_stack(StackName=name, TemplateBody=template(name, Alarm=alarm, Group=None))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name)
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["Threshold"] == 5
    with pytest.raises(ClientError, match="not"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=name)

    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.get_database(Name=name.replace("-", "_"))
    with pytest.raises(ClientError, match="404"):
        local_aws.client("s3").head_bucket(Bucket=name)


def test_a_type_that_nobody_has_fails_before_anything_is_made(
    local_aws: Any, cloudformation: Any, name: str
) -> None:
    unknown = {"Type": "AWS::Nonsense::Thing", "Properties": {}}
    with pytest.raises((ClientError, WaiterError), match="AWS::Nonsense::Thing"):
        cloudformation.create_stack(StackName=name, TemplateBody=template(name, Unknown=unknown))
    with pytest.raises(ClientError, match="404"):
        local_aws.client("s3").head_bucket(Bucket=name)


@pytest.mark.parametrize("path", sorted(INFRASTRUCTURE.rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_templates_of_this_project_are_valid(cloudformation: Any, path: Path) -> None:
    cloudformation.validate_template(TemplateBody=path.read_text())


def test_the_platforms_bucket_has_what_its_template_says_also_after_a_kill(new_local_aws: Any) -> None:
    local_aws = new_local_aws()
    local_aws.client("cloudformation").create_stack(
        StackName="storage",
        TemplateBody=(INFRASTRUCTURE / "storage.yaml").read_text(),
        Parameters=[
            {"ParameterKey": "Environment", "ParameterValue": "test"},
            {"ParameterKey": "UseKms", "ParameterValue": "false"},
        ],
    )
    bucket = "mlops-test-us-east-1-123456789012"
    local_aws.client("s3").put_object(Bucket=bucket, Key="raw/churn/a.csv", Body=b"first")
    local_aws.restart(kill=True)
    s3 = local_aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [(rule["ID"], rule.get("Expiration", {}).get("Days")) for rule in rules] == [
        ("runs", 365),
        ("capture", 90),
        ("rubbish", None),
    ]
    assert rules[2]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert "TlsOnly" in s3.get_bucket_policy(Bucket=bucket)["Policy"]

    second = s3.put_object(Bucket=bucket, Key="raw/churn/a.csv", Body=b"second")["VersionId"]
    versions = s3.list_object_versions(Bucket=bucket, Prefix="raw/churn/a.csv")["Versions"]
    assert [version["VersionId"] for version in versions if version["IsLatest"]] == [second]
    (old,) = (version["VersionId"] for version in versions if not version["IsLatest"])
    answer = s3.get_object(Bucket=bucket, Key="raw/churn/a.csv", VersionId=old)
    assert answer["Body"].read() == b"first"


def test_a_bucket_property_that_is_not_applied_is_refused_by_name(cloudformation: Any, name: str) -> None:
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"BucketName": name, "WebsiteConfiguration": {"IndexDocument": "index.html"}},
    }
    with pytest.raises((ClientError, WaiterError), match="does not support WebsiteConfiguration"):
        cloudformation.create_stack(StackName=name, TemplateBody=template(name, Bucket=bucket))


def test_a_rule_goes_with_its_targets_also_after_a_restart(new_local_aws: Any) -> None:
    """What the stack holds was read from the disk then, and is not the rule itself."""
    local_aws = new_local_aws()
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "heard"}}
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Name": "hears",
            "EventPattern": {"source": ["acme"]},
            "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
        },
    }
    body = json.dumps({"Resources": {"Queue": queue, "Rule": rule}})
    local_aws.client("cloudformation").create_stack(StackName="s", TemplateBody=body)
    events = local_aws.client("events")
    assert len(events.list_targets_by_rule(Rule="hears")["Targets"]) == 1
    local_aws.restart()
    cloudformation = local_aws.client("cloudformation")
    cloudformation.delete_stack(StackName="s")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="s")
    assert local_aws.client("events").list_rules()["Rules"] == []


def test_the_role_of_a_pipeline_trusts_one_branch_of_one_repository(
    local_aws: Any, cloudformation: Any, name: str
) -> None:
    """infrastructure/once/github.yaml; of two environments in one account the second finds the provider."""
    body, iam = (INFRASTRUCTURE / "once" / "github.yaml").read_text(), local_aws.client("iam")

    def parameters(environment: str, **more: str) -> list[dict[str, str]]:
        given = {"Environment": environment, "Repository": "acme/churn", **more}
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]

    for stack, given in (("a", parameters("dev")), ("b", parameters("prod", CreateProvider="false"))):
        cloudformation.create_stack(
            StackName=f"{name}-{stack}",
            TemplateBody=body,
            Parameters=given,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName=f"{name}-{stack}")

    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert found["ClientIDList"] == ["sts.amazonaws.com"]
    for environment in ("dev", "prod"):
        role = iam.get_role(RoleName=f"mlops-deploy-{environment}")["Role"]
        [statement] = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Federated": provider}
        assert statement["Condition"] == {
            "StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": f"repo:acme/churn:environment:{environment}",
                "token.actions.githubusercontent.com:ref": "refs/heads/main",
            }
        }
        attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
        names = {one["PolicyName"].removeprefix(f"mlops-deploy-{environment}-") for one in attached}
        assert names == {"storage-and-roles", "network", "events", "data"}
    for stack in ("a", "b"):
        cloudformation.delete_stack(StackName=f"{name}-{stack}")
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=f"{name}-{stack}")
    roles = {one["RoleName"] for one in iam.list_roles()["Roles"]}
    assert not {"mlops-deploy-dev", "mlops-deploy-prod"} & roles
    policies = [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]]
    assert not [policy for policy in policies if policy.startswith("mlops-deploy-")]
    kept = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert provider in [one["Arn"] for one in kept]  # other roles may trust it
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)


def test_a_managed_policy_is_changed_and_goes_with_its_stack(
    local_aws: Any, cloudformation: Any, name: str
) -> None:
    iam = local_aws.client("iam")
    arn = f"arn:aws:iam::123456789012:policy/{name}"

    def stack(action: str, roles: list[str]) -> str:
        allow = {"Effect": "Allow", "Action": action, "Resource": "*"}
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "glue.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        document = {"Version": "2012-10-17", "Statement": [allow]}
        properties = {"ManagedPolicyName": name, "PolicyDocument": document, "Roles": roles}
        resources: dict[str, Any] = {
            role: {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": f"{name}-{role}",
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                },
            }
            for role in ("a", "b")
        }
        resources["P"] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "DependsOn": ["a", "b"],
            "Properties": properties,
        }
        return json.dumps({"Resources": resources})

    def attached() -> list[str]:
        return [one["RoleName"] for one in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]]

    cloudformation.create_stack(StackName=name, TemplateBody=stack("s3:GetObject", [f"{name}-a"]))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    assert attached() == [f"{name}-a"]
    cloudformation.update_stack(StackName=name, TemplateBody=stack("s3:PutObject", [f"{name}-b"]))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name)
    assert attached() == [f"{name}-b"]
    [version] = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version["VersionId"])["PolicyVersion"]
    assert found["Document"]["Statement"][0]["Action"] == "s3:PutObject"
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn=arn)


def test_an_identity_provider_goes_with_its_stack_unless_it_is_retained(
    local_aws: Any, cloudformation: Any, name: str
) -> None:
    iam = local_aws.client("iam")

    def provider(*clients: str) -> str:
        properties = {"Url": f"https://{name}.example.com", "ClientIdList": clients}
        return json.dumps(
            {
                "Resources": {"P": {"Type": "AWS::IAM::OIDCProvider", "Properties": properties}},
                "Outputs": {"Arn": {"Value": {"Ref": "P"}}},
            }
        )

    cloudformation.create_stack(StackName=name, TemplateBody=provider("a"))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    [output] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    arn = f"arn:aws:iam::123456789012:oidc-provider/{name}.example.com"
    assert output["OutputValue"] == arn
    cloudformation.update_stack(StackName=name, TemplateBody=provider("a", "b"))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name)
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["a", "b"]
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
