"""Monitoring schedules through boto3: executions are processing jobs that analyse what was captured."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

ACCOUNTS = "156813124566.dkr.ecr.us-east-1.amazonaws.com"
ANALYZER = f"{ACCOUNTS}/sagemaker-model-monitor-analyzer"
CLARIFY = "205585389593.dkr.ecr.us-east-1.amazonaws.com/sagemaker-clarify-processing:1.0"
FEATURES = ["a", "b", "c", "d", "e"]
LAST_HOUR = {
    "ScheduleExpression": "NOW",
    "DataAnalysisStartTime": "-PT1H",
    "DataAnalysisEndTime": "-PT0H",
}
UNDER_WAY = ("Pending", "InProgress", "Stopping")


@pytest.fixture(scope="module")
def endpoint(sm, trained, bucket, cases):
    """An endpoint that captures everything; the module's tests put captured hours of their own beside."""
    name = f"monitored-{uuid.uuid4().hex[:8]}"
    container = {"Image": cases.image, "ModelDataUrl": trained.uri}
    sm.create_model(ModelName=name, ExecutionRoleArn=cases.role, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }  # fmt: skip
    sm.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{bucket}/captured/",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    return name


@pytest.fixture(scope="module")
def asked(runtime, endpoint, trained, cases):
    """100 requests with an id each, as the endpoint answered them: (id, features, probability)."""
    found = []
    for number, features in enumerate(trained.features):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="text/csv",
            Body=cases.csv([features]).decode().rstrip("\n"),
            InferenceId=f"id-{number}",
        )
        found.append((f"id-{number}", features, float(answer["Body"].read())))
    return found


@pytest.fixture(scope="module")
def baseline(sm, s3, bucket, asked, cases):
    """Runs the analyzer over what the endpoint said; answers with the job's name, its folder too."""

    def run(kind, **environment):
        name = f"baseline-{kind}-{uuid.uuid4().hex[:8]}"
        rows = [[said, *features] for _, features, said in asked]
        if kind == "model":
            rows = [[said, int(said > 0.5)] for _, _, said in asked]
        header = ["probability", *FEATURES] if kind == "data" else ["probability", "label"]
        s3.put_object(Bucket=bucket, Key=f"{name}/data.csv", Body=cases.csv([header, *rows]))
        sm.create_processing_job(
            ProcessingJobName=name,
            RoleArn=cases.role,
            AppSpecification={"ImageUri": ANALYZER},
            ProcessingInputs=[_input("baseline_dataset_input", f"s3://{bucket}/{name}/data.csv",
                                     "/opt/ml/processing/input/baseline_dataset_input")],
            ProcessingOutputConfig={"Outputs": [_output(f"s3://{bucket}/{name}/results")]},
            ProcessingResources={"ClusterConfig": CLUSTER},
            Environment={
                "dataset_format": '{"csv":{"header":true,"output_columns_position":"START"}}',
                "dataset_source": "/opt/ml/processing/input/baseline_dataset_input",
                "output_path": "/opt/ml/processing/output",
                "publish_cloudwatch_metrics": "Disabled",
                **environment,
            },
        )  # fmt: skip
        job = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
        assert job["ExitMessage"] == "Completed: Job completed successfully with no violations.", job
        return name

    return run


CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}


def _input(name, uri, local):
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": local, "S3DataType": "S3Prefix", "S3InputMode": "File"},
    }


def _output(uri):
    return {
        "OutputName": "monitoring_output",
        "S3Output": {"S3Uri": uri, "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "Continuous"},
    }


@pytest.fixture
def monitor(sm, bucket, cases, name):
    """Creates a job definition and a schedule; answers with the schedule's name. Deletes both afterwards."""
    made = []

    def create(kind, endpoint, schedule=LAST_HOUR, source=None, job_input=None, **more):
        app = {"ImageUri": ANALYZER} | more.pop("app", {})
        request = {
            "JobDefinitionName": name,
            f"{kind}AppSpecification": app,
            f"{kind}JobInput": {
                "EndpointInput": {
                    "EndpointName": endpoint, "LocalPath": "/opt/ml/processing/input/endpoint",
                    **(source or {}),
                },
                **(job_input or {}),
            },
            f"{kind}JobOutputConfig": {
                "MonitoringOutputs": [{"S3Output": {
                    "S3Uri": f"s3://{bucket}/{name}/reports", "LocalPath": "/opt/ml/processing/output",
                }}],
            },
            "JobResources": {"ClusterConfig": CLUSTER},
            "RoleArn": cases.role,
            **{f"{kind}{key}": value for key, value in more.items()},
        }  # fmt: skip
        snake = {"DataQuality": "data_quality", "ModelQuality": "model_quality", "ModelBias": "model_bias",
                 "ModelExplainability": "model_explainability"}[kind]  # fmt: skip
        getattr(sm, f"create_{snake}_job_definition")(**request)
        config = {"MonitoringJobDefinitionName": name, "MonitoringType": kind, "ScheduleConfig": schedule}
        sm.create_monitoring_schedule(MonitoringScheduleName=name, MonitoringScheduleConfig=config)
        made.append(snake)
        return name

    yield create
    for snake in made:
        sm.stop_monitoring_schedule(MonitoringScheduleName=name)
        executed(sm, name, at_least=0)
        sm.delete_monitoring_schedule(MonitoringScheduleName=name)
        getattr(sm, f"delete_{snake}_job_definition")(JobDefinitionName=name)


def executed(sm, schedule, at_least=1, seconds=240):
    """The schedule's executions, newest first, once there are enough and none is under way."""
    deadline = time.monotonic() + seconds
    while True:
        found = sm.list_monitoring_executions(MonitoringScheduleName=schedule)["MonitoringExecutionSummaries"]
        ended = [each for each in found if each["MonitoringExecutionStatus"] not in UNDER_WAY]
        if len(ended) >= at_least and len(ended) == len(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.fixture
def report(sm, s3):
    """report(execution, "file.json") -> its content, from where the processing job says it put it."""

    def read(execution, name, text=False):
        job = sm.describe_processing_job(ProcessingJobName=execution["ProcessingJobArn"].rsplit("/", 1)[-1])
        uri = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = s3.get_object(Bucket=bucket, Key=f"{key}/{name}")["Body"].read()
        return body.decode() if text else json.loads(body)

    return read


def test_data_quality_of_what_an_endpoint_was_just_asked(
    sm, s3, bucket, local_aws, endpoint, asked, baseline, monitor, report
):
    made = baseline("data")
    schedule = monitor(
        "DataQuality", endpoint, BaselineConfig={"BaseliningJobName": made},
        app={"Environment": {"publish_cloudwatch_metrics": "Enabled"}},
    )  # fmt: skip
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "Completed", execution
    assert execution["MonitoringType"] == "DataQuality"
    assert execution["EndpointName"] == endpoint
    job = sm.describe_processing_job(ProcessingJobName=execution["ProcessingJobArn"].rsplit("/", 1)[-1])
    assert job["ProcessingJobName"].startswith(
        f"data-quality-monitoring-{execution['ScheduledTime'].astimezone(UTC):%Y%m%d%H%M}-"
    )
    hours = {(datetime.now(UTC) - timedelta(hours=1 - n)).strftime("%Y/%m/%d/%H") for n in range(2)}
    places = {i["InputName"]: i["S3Input"] for i in job["ProcessingInputs"]}
    assert places["constraints"]["S3Uri"] == f"s3://{bucket}/{made}/results/constraints.json"
    assert places["endpoint_input_1"]["S3Uri"] in {
        f"s3://{bucket}/captured/{endpoint}/AllTraffic/{hour}" for hour in hours
    }
    assert job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] == (
        f"s3://{bucket}/{schedule}/reports/{endpoint}/{schedule}/"
        f"{execution['ScheduledTime'].astimezone(UTC):%Y/%m/%d/%H}"
    )
    statistics = report(execution, "statistics.json")
    assert statistics["dataset"]["item_count"] == 100
    assert [entry["name"] for entry in statistics["features"]] == ["probability", *FEATURES]
    mean = sum(features[0] for _, features, _ in asked) / 100
    assert statistics["features"][1]["numerical_statistics"]["mean"] == pytest.approx(mean)
    assert report(execution, "constraint_violations.json") == {"violations": []}

    dimensions = [
        {"Name": "Endpoint", "Value": endpoint},
        {"Name": "MonitoringSchedule", "Value": schedule},
    ]
    window = job["Environment"]["start_time"]
    [point] = local_aws.client("cloudwatch").get_metric_statistics(
        Namespace="aws/sagemaker/Endpoints/data-metrics", MetricName="feature_data_a", Dimensions=dimensions,
        StartTime=datetime.fromisoformat(window) - timedelta(minutes=1),
        EndTime=datetime.fromisoformat(window) + timedelta(minutes=1), Period=60,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]  # fmt: skip
    assert (point["SampleCount"], point["Average"]) == (100, pytest.approx(mean))


def test_model_quality_merges_the_labels_and_then_judges(
    sm, s3, bucket, endpoint, asked, baseline, monitor, report
):
    constraints = baseline(
        "model", analysis_type="MODEL_QUALITY", problem_type="BinaryClassification",
        probability_attribute="probability", probability_threshold_attribute="0.5",
        ground_truth_attribute="label",
    )  # fmt: skip
    prefix = f"labels/{uuid.uuid4().hex[:8]}"
    # Every second label says the opposite of the model; one comes twice and one is for nobody.
    lines = [
        _label(id_, int(said > 0.5) if number % 2 else int(said <= 0.5))
        for number, (id_, _, said) in enumerate(asked)
    ]
    body = "".join([*lines, lines[0], _label("id-of-nobody", 1)])
    s3.put_object(
        Bucket=bucket, Key=f"{prefix}/{datetime.now(UTC):%Y/%m/%d/%H}/0001.jsonl", Body=body.encode()
    )
    schedule = monitor(
        "ModelQuality", endpoint,
        BaselineConfig={"ConstraintsResource": {"S3Uri": f"s3://{bucket}/{constraints}/results/constraints.json"}},
        app={"ProblemType": "BinaryClassification"},
        source={"ProbabilityAttribute": "0", "ProbabilityThresholdAttribute": 0.5},
        job_input={"GroundTruthS3Input": {"S3Uri": f"s3://{bucket}/{prefix}"}},
    )  # fmt: skip
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution
    name = execution["ProcessingJobArn"].rsplit("/", 1)[-1]
    assert name.startswith("model-quality-monitoring-")
    merge = sm.describe_processing_job(
        ProcessingJobName=name.replace("model-quality-monitoring", "groundtruth-merge")
    )
    assert merge["Environment"] == {
        "dataset_source": "/opt/ml/processing/input_data",
        "ground_truth_source": "/opt/ml/processing/groundtruth",
        "output_path": "/opt/ml/processing/output",
    }
    assert merge["ExitMessage"].startswith("Completed: 100 records matched, 0 wait for a label")
    statistics = report(execution, "statistics.json")
    assert statistics["dataset"]["item_count"] == 100
    assert statistics["binary_classification_metrics"]["accuracy"]["value"] == 0.5
    found = {v["metric_name"]: v for v in report(execution, "constraint_violations.json")["violations"]}
    assert found["accuracy"]["constraint_check_type"] == "LessThanThreshold"
    assert found["accuracy"]["description"].startswith("Metric accuracy with 0.5")
    page = report(execution, "report.html", text=True)
    assert "records waiting for a label" in page
    assert "labels without a request" in page
    assert "accuracy" in page


def test_an_hour_without_records_is_failed_without_a_job_and_the_next_one_runs(
    sm, s3, bucket, endpoint, asked, monitor
):
    schedule = monitor(
        "DataQuality", endpoint,
        schedule=LAST_HOUR | {"DataAnalysisStartTime": "-PT20H", "DataAnalysisEndTime": "-PT19H"},
    )  # fmt: skip
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Job inputs had no data"
    assert "ProcessingJobArn" not in execution
    config = sm.describe_monitoring_schedule(MonitoringScheduleName=schedule)["MonitoringScheduleConfig"]
    sm.update_monitoring_schedule(
        MonitoringScheduleName=schedule,
        MonitoringScheduleConfig=config | {"ScheduleConfig": LAST_HOUR},
    )
    newest, oldest = executed(sm, schedule, at_least=2)
    assert oldest == execution
    assert newest["MonitoringExecutionStatus"] == "Completed", newest
    pages = sm.get_paginator("list_monitoring_executions").paginate(
        MonitoringScheduleName=schedule, SortBy="ScheduledTime", SortOrder="Ascending",
        PaginationConfig={"PageSize": 1},
    )  # fmt: skip
    assert [page["MonitoringExecutionSummaries"] for page in pages] == [[oldest], [newest]]
    failed = sm.list_monitoring_executions(MonitoringScheduleName=schedule, StatusEquals="Failed")
    assert failed["MonitoringExecutionSummaries"] == [oldest]
    described = sm.describe_monitoring_schedule(MonitoringScheduleName=schedule)
    assert described["LastMonitoringExecutionSummary"] == newest
    for filters, names in (
        ({"EndpointName": endpoint, "MonitoringTypeEquals": "DataQuality"}, [schedule]),
        ({"EndpointName": endpoint, "MonitoringTypeEquals": "ModelBias"}, []),
        ({"MonitoringJobDefinitionName": schedule, "StatusEquals": "Scheduled"}, [schedule]),
        ({"EndpointName": "another"}, []),
    ):
        found = sm.list_monitoring_schedules(**filters)["MonitoringScheduleSummaries"]
        assert [each["MonitoringScheduleName"] for each in found] == names


def test_model_quality_without_labels_is_failed_without_a_job(sm, bucket, endpoint, asked, monitor):
    schedule = monitor(
        "ModelQuality", endpoint,
        app={"ProblemType": "BinaryClassification"},
        source={"ProbabilityAttribute": "0", "ProbabilityThresholdAttribute": 0.5},
        job_input={"GroundTruthS3Input": {"S3Uri": f"s3://{bucket}/labels/none"}},
    )  # fmt: skip
    [execution] = executed(sm, schedule)
    assert (execution["MonitoringExecutionStatus"], execution["FailureReason"]) == (
        "Failed", "Job inputs had no data",
    )  # fmt: skip
    assert "ProcessingJobArn" not in execution


@pytest.fixture
def captured_before(s3, bucket, endpoint):
    """captured_before(hours, lines) -> S3 URI of a capture file of that long ago, whatever is in it."""

    def put(hours, lines):
        hour = f"{datetime.now(UTC) - timedelta(hours=hours):%Y/%m/%d/%H}"
        key = f"captured/{endpoint}/AllTraffic/{hour}/{uuid.uuid4()}.jsonl"
        s3.put_object(Bucket=bucket, Key=key, Body="".join(line + "\n" for line in lines).encode())
        return f"s3://{bucket}/{key}"

    return put


def _captured(given, said, hours=0.0, encodings=("CSV", "CSV"), id_="e"):
    def side(data, encoding, mode):
        return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": encoding}

    time_ = datetime.now(UTC) - timedelta(hours=hours)
    record = {
        "captureData": {
            "endpointInput": side(given, encodings[0], "INPUT"),
            "endpointOutput": side(said, encodings[1], "OUTPUT"),
        },
        "eventMetadata": {"eventId": id_, "inferenceTime": f"{time_:%Y-%m-%dT%H:%M:%SZ}"},
        "eventVersion": "0",
    }
    return json.dumps(record)


def hours_ago(hours):
    """A schedule of now whose window is the hour around a time that long ago."""
    return {
        "ScheduleExpression": "NOW",
        "DataAnalysisStartTime": f"-PT{hours * 60 + 30}M",
        "DataAnalysisEndTime": f"-PT{hours * 60 - 30}M",
    }


def test_records_that_cannot_be_read_are_named_by_bucket_key_and_line(
    sm, endpoint, baseline, monitor, report, captured_before
):
    row = ["0.1,0.2,0.3,0.4,0.5", "0.6"]
    uri = captured_before(4, [
        _captured(row[0], row[1], hours=4),
        _captured(row[0], row[1], hours=4)[:60],
        _captured("MC4x", "MC42", hours=4, encodings=("BASE64", "BASE64")),
        _captured("0.1,0.2,0.3", "0.6", hours=4),
        _captured(row[0], row[1], hours=-300),
    ])  # fmt: skip
    schedule = monitor(
        "DataQuality", endpoint, schedule=hours_ago(4), BaselineConfig={"BaseliningJobName": baseline("data")}
    )
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution
    dataset = report(execution, "statistics.json")["dataset"]
    assert dataset["item_count"] == 1
    assert dataset["refused"]["reasons"] == {
        "BASE64 record (list its content type in the capture options)": 1,
        "another number of columns": 1,
        "inference time outside the window": 1,
        "truncated JSON": 1,
    }
    assert {each["where"] for each in dataset["refused"]["examples"]} == {
        f"{uri} line {number}" for number in (2, 3, 4, 5)
    }
    violations = report(execution, "constraint_violations.json")["violations"]
    assert any(f"{uri} line 2" in v["description"] for v in violations)


def test_encodings_that_differ_fail_the_execution_in_awss_words(
    sm, s3, bucket, endpoint, baseline, monitor, captured_before
):
    uri = captured_before(7, [_captured("0.1,0.2", '{"score": 0.6}', hours=7, encodings=("CSV", "JSON"))])
    schedule = monitor("DataQuality", endpoint, schedule=hours_ago(7))
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"].startswith(
        "AlgorithmError: Error: Encoding mismatch: Encoding is CSV for endpointInput, but Encoding is JSON "
        "for endpointOutput."
    )
    assert f"First: {uri} line 1." in execution["FailureReason"]


def test_labels_and_probabilities_that_cannot_be(sm, s3, bucket, endpoint, monitor, report, captured_before):
    lines = [
        _captured("1", said, hours=10, id_=f"e{i}") for i, said in enumerate(["0.9", "0.2", "1.7", "0.8"])
    ]
    captured_before(10, lines)
    labels = [_label("e0", 1), _label("e1", 0), _label("e2", 1), _label("e3", "perhaps")]
    key = f"labels/odd/{datetime.now(UTC):%Y/%m/%d/%H}/1.jsonl"
    s3.put_object(Bucket=bucket, Key=key, Body="".join(labels).encode())
    s3.put_object(Bucket=bucket, Key="labels/odd-constraints/constraints.json", Body=json.dumps({
        "version": 0.0, "model_version": "4",
        "binary_classification_constraints": {
            "accuracy": {"threshold": 1.0, "comparison_operator": "LessThanThreshold"},
        },
    }).encode())  # fmt: skip
    arguments = {
        "schedule": hours_ago(10),
        "source": {"ProbabilityAttribute": "0", "ProbabilityThresholdAttribute": 0.5},
        "job_input": {"GroundTruthS3Input": {"S3Uri": f"s3://{bucket}/labels/odd"}},
        "BaselineConfig": {
            "ConstraintsResource": {"S3Uri": f"s3://{bucket}/labels/odd-constraints/constraints.json"}
        },
    }
    app = {"ProblemType": "BinaryClassification", "Environment": {"model_version": "4"}}
    schedule = monitor("ModelQuality", endpoint, app=app, **arguments)
    [execution] = executed(sm, schedule)
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution
    assert report(execution, "statistics.json")["binary_classification_metrics"]["accuracy"]["value"] == 1.0
    [violation] = report(execution, "constraint_violations.json")["violations"]
    assert violation["description"].startswith("2 records refused (label outside the classes: 1, probability")
    assert "line 3, probability outside [0,1] '1.7'" in violation["description"]

    # The same hour against the baseline of another version of the model.
    definition = sm.describe_model_quality_job_definition(JobDefinitionName=schedule)
    definition["ModelQualityAppSpecification"]["Environment"]["model_version"] = "5"
    members = sm.meta.service_model.operation_model("CreateModelQualityJobDefinition").input_shape.members
    request = {key: value for key, value in definition.items() if key in members}
    sm.create_model_quality_job_definition(**request | {"JobDefinitionName": f"{schedule}-5"})
    config = sm.describe_monitoring_schedule(MonitoringScheduleName=schedule)["MonitoringScheduleConfig"]
    sm.update_monitoring_schedule(
        MonitoringScheduleName=schedule,
        MonitoringScheduleConfig=config | {"MonitoringJobDefinitionName": f"{schedule}-5"},
    )
    newest, _ = executed(sm, schedule, at_least=2)
    assert newest["MonitoringExecutionStatus"] == "Failed"
    assert "The baseline is of model version 4, the endpoint serves version 5" in newest["FailureReason"]


def test_hours_go_on_after_a_kill_and_none_runs_twice(new_local_aws, monkeypatch, trained, s3, bucket, cases):
    """Hours of five seconds. The server is killed while an execution is under way."""
    monkeypatch.setenv("LOCAL_AWS_MONITORING_HOUR_SECONDS", "5")
    local = new_local_aws()
    sm, there = local.client("sagemaker"), local.client("s3")
    there.create_bucket(Bucket="hours")
    key = trained.uri.removeprefix(f"s3://{bucket}/")
    there.put_object(
        Bucket="hours", Key="model.tar.gz", Body=s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    )
    container = {"Image": cases.image, "ModelDataUrl": "s3://hours/model.tar.gz"}
    sm.create_model(ModelName="m", ExecutionRoleArn=cases.role, PrimaryContainer=container)
    variant = {
        "VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
    }  # fmt: skip
    sm.create_endpoint_config(
        EndpointConfigName="e", ProductionVariants=[variant],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://hours/captured",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        },
    )  # fmt: skip
    sm.create_endpoint(EndpointName="e", EndpointConfigName="e")
    sm.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=cases.fast)
    # A capture for every second to come: each window of five seconds finds its own.
    now = datetime.now(UTC)
    hours: dict[str, list[str]] = {}
    for second in range(1200):
        place = f"captured/e/A/{now + timedelta(seconds=second):%Y/%m/%d/%H}"
        line = _captured("1,2", "0.5", hours=-second / 3600, id_=str(second))
        hours.setdefault(place, []).append(line + "\n")
    for place, lines in hours.items():
        there.put_object(Bucket="hours", Key=f"{place}/a.jsonl", Body="".join(lines).encode())
    definition = {
        "MonitoringInputs": [
            {"EndpointInput": {"EndpointName": "e", "LocalPath": "/opt/ml/processing/input/e"}}
        ],
        "MonitoringOutputConfig": {"MonitoringOutputs": [
            {"S3Output": {"S3Uri": "s3://hours/reports", "LocalPath": "/opt/ml/processing/output"}},
        ]},
        "MonitoringResources": {"ClusterConfig": CLUSTER},
        "MonitoringAppSpecification": {"ImageUri": ANALYZER},
        "RoleArn": cases.role,
    }  # fmt: skip
    config = {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        "MonitoringJobDefinition": definition,
    }
    sm.create_monitoring_schedule(MonitoringScheduleName="s", MonitoringScheduleConfig=config)
    until(lambda: statuses(sm)[-1:] == ["InProgress"])
    local.restart(kill=True)
    until(lambda: sum(status == "Completed" for status in statuses(sm)) >= 2)
    sm.stop_monitoring_schedule(MonitoringScheduleName="s")
    executions = executed(sm, "s")
    times = [each["ScheduledTime"] for each in executions]
    assert len(set(times)) == len(times)
    assert all(time_.timestamp() % 5 == 0 for time_ in times)
    arns = [each["ProcessingJobArn"] for each in executions]
    assert len(set(arns)) == len(arns)
    assert {each["MonitoringExecutionStatus"] for each in executions} == {"Completed"}, executions


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def statuses(sm):
    found = sm.list_monitoring_executions(MonitoringScheduleName="s")["MonitoringExecutionSummaries"]
    return [each["MonitoringExecutionStatus"] for each in found][::-1]


def _label(id_, value):
    record = {
        "groundTruthData": {"data": str(value), "encoding": "CSV"},
        "eventMetadata": {"eventId": id_},
        "eventVersion": "0",
    }
    return json.dumps(record) + "\n"


def test_refusals(sm, endpoint, monitor, name, cases, bucket):
    with pytest.raises(ClientError, match="cron\\(15 \\* \\? \\* \\* \\*\\)' is not supported"):
        monitor("DataQuality", endpoint, schedule={"ScheduleExpression": "cron(15 * ? * * *)"})
    config = {"MonitoringJobDefinitionName": name, "MonitoringType": "DataQuality"}

    def create(**more):
        sm.create_monitoring_schedule(MonitoringScheduleName=name, MonitoringScheduleConfig=config | more)

    with pytest.raises(ClientError, match="needs DataAnalysisStartTime and DataAnalysisEndTime"):
        create(ScheduleConfig={"ScheduleExpression": "NOW"})
    with pytest.raises(ClientError, match="more than 24 hours"):
        create(ScheduleConfig=LAST_HOUR | {"DataAnalysisStartTime": "-P2D"})
    with pytest.raises(sm.exceptions.ResourceNotFound, match="Could not find the model-bias-job-definition"):
        create(MonitoringType="ModelBias")
    with pytest.raises(sm.exceptions.ResourceNotFound):
        sm.describe_monitoring_schedule(MonitoringScheduleName=name)
    definition = sm.describe_data_quality_job_definition(JobDefinitionName=name)
    members = sm.meta.service_model.operation_model("CreateDataQualityJobDefinition").input_shape.members
    request = {key: value for key, value in definition.items() if key in members}
    batch = {
        "DataCapturedDestinationS3Uri": f"s3://{bucket}/batch", "LocalPath": "/opt/ml/processing/input",
        "DatasetFormat": {"Csv": {"Header": False}},
    }  # fmt: skip
    request |= {"JobDefinitionName": f"{name}-b", "DataQualityJobInput": {"BatchTransformInput": batch}}
    with pytest.raises(ClientError, match="BatchTransformInput is not supported by local AWS"):
        sm.create_data_quality_job_definition(**request)
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        sm.list_monitoring_alerts(MonitoringScheduleName=name)
    sm.delete_data_quality_job_definition(JobDefinitionName=name)
    with pytest.raises(ClientError, match=r'Could not find endpoint ".*endpoint/no-such"'):
        monitor("DataQuality", "no-such")
    sm.delete_data_quality_job_definition(JobDefinitionName=name)
