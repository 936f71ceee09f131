"""The SDK's four monitors in their documented sequence: baseline, schedule, executions, violations."""

from __future__ import annotations

import csv
import json
import time
from datetime import UTC, datetime

import pytest

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
NAMES = ["minutes", "calls", "plan"]
ENDED = ("Completed", "CompletedWithViolations", "Failed", "Stopped")
RESOURCES = {"role": ROLE, "instance_count": 1, "instance_type": "ml.m5.large"}


@pytest.fixture
def table(tmp_path):
    """table(header, rows) -> path of a CSV file; without a header when that is None."""

    def write(header, rows):
        path = tmp_path / f"table-{len(list(tmp_path.iterdir()))}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(([header] if header else []) + list(rows))
        return str(path)

    return write


@pytest.fixture
def labels(session, deployed):
    """labels(values) -> S3 prefix with a ground-truth label for each request that was sent."""

    def upload(values):
        prefix = f"labels/{time.time_ns()}"
        lines = [
            json.dumps(
                {
                    "groundTruthData": {"data": str(value), "encoding": "CSV"},
                    "eventMetadata": {"eventId": f"id-{number}"},
                    "eventVersion": "0",
                }
            )
            for number, value in enumerate(values)
        ]
        key = f"{prefix}/{datetime.now(UTC):%Y/%m/%d/%H}/0001.jsonl"
        session.upload_string_as_file_body("\n".join(lines), deployed.bucket, key)
        return f"s3://{deployed.bucket}/{prefix}"

    return upload


def run_now(monitor, **arguments):
    """Schedule the last hour once, wait for its execution, and answer with what the SDK makes of it."""
    from sagemaker.model_monitor import CronExpressionGenerator

    monitor.create_monitoring_schedule(
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
        enable_cloudwatch_metrics=True,
        **arguments,
    )
    deadline = time.monotonic() + 240
    while True:
        last = monitor.describe_schedule().get("LastMonitoringExecutionSummary", {})
        if last.get("MonitoringExecutionStatus") in ENDED:
            return last, monitor.list_executions()
        assert time.monotonic() < deadline, last
        time.sleep(0.3)


def delete(monitor, session):
    name = monitor.monitoring_schedule_name
    monitor.stop_monitoring_schedule()
    assert monitor.describe_schedule()["MonitoringScheduleStatus"] == "Stopped"
    monitor.delete_monitoring_schedule()
    with pytest.raises(session.sagemaker_client.exceptions.ResourceNotFound):
        session.describe_monitoring_schedule(name)


def test_default_model_monitor(session, deployed, table, capsys):
    from sagemaker.model_monitor import CronExpressionGenerator, DefaultModelMonitor, EndpointInput
    from sagemaker.model_monitor.dataset_format import DatasetFormat

    monitor = DefaultModelMonitor(sagemaker_session=session, **RESOURCES)
    rows = [[said, *row[1:]] for row, said in zip(deployed.rows, deployed.scores, strict=True)]
    monitor.suggest_baseline(
        baseline_dataset=table(["probability", *NAMES], rows),
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri=f"s3://{deployed.bucket}/baseline-data",
        wait=True,
        logs=False,
    )
    statistics = monitor.baseline_statistics().body_dict
    assert statistics["dataset"]["item_count"] == 100
    constraints = monitor.suggested_constraints()
    assert [f["name"] for f in constraints.body_dict["features"]] == ["probability", *NAMES]
    # One edit, as the SDK's users make it: the plan is to have been a string.
    plan = constraints.body_dict["features"][3]
    plan |= {"inferred_type": "String", "string_constraints": {"domains": ["yes", "no"]}}
    plan.pop("num_constraints")
    constraints.save(f"s3://{deployed.bucket}/baseline-edited")
    last, executions = run_now(
        monitor,
        endpoint_input=EndpointInput(deployed.endpoint, "/opt/ml/processing/input/endpoint"),
        output_s3_uri=f"s3://{deployed.bucket}/reports-data",
        statistics=monitor.baseline_statistics(),
        constraints=constraints,
    )
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations", last
    [execution] = executions
    assert execution.statistics().body_dict["dataset"]["item_count"] == 100
    violations = monitor.latest_monitoring_constraint_violations().body_dict["violations"]
    assert ("plan", "categorical_values_check") in {
        (v["feature_name"], v["constraint_check_type"]) for v in violations
    }
    assert monitor.latest_monitoring_statistics().body_dict["features"][0]["name"] == "probability"
    again = DefaultModelMonitor.attach(monitor.monitoring_schedule_name, sagemaker_session=session)
    assert again.job_definition_name == monitor.job_definition_name

    capsys.readouterr()
    monitor.get_latest_execution_logs(wait=False)
    assert "CompletedWithViolations: Job completed successfully with" in capsys.readouterr().out
    first = monitor.job_definition_name
    monitor.update_monitoring_schedule(
        schedule_cron_expression=CronExpressionGenerator.daily_every_x_hours(6),
        output_s3_uri=f"s3://{deployed.bucket}/reports-moved",
    )
    config = monitor.describe_schedule()["MonitoringScheduleConfig"]
    assert config["ScheduleConfig"] == {"ScheduleExpression": "cron(0 0/6 ? * * *)"}
    assert config["MonitoringJobDefinitionName"] == monitor.job_definition_name != first
    client = session.sagemaker_client
    second = monitor.job_definition_name
    definition = client.describe_data_quality_job_definition(JobDefinitionName=second)
    [output] = definition["DataQualityJobOutputConfig"]["MonitoringOutputs"]
    assert output["S3Output"]["S3Uri"] == f"s3://{deployed.bucket}/reports-moved"
    assert monitor.describe_schedule()["MonitoringScheduleStatus"] == "Scheduled"
    delete(monitor, session)
    left = client.list_data_quality_job_definitions(EndpointName=deployed.endpoint)["JobDefinitionSummaries"]
    # An update leaves the definition that it replaced; a deletion takes the schedule's own.
    assert [each["MonitoringJobDefinitionName"] for each in left] == [first]


def test_model_quality_monitor(session, deployed, table, labels):
    from sagemaker.model_monitor import EndpointInput, ModelQualityMonitor
    from sagemaker.model_monitor.dataset_format import DatasetFormat

    monitor = ModelQualityMonitor(sagemaker_session=session, **RESOURCES)
    rows = [[said, int(said > 0.5), row[0]] for row, said in zip(deployed.rows, deployed.scores, strict=True)]
    monitor.suggest_baseline(
        baseline_dataset=table(["probability", "prediction", "label"], rows),
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri=f"s3://{deployed.bucket}/baseline-quality",
        problem_type="BinaryClassification",
        inference_attribute="prediction",
        probability_attribute="probability",
        ground_truth_attribute="label",
        wait=True,
        logs=False,
    )
    correct = sum(said == truth for _, said, truth in rows)
    metrics = monitor.baseline_statistics().body_dict["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == correct / 100
    constraints = monitor.suggested_constraints()
    limit = constraints.body_dict["binary_classification_constraints"]["accuracy"]
    assert limit == {
        "threshold": correct / 100,
        "comparison_operator": "LessThanThreshold",
        "additional_properties": None,
    }
    last, executions = run_now(
        monitor,
        endpoint_input=EndpointInput(
            deployed.endpoint, "/opt/ml/processing/input_data", probability_attribute="0",
            probability_threshold_attribute=0.5,
        ),
        ground_truth_input=labels([1 - int(said > 0.5) for said in deployed.scores]),
        problem_type="BinaryClassification",
        output_s3_uri=f"s3://{deployed.bucket}/reports-quality",
        constraints=constraints,
    )  # fmt: skip
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations", last
    violations = executions[-1].constraint_violations().body_dict["violations"]
    assert {"accuracy", "f1"} <= {v["metric_name"] for v in violations}
    found = executions[-1].statistics().body_dict["binary_classification_metrics"]["accuracy"]
    assert found["value"] == 0.0
    delete(monitor, session)


def test_model_bias_monitor(session, deployed, table, labels):
    from sagemaker.clarify import BiasConfig, DataConfig, ModelConfig, ModelPredictedLabelConfig
    from sagemaker.model_monitor import EndpointInput, ModelBiasMonitor

    monitor = ModelBiasMonitor(sagemaker_session=session, **RESOURCES)
    data = session.upload_data(table(None, deployed.rows), deployed.bucket, "baseline-bias/data")
    monitor.suggest_baseline(
        data_config=DataConfig(
            s3_data_input_path=data, s3_output_path=f"s3://{deployed.bucket}/baseline-bias/results",
            label="churn", headers=["churn", *NAMES], dataset_type="text/csv",
        ),
        bias_config=BiasConfig(
            label_values_or_threshold=[1], facet_name="plan", facet_values_or_threshold=[1]
        ),
        model_config=ModelConfig(
            model_name=deployed.model, instance_type="ml.m5.large", instance_count=1,
            content_type="text/csv", accept_type="text/csv",
        ),
        model_predicted_label_config=ModelPredictedLabelConfig(probability_threshold=0.5),
        wait=True,
    )  # fmt: skip
    suggested = monitor.suggested_constraints().body_dict
    [facet] = suggested["post_training_bias_metrics"]["facets"]["plan"]
    positive = {
        plan: [said > 0.5 for row, said in zip(deployed.rows, deployed.scores, strict=True) if row[3] == plan]
        for plan in (0, 1)
    }
    rates = {plan: sum(said) / len(said) for plan, said in positive.items()}
    values = {metric["name"]: metric["value"] for metric in facet["metrics"]}
    assert values["DPPL"] == pytest.approx(rates[0] - rates[1])
    last, executions = run_now(
        monitor,
        endpoint_input=EndpointInput(deployed.endpoint, "/opt/ml/processing/input_data"),
        # Customers of one plan leave, those of the other stay: nothing of that was in the baseline.
        ground_truth_input=labels([row[3] for row in deployed.rows]),
        output_s3_uri=f"s3://{deployed.bucket}/reports-bias",
    )
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations", last
    violations = executions[-1].constraint_violations().body_dict["violations"]
    assert "DPL" in {v["metric_name"] for v in violations}
    assert {v["constraint_check_type"] for v in violations} == {"bias_drift_check"}
    assert {(v["facet"], v["facet_value"]) for v in violations} == {("plan", "1")}
    delete(monitor, session)


def test_model_explainability_monitor(session, deployed, table):
    from sagemaker.clarify import DataConfig, ModelConfig, SHAPConfig
    from sagemaker.model_monitor import EndpointInput, ModelExplainabilityMonitor

    monitor = ModelExplainabilityMonitor(sagemaker_session=session, **RESOURCES)
    features = [row[1:] for row in deployed.rows]
    data = session.upload_data(table(None, features[:30]), deployed.bucket, "baseline-shap/data")
    means = [sum(column) / len(column) for column in zip(*features, strict=True)]
    monitor.suggest_baseline(
        data_config=DataConfig(
            s3_data_input_path=data, s3_output_path=f"s3://{deployed.bucket}/baseline-shap/results",
            headers=NAMES, dataset_type="text/csv",
        ),
        explainability_config=SHAPConfig(baseline=[means], num_samples=20, agg_method="mean_abs"),
        model_config=ModelConfig(
            model_name=deployed.model, instance_type="ml.m5.large", instance_count=1,
            content_type="text/csv", accept_type="text/csv",
        ),
        wait=True,
    )  # fmt: skip
    shap = monitor.suggested_constraints().body_dict["explanations"]["kernel_shap"]["label0"]
    assert list(shap["global_shap_values"]) == NAMES
    assert shap["global_shap_values"]["minutes"] > 10 * shap["global_shap_values"]["plan"]
    # The schedule's constraints: a baseline in which the plan mattered most.
    constraints = monitor.suggested_constraints()
    constraints.body_dict["explanations"]["kernel_shap"]["label0"]["global_shap_values"] = {
        "minutes": 0.01, "calls": 0.1, "plan": 1.0,
    }  # fmt: skip
    constraints.save(f"s3://{deployed.bucket}/baseline-shap/edited")
    last, executions = run_now(
        monitor,
        endpoint_input=EndpointInput(deployed.endpoint, "/opt/ml/processing/input/endpoint"),
        output_s3_uri=f"s3://{deployed.bucket}/reports-shap",
        constraints=constraints,
    )
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations", last
    [violation] = executions[-1].constraint_violations().body_dict["violations"]
    assert violation["constraint_check_type"] == "feature_attribution_drift_check"
    assert violation["label"] == "label0"
    # The shadow endpoints of both analyses are gone.
    assert session.sagemaker_client.list_endpoints(NameContains="sm-clarify")["Endpoints"] == []
    delete(monitor, session)
