"""Endpoints through boto3: creation, invocation, durability, deletion."""

import io
import tarfile

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def invoke(runtime, cases):
    def invoke(endpoint, rows, **more):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="text/csv", Body=cases.csv(rows), **more
        )
        return [float(line) for line in answer["Body"].read().decode().split()]

    return invoke


def test_an_endpoint_answers_with_xgboosts_own_probabilities(
    sm, deployable, invoke, trained, cases, bucket, name
):
    deployable(
        name,
        DataCaptureConfig={
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    assert invoke(name, trained.features) == pytest.approx(trained.scores, abs=1e-7)
    described = sm.describe_endpoint(EndpointName=name)
    assert described["EndpointConfigName"] == name
    assert described["DataCaptureConfig"]["CaptureStatus"] == "Started"
    assert described["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == cases.image
    names = [
        e["EndpointName"] for e in sm.list_endpoints(StatusEquals="InService", NameContains=name)["Endpoints"]
    ]
    assert names == [name]
    sm.delete_endpoint(EndpointName=name)
    sm.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=cases.fast)
    with pytest.raises(ClientError, match="not found"):
        invoke(name, trained.features[:1])


def test_a_model_that_does_not_load_fails_the_endpoint_with_its_reason(sm, s3, bucket, cases, name):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        member = tarfile.TarInfo("xgboost-model")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"garbage"))
    s3.put_object(Bucket=bucket, Key=f"{name}/model.tar.gz", Body=data.getvalue())
    sm.create_model(
        ModelName=name,
        ExecutionRoleArn=cases.role,
        PrimaryContainer={"Image": cases.image, "ModelDataUrl": f"s3://{bucket}/{name}/model.tar.gz"},
    )
    variant = {
        "VariantName": "A",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    endpoint = cases.ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith("The container of variant A did not load its model: ")
    sm.delete_endpoint(EndpointName=name)
    sm.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=cases.fast)


def test_what_is_not_there_or_there_already(sm, deployable, cases, name):
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
    with pytest.raises(ClientError, match=f'Could not find endpoint "{arn}"'):
        sm.describe_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deployable(name)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        sm.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": "A",
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                }
            ],
        )
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    with pytest.raises(ClientError, match=f'Cannot create already existing endpoint "{arn}"'):
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_weights_of_variants_are_changed(sm, runtime, trained, cases, name):
    for suffix in ("a", "b"):
        sm.create_model(
            ModelName=f"{name}-{suffix}",
            ExecutionRoleArn=cases.role,
            PrimaryContainer={"Image": cases.image, "ModelDataUrl": trained.uri},
        )
    variants = [
        {
            "VariantName": suffix,
            "ModelName": f"{name}-{suffix}",
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        for suffix in ("a", "b")
    ]
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    sm.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0.0}]
    )
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    row = cases.csv(trained.features[:1])

    def answered_by(**more):
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row, **more)
        return answer["InvokedProductionVariant"]

    assert {answered_by() for _ in range(20)} == {"b"}
    assert answered_by(TargetVariant="a") == "a"


def test_an_endpoint_serves_again_after_a_restart(new_local_aws, s3, bucket, trained, cases):
    key = trained.uri.removeprefix(f"s3://{bucket}/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    server = new_local_aws()
    server.client("s3").create_bucket(Bucket="models")
    server.client("s3").put_object(Bucket="models", Key="model.tar.gz", Body=body)
    sm = server.client("sagemaker")
    sm.create_model(
        ModelName="m",
        ExecutionRoleArn=cases.role,
        PrimaryContainer={"Image": cases.image, "ModelDataUrl": "s3://models/model.tar.gz"},
    )
    variant = {"VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sm.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
    server.restart(kill=True)  # while the endpoint is being created
    sm.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=cases.fast)
    runtime = server.client("sagemaker-runtime")
    for kill in (False, True):
        server.restart(kill=kill)
        answer = runtime.invoke_endpoint(
            EndpointName="e", ContentType="text/csv", Body=cases.csv(trained.features[:5])
        )
        scores = [float(line) for line in answer["Body"].read().decode().split()]
        assert scores == pytest.approx(trained.scores[:5], abs=1e-7)
