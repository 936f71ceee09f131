"""The Amazon provider's SageMaker operators, hooks and triggers, unchanged, against local AWS."""

from __future__ import annotations

import asyncio
import random
import uuid

import pytest
from airflow.exceptions import AirflowException, TaskDeferred
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointConfigOperator,
    SageMakerEndpointOperator,
    SageMakerModelOperator,
    SageMakerProcessingOperator,
    SageMakerRegisterModelVersionOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerEndpointSensor
from airflow.providers.amazon.aws.utils.sagemaker import ApprovalStatus

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
BUCKET = "provider-sagemaker"
CONTEXT = {"task_instance": None, "ti": None}


@pytest.fixture(autouse=True)
def clients_of_local_aws(local_aws, monkeypatch):
    for name, value in local_aws.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def customers(local_aws):
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    draw = random.Random(7)
    rows = [[draw.random() for _ in range(4)] for _ in range(300)]
    labelled = "".join(f"{int(row[0] + row[1] > 1)},{','.join(map(str, row))}\n" for row in rows)
    plain = "".join(f"{','.join(map(str, row))}\n" for row in rows[:20])
    s3.put_object(Bucket=BUCKET, Key="train/part.csv", Body=labelled.encode())
    s3.put_object(Bucket=BUCKET, Key="in/part.csv", Body=plain.encode())
    return plain


@pytest.fixture
def name():
    return f"p-{uuid.uuid4().hex[:12]}"


def operator(cls, **arguments):
    return cls(task_id="task", aws_conn_id=None, region_name="us-east-1", **arguments)


def training_config(name):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train/"}
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
        "HyperParameters": {"num_round": "5", "objective": "binary:logistic", "eval_metric": "auc"},
        "InputDataConfig": [
            {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/model"},
        "ResourceConfig": {"InstanceCount": "1", "InstanceType": "ml.m5.large", "VolumeSizeInGB": "5"},
        "StoppingCondition": {"MaxRuntimeInSeconds": "300"},
    }


def processing_config(name, script):
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": XGBOOST, "ContainerEntrypoint": ["python3", "-c", script]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": "1", "InstanceType": "ml.m5.large", "VolumeSizeInGB": "5"}
        },
    }


@pytest.fixture(scope="module")
def trained(local_aws, customers):
    """Trained by the operator, printing the job's log as it goes."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in local_aws.env.items():
            patch.setenv(variable, value)
        task = operator(
            SageMakerTrainingOperator,
            config=training_config(f"p-{uuid.uuid4().hex[:12]}"),
            check_interval=1,
            print_log=True,
        )
        return task.execute(CONTEXT)["Training"]


def test_training_waits_and_returns_the_description(trained):
    assert trained["TrainingJobStatus"] == "Completed"
    assert trained["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
    [metric] = trained["FinalMetricDataList"]
    assert metric["MetricName"] == "train:auc"
    assert metric["Value"] > 0.9


def test_a_taken_job_name_gets_a_timestamp_or_fails(trained):
    config = training_config(trained["TrainingJobName"])
    with pytest.raises(AirflowException, match="already exists"):
        operator(SageMakerTrainingOperator, config=config, action_if_job_exists="fail").execute(CONTEXT)
    task = operator(SageMakerTrainingOperator, config=config, print_log=False, check_interval=1)
    again = task.execute(CONTEXT)["Training"]
    assert again["TrainingJobName"].startswith(trained["TrainingJobName"] + "-")
    assert again["TrainingJobStatus"] == "Completed"


def fire(deferred):
    """Run a deferred task's trigger to its first event."""

    async def first():
        async for event in deferred.trigger.run():
            return event.payload
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(asyncio.wait_for(first(), 120))


def test_a_job_that_was_stopped_at_its_limit_fails_its_task(customers, name):
    """SageMaker calls such a job Stopped: with print_log=False, and not deferring, the operator takes that
    for done."""
    config = training_config(name)
    config["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python3", "-c", "import time; time.sleep(60)"]
    config["StoppingCondition"] = {"MaxRuntimeInSeconds": "1"}
    task = operator(
        SageMakerTrainingOperator, config=config, print_log=False, check_interval=1, deferrable=True
    )
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    event = fire(deferred.value)
    assert event["status"] == "error"
    with pytest.raises(AirflowException, match="Error while running job"):
        task.execute_complete(CONTEXT, event)


def test_deferred_training(customers, name):
    task = operator(
        SageMakerTrainingOperator,
        config=training_config(name),
        deferrable=True,
        print_log=False,
        check_interval=1,
        max_attempts=90,
    )
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    result = task.execute_complete(CONTEXT, fire(deferred.value))
    assert result["Training"]["TrainingJobStatus"] == "Completed"


def test_a_deferred_processing_job_that_fails_says_why(name):
    task = operator(
        SageMakerProcessingOperator,
        config=processing_config(name, "import time; time.sleep(1); raise ValueError('line 7: boom')"),
        deferrable=True,
        check_interval=1,
        max_attempts=90,
    )
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    with pytest.raises(AirflowException, match="Error while running job"):
        task.execute_complete(CONTEXT, fire(deferred.value))
    description = task.hook.describe_processing_job(name)
    assert description["FailureReason"] == "AlgorithmError: ValueError: line 7: boom, exit code: 1"


def test_processing_waits(name):
    task = operator(
        SageMakerProcessingOperator,
        config=processing_config(name, "print('done')"),
        check_interval=1,
        print_log=False,
    )
    assert task.execute(CONTEXT)["Processing"]["ProcessingJobStatus"] == "Completed"


def test_register_model_endpoint_transform(local_aws, trained, customers, name):
    uri = trained["ModelArtifacts"]["S3ModelArtifacts"]
    arn = operator(
        SageMakerRegisterModelVersionOperator,
        image_uri=XGBOOST,
        model_url=uri,
        package_group_name=name,
        model_approval=ApprovalStatus.APPROVED,
    ).execute(CONTEXT)
    assert arn.endswith(f"model-package/{name}/1")
    second = operator(
        SageMakerRegisterModelVersionOperator, image_uri=XGBOOST, model_url=uri, package_group_name=name
    ).execute(CONTEXT)
    assert second.endswith(f"model-package/{name}/2")

    model = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"ModelPackageName": arn}}
    assert operator(SageMakerModelOperator, config=model).execute(CONTEXT)["Model"]["ModelName"] == name
    config = {
        "EndpointConfigName": name,
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InitialInstanceCount": "1",
                "InstanceType": "ml.m5.large",
            }
        ],
    }
    operator(SageMakerEndpointConfigOperator, config=config).execute(CONTEXT)
    endpoint = {"EndpointName": name, "EndpointConfigName": name}
    created = operator(SageMakerEndpointOperator, config=endpoint, check_interval=1).execute(CONTEXT)
    assert created["Endpoint"]["EndpointStatus"] == "InService"
    # The operator turns "create" into "update" by the words of the error.
    task = operator(SageMakerEndpointOperator, config=endpoint, check_interval=1, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    updated = task.execute_complete(CONTEXT, fire(deferred.value))
    assert updated["Endpoint"]["EndpointStatus"] == "InService"
    sensor = SageMakerEndpointSensor(
        task_id="s", endpoint_name=name, aws_conn_id=None, region_name="us-east-1"
    )
    assert sensor.poke(CONTEXT)

    transform = {
        "TransformJobName": name,
        "ModelName": name,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/{name}", "AssembleWith": "Line"},
        "TransformResources": {"InstanceCount": "1", "InstanceType": "ml.m5.large"},
    }
    done = operator(SageMakerTransformOperator, config=transform, check_interval=1).execute(CONTEXT)
    assert done["Transform"]["TransformJobStatus"] == "Completed"
    body = local_aws.client("s3").get_object(Bucket=BUCKET, Key=f"{name}/part.csv.out")["Body"].read()
    batch = [float(line) for line in body.decode().split()]
    answer = local_aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, ContentType="text/csv", Body=customers.encode()
    )
    online = [float(line) for line in answer["Body"].read().decode().split()]
    assert len(batch) == 20
    assert batch == pytest.approx(online, abs=1e-7)
