"""SageMaker SDK 3's resource classes (sagemaker-core) as they are installed: train, deploy, ask, delete."""

from __future__ import annotations

import random
import time

import pytest

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
BUCKET = "sdk3-contracts"


@pytest.fixture(scope="module")
def session(local_aws):
    """A boto3 session whose clients find local AWS by the environment; the SDK's pauses are cut short."""
    pause = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.env.items():
            patch.setenv(name, value)
        patch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.5)))
        import boto3

        session = boto3.Session(region_name=local_aws.region)
        session.client("s3").create_bucket(Bucket=BUCKET)
        yield session


@pytest.fixture(scope="module")
def rows():
    draw = random.Random(5)
    found = []
    for _ in range(300):
        first, second = round(draw.random(), 3), round(draw.random(), 3)
        found.append([int(first + second > 1), first, second])
    return found


@pytest.fixture(scope="module")
def trained(session, rows):
    from sagemaker.core.resources import TrainingJob
    from sagemaker.core.shapes import (
        AlgorithmSpecification,
        Channel,
        DataSource,
        OutputDataConfig,
        ResourceConfig,
        S3DataSource,
        StoppingCondition,
    )

    body = "".join(",".join(map(str, row)) + "\n" for row in rows)
    session.client("s3").put_object(Bucket=BUCKET, Key="train/rows.csv", Body=body.encode())
    source = S3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{BUCKET}/train")
    job = TrainingJob.create(
        training_job_name="sdk3-churn",
        role_arn=ROLE,
        algorithm_specification=AlgorithmSpecification(training_image=XGBOOST, training_input_mode="File"),
        hyper_parameters={"num_round": "10", "objective": "binary:logistic", "max_depth": "3"},
        input_data_config=[
            Channel(
                channel_name="train", content_type="text/csv", data_source=DataSource(s3_data_source=source)
            )
        ],
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/models"),
        resource_config=ResourceConfig(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=120),
        session=session,
    )
    job.wait(poll=1)
    return job


def test_a_training_job_is_created_waited_for_and_found(session, trained):
    from sagemaker.core.resources import TrainingJob

    assert trained.training_job_status == "Completed"
    assert (
        trained.model_artifacts.s3_model_artifacts == f"s3://{BUCKET}/models/sdk3-churn/output/model.tar.gz"
    )
    names = [job.training_job_name for job in TrainingJob.get_all(name_contains="sdk3", session=session)]
    assert names == ["sdk3-churn"]


def test_an_endpoint_is_deployed_and_invoked(session, trained, rows):
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model
    from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

    container = ContainerDefinition(image=XGBOOST, model_data_url=trained.model_artifacts.s3_model_artifacts)
    Model.create(
        model_name="sdk3-churn", primary_container=container, execution_role_arn=ROLE, session=session
    )
    variant = ProductionVariant(
        variant_name="AllTraffic",
        model_name="sdk3-churn",
        initial_instance_count=1,
        instance_type="ml.m5.large",
    )
    EndpointConfig.create(endpoint_config_name="sdk3-churn", production_variants=[variant], session=session)
    endpoint = Endpoint.create(endpoint_name="sdk3-churn", endpoint_config_name="sdk3-churn", session=session)
    endpoint.wait_for_status("InService", poll=1)
    body = "\n".join(",".join(map(str, row[1:])) for row in rows)
    answer = endpoint.invoke(body=body.encode(), content_type="text/csv")
    scores = [float(line) for line in answer.body.read().decode().split()]
    right = sum((score > 0.5) == bool(row[0]) for score, row in zip(scores, rows, strict=True))
    assert right / len(rows) > 0.9
    endpoint.delete()
