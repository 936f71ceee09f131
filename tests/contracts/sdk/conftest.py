"""The SageMaker SDK, version 3 (sagemaker-core), as it is installed: a session, and a model it trained."""

from __future__ import annotations

import random
import time

import pytest

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
BUCKET = "sdk3-contracts"


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def rows():
    draw = random.Random(5)
    found = []
    for _ in range(300):
        first, second = round(draw.random(), 3), round(draw.random(), 3)
        found.append([int(first + second > 1), first, second])
    return found


@pytest.fixture(scope="session")
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
