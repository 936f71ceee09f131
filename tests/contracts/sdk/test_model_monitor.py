"""The monitors of SDK 3 that work at all: data quality, from the baseline to the deletion.

Model quality goes the same way. The Clarify monitors fail in the SDK itself (they read
`ProcessingJob.sagemaker_session`, which does not exist), whatever AWS they talk to.
"""

from __future__ import annotations

import time

import pytest

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
BUCKET = "sdk3-contracts"
NAME = "sdk3-monitored"


@pytest.fixture
def monitored(session, trained, rows):
    """An endpoint that captures, and was asked about every row; answers with what it said."""
    client = session.client("sagemaker")
    container = {"Image": XGBOOST, "ModelDataUrl": trained.model_artifacts.s3_model_artifacts}
    client.create_model(ModelName=NAME, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {
        "VariantName": "A", "ModelName": NAME, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    }  # fmt: skip
    client.create_endpoint_config(
        EndpointConfigName=NAME, ProductionVariants=[variant],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100, "DestinationS3Uri": f"s3://{BUCKET}/captured",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )  # fmt: skip
    client.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    client.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})
    body = "\n".join(",".join(map(str, row[1:])) for row in rows)
    answer = session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=NAME, ContentType="text/csv", Body=body
    )
    yield [float(line) for line in answer["Body"].read().decode().split()]
    client.delete_endpoint(EndpointName=NAME)


def test_default_model_monitor(session, monitored, rows, tmp_path):
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.model_monitor import CronExpressionGenerator, DefaultModelMonitor, EndpointInput
    from sagemaker.core.model_monitor.dataset_format import DatasetFormat

    table = tmp_path / "table.csv"
    lines = [f"{said},{row[1]},{row[2]}" for said, row in zip(monitored, rows, strict=True)]
    table.write_text("\n".join(["probability,first,second", *lines]) + "\n")
    monitor = DefaultModelMonitor(
        role=ROLE, instance_type="ml.m5.large", sagemaker_session=Session(session, default_bucket=BUCKET)
    )
    monitor.suggest_baseline(
        baseline_dataset=str(table), dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri=f"s3://{BUCKET}/baseline", wait=True, logs=False,
    )  # fmt: skip
    constraints = monitor.suggested_constraints()
    assert [each["name"] for each in constraints.body_dict["features"]] == ["probability", "first", "second"]
    monitor.create_monitoring_schedule(
        endpoint_input=EndpointInput(NAME, "/opt/ml/processing/input/endpoint"),
        output_s3_uri=f"s3://{BUCKET}/reports",
        statistics=monitor.baseline_statistics(), constraints=constraints,
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H", data_analysis_end_time="-PT0H",
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (executions := monitor.list_executions()) or "Completed" not in str(
        monitor.describe_schedule()["LastMonitoringExecutionSummary"]["MonitoringExecutionStatus"]
    ):
        assert time.monotonic() < deadline, monitor.describe_schedule()
        time.sleep(0.5)
    assert executions[-1].statistics().body_dict["dataset"]["item_count"] == len(rows)
    assert monitor.latest_monitoring_constraint_violations().body_dict["violations"] == []
    name = monitor.monitoring_schedule_name
    monitor.stop_monitoring_schedule()
    monitor.delete_monitoring_schedule()
    found = session.client("sagemaker").list_monitoring_schedules(NameContains=name)
    assert found["MonitoringScheduleSummaries"] == []
