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


@pytest.mark.parametrize("path", sorted(INFRASTRUCTURE.glob("*.yaml")), ids=lambda path: path.stem)
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
