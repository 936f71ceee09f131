"""SageMaker SDK 3's resource classes (sagemaker-core) as they are installed: train, deploy, ask, delete."""

from __future__ import annotations

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
BUCKET = "sdk3-contracts"


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
