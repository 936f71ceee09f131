"""Models, model package groups and versions through boto3."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def package(cases, trained):
    """package("group", ...) -> a CreateModelPackage request."""

    def make(group, **more):
        return {
            "ModelPackageGroupName": group,
            "InferenceSpecification": {
                "Containers": [{"Image": cases.image, "ModelDataUrl": trained.uri}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            **more,
        }

    return make


def test_versions_count_up_and_keep_metrics_and_lineage(sm, bucket, package, name):
    sm.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="churn")
    metrics = {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{bucket}/e.json"}}
    }
    first = sm.create_model_package(
        **package(
            name,
            ModelApprovalStatus="Approved",
            ModelMetrics=metrics,
            CustomerMetadataProperties={"run_id": "manual__1", "code_version": "abc"},
        )
    )["ModelPackageArn"]
    second = sm.create_model_package(**package(name))["ModelPackageArn"]
    assert [first, second] == [
        f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{name}/{version}" for version in (1, 2)
    ]
    described = sm.describe_model_package(ModelPackageName=first)
    assert described["ModelMetrics"] == metrics
    assert described["CustomerMetadataProperties"] == {"run_id": "manual__1", "code_version": "abc"}
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelPackageVersion"] == 1
    listed = sm.list_model_packages(ModelPackageGroupName=name, SortBy="CreationTime", SortOrder="Descending")
    assert [p["ModelPackageVersion"] for p in listed["ModelPackageSummaryList"]] == [2, 1]
    assert listed["ModelPackageSummaryList"][0]["ModelApprovalStatus"] == "PendingManualApproval"
    approved = sm.list_model_packages(ModelPackageGroupName=name, ModelApprovalStatus="Approved")
    assert [p["ModelPackageArn"] for p in approved["ModelPackageSummaryList"]] == [first]
    pages = sm.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=name, PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["ModelPackageSummaryList"]) for page in pages) == 2


def test_approval_metadata_and_deletion(sm, package, name):
    sm.create_model_package_group(ModelPackageGroupName=name)
    arn = sm.create_model_package(**package(name, CustomerMetadataProperties={"a": "1", "b": "2"}))[
        "ModelPackageArn"
    ]
    sm.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Rejected",
        ApprovalDescription="too costly",
        CustomerMetadataProperties={"c": "3"},
        CustomerMetadataPropertiesToRemove=["a"],
    )
    described = sm.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Rejected"
    assert described["ApprovalDescription"] == "too costly"
    assert described["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    with pytest.raises(ClientError, match="still contains Model Packages"):
        sm.delete_model_package_group(ModelPackageGroupName=name)
    sm.delete_model_package(ModelPackageName=arn)
    with pytest.raises(ClientError, match="does not exist"):
        sm.describe_model_package(ModelPackageName=arn)
    third = sm.create_model_package(**package(name))["ModelPackageArn"]
    assert third.endswith("/2"), "a deleted version's number is not given again"
    sm.delete_model_package(ModelPackageName=third)
    sm.delete_model_package_group(ModelPackageGroupName=name)
    with pytest.raises(ClientError, match=f"ModelPackageGroup arn:.*/{name} does not exist"):
        sm.describe_model_package_group(ModelPackageGroupName=name)


def test_a_request_sent_twice_makes_one_version(sm, package, name):
    sm.create_model_package_group(ModelPackageGroupName=name)
    token = name
    arns = {sm.create_model_package(**package(name, ClientToken=token))["ModelPackageArn"] for _ in range(2)}
    assert len(arns) == 1
    with pytest.raises(ClientError, match="Model Package Group already exists"):
        sm.create_model_package_group(ModelPackageGroupName=name)


def test_models_of_packages_and_of_containers(sm, bucket, cases, package, trained, name):
    sm.create_model_package_group(ModelPackageGroupName=name)
    pending = sm.create_model_package(**package(name))["ModelPackageArn"]

    def create(**container):
        sm.create_model(ModelName=name, ExecutionRoleArn=cases.role, PrimaryContainer=container)

    with pytest.raises(ClientError, match="is PendingManualApproval: approve it"):
        create(ModelPackageName=pending)
    with pytest.raises(
        ClientError, match=r"Could not find model data at s3://sagemaker-contracts/no/model\.tar\.gz"
    ):
        create(Image=cases.image, ModelDataUrl=f"s3://{bucket}/no/model.tar.gz")
    with pytest.raises(ClientError, match="Container Mode MultiModel is not supported"):
        create(Image=cases.image, ModelDataUrl=trained.uri, Mode="MultiModel")
    sm.update_model_package(ModelPackageArn=pending, ModelApprovalStatus="Approved")
    create(ModelPackageName=pending)
    assert sm.describe_model(ModelName=name)["PrimaryContainer"] == {"ModelPackageName": pending}
    with pytest.raises(ClientError, match='Cannot create already existing model "arn:aws:sagemaker'):
        create(ModelPackageName=pending)
    sm.delete_model(ModelName=name)
    with pytest.raises(
        ClientError, match=f'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/{name}"'
    ):
        sm.describe_model(ModelName=name)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("list_pipelines", {}),
        ("list_auto_ml_jobs", {}),
        ("list_notebook_instances", {}),
        ("search", {"Resource": "TrainingJob"}),
    ],
)
def test_what_is_not_computed_is_refused_by_name(sm, operation, request_):
    with pytest.raises(ClientError, match="local AWS does not support sagemaker") as caught:
        getattr(sm, operation)(**request_)
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
