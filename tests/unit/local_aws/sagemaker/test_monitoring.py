"""Schedules over a clock that the test sets: when they fire, what jobs are asked, how executions end."""

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from moto.core.exceptions import ServiceException

from local_aws.services.sagemaker import processing, responses, validation
from local_aws.services.sagemaker.monitoring import calendar, requests, timer

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
CLARIFY = "205585389593.dkr.ecr.us-east-1.amazonaws.com/sagemaker-clarify-processing:1.0"
SAYS = "import os; open(os.environ['SAGEMAKER_BASE_DIR'] + '/output/message', 'w').write(%r)"
COMPLETED = SAYS % "Completed: Job completed successfully with no violations."
VIOLATED = SAYS % "CompletedWithViolations: Job completed successfully with 2 violations."


class Clock:
    def __init__(self):
        self.now = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)

    def __call__(self):
        return self.now

    def set(self, text):
        self.now = datetime.fromisoformat(f"2026-11-20T{text}Z")


@pytest.fixture
def clock(service):
    clock = Clock()
    service.context.clock = clock
    return clock


@pytest.fixture
def endpoint(service, objects):
    """An endpoint whose captures lie in s3://bucket/captured, a record in each hour from 08 to 11."""
    service.add(
        "endpoint",
        "churn",
        {
            "EndpointStatus": "InService",
            "_capture": {"destination": "s3://bucket/captured/"},
            "ProductionVariants": [{"VariantName": "A"}],
        },
    )
    for hour in ("08", "09", "10", "11"):
        objects[f"captured/churn/A/2026/11/20/{hour}/00-00-000-x.jsonl"] = b"{}\n"
    return "churn"


def inline(role, script=COMPLETED, **more):
    """A schedule of the user's own container."""
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
    output = {"S3Uri": "s3://bucket/reports/", "LocalPath": "/opt/ml/processing/output"}
    return {
        "MonitoringInputs": [
            {"EndpointInput": {"EndpointName": "churn", "LocalPath": "/opt/ml/processing/input/endpoint"}}
        ],
        "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
        "MonitoringResources": {"ClusterConfig": cluster},
        "MonitoringAppSpecification": {"ImageUri": XGBOOST, "ContainerEntrypoint": ["python3", "-c", script]},
        "RoleArn": role,
        **more,
    }


@pytest.fixture
def hourly(api, clock, endpoint, role):
    def create(script=COMPLETED, expression="cron(0 * ? * * *)", **more):
        config = {
            "ScheduleConfig": {"ScheduleExpression": expression},
            "MonitoringJobDefinition": inline(role, script, **more),
        }
        api("CreateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)

    return create


@pytest.fixture
def executions(api, service):
    """Lets the timer work until nothing is under way; answers with the executions, newest first."""

    def run():
        while timer.look(service):
            jobs = service.records("processing-job").values()
            for name in [job["ProcessingJobName"] for job in jobs]:
                api.wait(
                    "DescribeProcessingJob", "ProcessingJobStatus", ("Completed", "Failed", "Stopped"),
                    ProcessingJobName=name,
                )  # fmt: skip
        return api("ListMonitoringExecutions", MonitoringScheduleName="watch")["MonitoringExecutionSummaries"]

    return run


def test_an_hour_fires_once(clock, hourly, executions, api):
    hourly()
    assert executions() == []
    clock.set("11:00:02")
    [first] = executions()
    assert (first["ScheduledTime"].hour, first["MonitoringExecutionStatus"]) == (11, "Completed")
    job = api("DescribeProcessingJob", ProcessingJobName=first["ProcessingJobArn"].rsplit("/", 1)[-1])
    assert job["ProcessingJobName"].startswith("model-monitoring-202611201100-")
    assert [i["S3Input"]["S3Uri"] for i in job["ProcessingInputs"]] == [
        "s3://bucket/captured/churn/A/2026/11/20/10"
    ]
    assert job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] == (
        "s3://bucket/reports/churn/watch/2026/11/20/11"
    )
    clock.set("11:59:59")
    assert len(executions()) == 1
    clock.set("12:00:00")
    assert [each["ScheduledTime"].hour for each in executions()] == [12, 11]


def test_a_clock_that_jumps_neither_repeats_an_hour_nor_makes_up_for_all_that_passed(
    clock, hourly, executions
):
    hourly()
    clock.set("11:00:00")
    assert len(executions()) == 1
    clock.set("10:40:00")
    assert len(executions()) == 1
    clock.set("11:30:00")
    assert len(executions()) == 1
    clock.set("18:20:00")
    newest, _ = executions()
    assert newest["ScheduledTime"].hour == 18
    assert newest["FailureReason"] == "Job inputs had no data"


@pytest.mark.parametrize("moment", ["fired", "job created"])
def test_a_killed_server_neither_loses_nor_repeats_the_hour(service, clock, hourly, executions, api, moment):
    hourly()
    clock.set("11:00:00")
    if moment == "fired":
        timer._due(service, service.records("monitoring-schedule")["watch"])
    else:
        timer.look(service)
    stored = pickle.dumps(service.backend.records["monitoring-schedule"])
    [before] = executions()
    # What is on disk is what was committed; the job's own end is told to the next server by its supervisor.
    service.backend.records["monitoring-schedule"] = pickle.loads(stored)
    [after] = executions()
    assert after["ProcessingJobArn"] == before["ProcessingJobArn"]
    assert after["MonitoringExecutionStatus"] == "Completed"
    assert len(service.records("processing-job")) == 1


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (COMPLETED, "Completed", None),
        (VIOLATED, "CompletedWithViolations", None),
        ("raise SystemExit('s3://bucket/a line 3 is broken')", "Failed", "s3://bucket/a line 3 is broken"),
    ],
)
def test_how_an_execution_ends(clock, hourly, executions, script, status, reason):
    hourly(script)
    clock.set("11:00:00")
    [execution] = executions()
    assert execution["MonitoringExecutionStatus"] == status
    if reason:
        assert reason in execution["FailureReason"]
    clock.set("12:00:00")
    assert len(executions()) == 2, "the next hour runs"


METRICS = """
import json, os
base = os.environ["SAGEMAKER_BASE_DIR"]
os.makedirs(base + "/output/metrics/cloudwatch")
lines = [
    json.dumps({"MetricName": "f1", "Timestamp": "2026-11-20T10:00:00Z", "Value": 0.5,
                "Dimensions": [{"Name": "Endpoint", "Value": "churn"}]}),
    "no metric",
    json.dumps({"MetricName": "f2", "Timestamp": "2026-11-20T10:00:00Z", "Dimensions": [],
                "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}}),
]
with open(base + "/output/metrics/cloudwatch/cloudwatch_metrics.jsonl", "w") as file:
    file.write("\\n".join(lines))
"""


def test_metrics_of_the_users_own_container_reach_cloudwatch(
    clock, hourly, executions, service, monkeypatch, caplog
):
    sent = []

    class CloudWatch:
        def put_metric_data(self, namespace, data):
            sent.append((namespace, data))

    account, region = service.backend.account_id, service.backend.region_name
    monkeypatch.setattr("moto.cloudwatch.models.cloudwatch_backends", {account: {region: CloudWatch()}})
    hourly(METRICS)
    clock.set("11:00:00")
    assert executions()[0]["MonitoringExecutionStatus"] == "Completed"
    [(namespace, data)] = sent
    assert namespace == "aws/sagemaker/Endpoints/data-metrics"
    assert [(datum["MetricName"], datum.get("Value"), datum.get("StatisticValues")) for datum in data] == [
        ("f1", 0.5, None),
        ("f2", None, {"SampleCount": 2.0, "Sum": 3.0, "Minimum": 1.0, "Maximum": 2.0}),
    ]
    assert data[0]["Timestamp"] == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert data[0]["Dimensions"] == [{"Name": "Endpoint", "Value": "churn"}]
    assert "line 2 of cloudwatch_metrics.jsonl is no metric" in caplog.text


def test_stop_start_and_delete(clock, hourly, executions, api, service):
    hourly()
    api("StopMonitoringSchedule", MonitoringScheduleName="watch")
    clock.set("11:00:00")
    assert executions() == []
    api("StartMonitoringSchedule", MonitoringScheduleName="watch")
    assert executions() == [], "the hour in which it was started has begun without it"
    clock.set("12:00:00")
    timer._due(service, service.records("monitoring-schedule")["watch"])
    with pytest.raises(ServiceException, match="2026-11-20T12:00:00Z is in progress"):
        api("DeleteMonitoringSchedule", MonitoringScheduleName="watch")
    assert len(executions()) == 1
    api("DeleteMonitoringSchedule", MonitoringScheduleName="watch")
    with pytest.raises(ServiceException, match=r"Monitoring Schedule .*/watch not found"):
        api("DescribeMonitoringSchedule", MonitoringScheduleName="watch")


def test_a_schedule_waits_for_its_baseline(clock, hourly, executions, api, service, role):
    service.add("processing-job", "base", {"ProcessingJobStatus": "InProgress"})
    hourly(BaselineConfig={"BaseliningJobName": "base"})
    clock.set("11:00:00")
    timer.look(service)
    described = api("DescribeMonitoringSchedule", MonitoringScheduleName="watch")
    assert described["MonitoringScheduleStatus"] == "Pending"
    service.records("processing-job")["base"]["ProcessingJobStatus"] = "Failed"
    timer.look(service)
    described = api("DescribeMonitoringSchedule", MonitoringScheduleName="watch")
    assert described["MonitoringScheduleStatus"] == "Failed"
    assert described["FailureReason"].startswith("The baselining job failed")


def test_an_update_neither_loses_an_hour_that_has_just_come_nor_fires_one_again(
    clock, hourly, executions, api, role
):
    hourly()
    config = {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        "MonitoringJobDefinition": inline(role, VIOLATED),
    }
    clock.set("11:00:00")
    api("UpdateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)
    assert [each["MonitoringExecutionStatus"] for each in executions()] == ["CompletedWithViolations"]
    clock.set("11:30:00")
    api("UpdateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)
    assert len(executions()) == 1


def test_now_takes_in_the_second_it_is_asked_in(clock, endpoint, api, role, service):
    clock.set("10:30:07.250")
    config = {
        "ScheduleConfig": {
            "ScheduleExpression": "NOW", "DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H",
        },
        "MonitoringJobDefinition": inline(role),
    }  # fmt: skip
    api("CreateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)
    timer.look(service)
    [job] = service.records("processing-job").values()
    assert job["Environment"]["start_time"] == "2026-11-20T09:30:08Z"
    assert job["Environment"]["end_time"] == "2026-11-20T10:30:08Z"
    assert not timer._due(service, service.records("monitoring-schedule")["watch"]), "it runs once"


def test_an_execution_keeps_the_definition_it_was_fired_with(clock, hourly, executions, api, service, role):
    hourly(VIOLATED)
    clock.set("11:00:00")
    timer._due(service, service.records("monitoring-schedule")["watch"])
    config = {
        "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
        "MonitoringJobDefinition": inline(role, COMPLETED),
    }
    api("UpdateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)
    [first] = executions()
    clock.set("12:00:00")
    second, _ = executions()
    assert first["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert second["MonitoringExecutionStatus"] == "Completed"


def test_an_endpoint_that_is_gone_fails_the_hour_with_its_name(clock, hourly, executions, service):
    hourly()
    del service.records("endpoint")["churn"]
    clock.set("11:00:00")
    [execution] = executions()
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert execution["FailureReason"].startswith('Could not find endpoint "arn:aws:sagemaker:')


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("cron(0 * ? * * *)", set(range(24))),
        ("cron(0 17 ? * * *)", {17}),
        ("cron(0 0/6 ? * * *)", {0, 6, 12, 18}),
        ("cron(0 0/10 ? * * *)", {0, 10, 20}),
        ("NOW", set()),
    ],
)
def test_expressions(expression, hours):
    assert calendar.hours_of_day(expression) == hours


@pytest.mark.parametrize(
    "text", ["cron(5 * ? * * *)", "cron(0 24 ? * * *)", "rate(1 hour)", "cron(0 3/25 ? * * *)"]
)
def test_expressions_that_sagemaker_does_not_take(text):
    with pytest.raises(ServiceException, match="is not supported"):
        calendar.hours_of_day(text)


@pytest.mark.parametrize(
    ("scheduled", "expression", "offsets", "start", "end"),
    [
        ("20T14", "cron(0 * ? * * *)", (None, None), "20T13", "20T14"),
        ("20T05", "cron(0 5 ? * * *)", (None, None), "19T05", "20T05"),
        ("20T00", "cron(0 0/10 ? * * *)", (None, None), "19T20", "20T00"),
        ("20T13", "cron(0 * ? * * *)", ("-P8D", "-P1D"), "12T13", "19T13"),
        ("20T13", "cron(0 * ? * * *)", ("-PT2D", "-PT6H"), "18T13", "20T07"),
    ],
)
def test_windows(scheduled, expression, offsets, start, end):
    at = [datetime.fromisoformat(f"2026-11-{text}:00:00+00:00") for text in (scheduled, start, end)]
    hours = calendar.hours_of_day(expression)
    assert calendar.window(at[0], hours, 3600, *offsets) == calendar.Window(*at[1:])


def test_a_shorter_hour_shrinks_windows_and_keeps_the_folders_of_the_clock():
    scheduled = datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC)
    window = calendar.window(scheduled, frozenset(range(24)), 30, None, None)
    assert (window.start, window.end) == (scheduled - timedelta(seconds=30), scheduled)
    assert window.folders() == ["2026/11/20/10"]
    window = calendar.window(scheduled, frozenset(), 30, "-PT2H", "-PT0H")
    assert window.folders() == ["2026/11/20/09", "2026/11/20/10"]
    with pytest.raises(ServiceException, match="is not before its end"):
        calendar.window(scheduled, frozenset(), 30, "-PT1H", "-PT2H")
    with pytest.raises(ServiceException, match="'P' is not an ISO 8601 duration"):
        calendar.hours_since("P")


KINDS = {
    "DataQuality": ({"ImageUri": ANALYZER}, {}),
    "ModelQuality": (
        {"ImageUri": ANALYZER, "ProblemType": "BinaryClassification"},
        {"ProbabilityAttribute": "0", "ProbabilityThresholdAttribute": 0.5},
    ),
    "ModelBias": ({"ImageUri": CLARIFY, "ConfigUri": "s3://bucket/config/analysis_config.json"}, {}),
    "ModelExplainability": (
        {"ImageUri": CLARIFY, "ConfigUri": "s3://bucket/config/analysis_config.json"},
        {},
    ),
}


@pytest.fixture
def jobs_of(api, clock, endpoint, service, objects, role, monkeypatch):
    """jobs_of(kind) -> the processing jobs that an hour of such a monitor asks for; none of them is run."""
    objects["labels/2026/11/20/11/0000.jsonl"] = b"{}\n"
    objects["reports/merge/churn/A/2026/11/20/10/part.jsonl"] = b"{}\n"
    asked = []

    def create(service, request):
        validation.check(
            responses.service_model().operation_model("CreateProcessingJob").input_shape, request
        )
        asked.append(request)
        name = request["ProcessingJobName"]
        record = {"ProcessingJobStatus": "Completed", "ProcessingJobArn": service.arn("processing-job", name)}
        service.add("processing-job", name, record)

    monkeypatch.setattr(processing, "create", create)

    def run(kind):
        app, source = KINDS[kind]
        merged = kind in requests.MERGED
        output = {"S3Uri": "s3://bucket/reports", "LocalPath": "/opt/ml/processing/output"}
        clarify = kind in requests.CLARIFY
        api(
            f"Create{kind}JobDefinition",
            **{
                "JobDefinitionName": "watch",
                f"{kind}AppSpecification": app,
                f"{kind}BaselineConfig": {"ConstraintsResource": {"S3Uri": "s3://bucket/base/analysis.json"}}
                if clarify
                else {"ConstraintsResource": {"S3Uri": "s3://bucket/base/constraints.json"}},
                f"{kind}JobInput": {
                    "EndpointInput": {
                        "EndpointName": "churn", "LocalPath": "/opt/ml/processing/input_data", **source,
                    },
                    **({"GroundTruthS3Input": {"S3Uri": "s3://bucket/labels/"}} if merged else {}),
                },
                f"{kind}JobOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
                "JobResources": {
                    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
                },
                "RoleArn": role,
            },
        )  # fmt: skip
        config = {
            "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
            "MonitoringJobDefinitionName": "watch",
            "MonitoringType": kind,
        }
        api("CreateMonitoringSchedule", MonitoringScheduleName="watch", MonitoringScheduleConfig=config)
        clock.set("11:00:05")
        while timer.look(service):
            pass
        return asked

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_jobs_are_asked(jobs_of, kind, api):
    *merges, analysis = jobs_of(kind)
    dashed = {"DataQuality": "data-quality", "ModelQuality": "model-quality", "ModelBias": "model-bias",
              "ModelExplainability": "model-explainability"}[kind]  # fmt: skip
    assert analysis["ProcessingJobName"].startswith(f"{dashed}-monitoring-202611201100-")
    assert len(analysis["ProcessingJobName"]) <= 63
    places = {
        i["InputName"]: (i["S3Input"]["S3Uri"], i["S3Input"]["LocalPath"])
        for i in analysis["ProcessingInputs"]
    }
    environment = analysis["Environment"]
    if kind in requests.MERGED:
        [merge] = merges
        assert merge["ProcessingJobName"].startswith("groundtruth-merge-202611201100-")
        assert merge["AppSpecification"] == {
            "ImageUri": f"{KINDS[kind][0]['ImageUri'].split('/')[0]}/{requests.MERGER_REPOSITORY}"
        }
        assert [(i["InputName"], i["S3Input"]["S3Uri"]) for i in merge["ProcessingInputs"]] == [
            ("groundtruth_input_1", "s3://bucket/labels/2026/11/20/11"),
            ("endpoint_input_1", "s3://bucket/captured/churn/A/2026/11/20/10"),
        ]
        assert (
            merge["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] == "s3://bucket/reports/merge"
        )
        records = "s3://bucket/reports/merge/churn/A/2026/11/20/10"
        assert "sagemakerMergeJson" in json.loads(environment["dataset_format"])
    else:
        assert merges == []
        records = "s3://bucket/captured/churn/A/2026/11/20/10"
        assert json.loads(environment["dataset_format"]) == {
            "sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}
        }
    assert places["endpoint_input_1"] == (records, "/opt/ml/processing/input_data/churn/A/2026/11/20/10")
    assert environment["start_time"] == environment["metric_time"] == "2026-11-20T10:00:00Z"
    assert environment["end_time"] == "2026-11-20T11:00:00Z"
    assert environment["sagemaker_endpoint_name"] == "churn"
    assert environment["sagemaker_monitoring_schedule_name"] == "watch"
    assert environment["publish_cloudwatch_metrics"] == "Enabled"
    if kind in requests.CLARIFY:
        assert environment["baseline_constraints"] == "/opt/ml/processing/baseline/constraints/analysis.json"
        assert environment["analysis_config"] == "/opt/ml/processing/input/config/analysis_config.json"
    else:
        assert (
            environment["baseline_constraints"] == "/opt/ml/processing/baseline/constraints/constraints.json"
        )
    assert ("analysis_type" in environment) == (kind == "ModelQuality")
    if kind == "ModelQuality":
        assert environment["problem_type"] == "BinaryClassification"
        assert (environment["probability_attribute"], environment["probability_threshold_attribute"]) == (
            "0",
            "0.5",
        )
    with pytest.raises(ServiceException, match="is used by the schedule watch"):
        api(f"Delete{kind}JobDefinition", JobDefinitionName="watch")
    [summary] = api(f"List{kind}JobDefinitions", EndpointName="churn")["JobDefinitionSummaries"]
    assert summary["MonitoringJobDefinitionArn"].endswith(f"{dashed}-job-definition/watch")
    assert api(f"List{kind}JobDefinitions", EndpointName="other")["JobDefinitionSummaries"] == []
