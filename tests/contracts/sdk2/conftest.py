"""The SageMaker SDK, version 2, as it is installed: a session, and a model it trained and deployed itself."""

from __future__ import annotations

import os
import random
import time
from types import SimpleNamespace

import pytest

os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
NAMES = ["minutes", "calls", "plan"]


@pytest.fixture(scope="session")
def session(local_aws):
    """A stock Session: its clients find local AWS by the environment.

    The bucket is named because the SDK asks STS for the account at an address that it makes up itself. Its
    pauses between two looks at a job are cut to half a second.
    """
    pause = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.env.items():
            patch.setenv(name, value)
        patch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.5)))
        import boto3
        import sagemaker

        yield sagemaker.Session(
            boto3.Session(region_name=local_aws.region),
            default_bucket="sdk-contracts",
            # It would report each call to AWS.
            sagemaker_config={
                "SchemaVersion": "1.0",
                "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
            },
        )


@pytest.fixture(scope="session")
def customers():
    """600 rows, label first: minutes and calls decide, the plan does not."""
    draw = random.Random(11)
    rows = []
    for _ in range(600):
        minutes, calls, plan = round(draw.gauss(180, 50), 1), draw.randrange(9), draw.randrange(2)
        rows.append([int(minutes / 60 + calls / 2 + draw.gauss(0, 0.7) > 5.5), minutes, calls, plan])
    return rows


@pytest.fixture(scope="session")
def deployed(session, customers, tmp_path_factory):
    """Estimator.fit and deploy, with capture of everything: bucket, endpoint, model, predictor, scores."""
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import TrainingInput
    from sagemaker.model_monitor import DataCaptureConfig
    from sagemaker.serializers import CSVSerializer

    bucket = session.default_bucket()
    file = tmp_path_factory.mktemp("data") / "train.csv"
    file.write_text("".join(",".join(map(str, row)) + "\n" for row in customers[:500]))
    uri = session.upload_data(str(file), bucket=bucket, key_prefix="train")
    estimator = Estimator(
        image_uri=XGBOOST, role=ROLE, instance_count=1, instance_type="ml.m5.large",
        sagemaker_session=session, output_path=f"s3://{bucket}/models",
        hyperparameters={"num_round": 15, "max_depth": 3, "objective": "binary:logistic"},
    )  # fmt: skip
    estimator.fit({"train": TrainingInput(uri, content_type="text/csv")}, logs=False)
    capture = DataCaptureConfig(
        True, 100, f"s3://{bucket}/captured", csv_content_types=["text/csv"], sagemaker_session=session
    )
    predictor = estimator.deploy(1, "ml.m5.large", data_capture_config=capture, serializer=CSVSerializer())
    endpoint = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)
    config = session.sagemaker_client.describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    answers = []
    for number, row in enumerate(customers[500:]):
        said = predictor.predict(row[1:], inference_id=f"id-{number}").decode()
        answers.append(float(said))
    return SimpleNamespace(
        bucket=bucket, predictor=predictor, endpoint=predictor.endpoint_name,
        model=config["ProductionVariants"][0]["ModelName"],
        rows=customers[500:], scores=answers,
    )  # fmt: skip
