"""Training jobs through boto3: values, metrics, logs, ends."""

import os
import signal
import time

import psutil
import pytest
from botocore.exceptions import ClientError


def test_the_model_learns_and_reports_its_metrics(trained, customers, local_aws):
    job = trained.job
    final = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert set(final) == {"train:auc", "train:logloss", "validation:auc", "validation:logloss"}
    assert final["validation:auc"] > 0.9
    labels = [row[0] for row in customers[400:]]
    positive = [p for p, label in zip(trained.scores, labels, strict=True) if label]
    negative = [p for p, label in zip(trained.scores, labels, strict=True) if not label]
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert sum(pairs) / len(pairs) == pytest.approx(final["validation:auc"], abs=5e-6)
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert job["ResourceConfig"]["InstanceType"] == "ml.m6i.large"
    statistics = local_aws.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="validation:auc",
        Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
        StartTime=job["CreationTime"],
        EndTime=job["TrainingEndTime"].timestamp() + 60,
        Period=3600,
        Statistics=["SampleCount", "Maximum"],
    )["Datapoints"]
    assert sum(point["SampleCount"] for point in statistics) == 20


def test_two_instances_with_half_the_objects_each_train_one_model(
    sm, s3, bucket, customers, trained, cases, name
):
    request = cases.training(bucket, name)
    request["ResourceConfig"] = {**request["ResourceConfig"], "InstanceCount": 2}
    for half in (0, 1):
        s3.put_object(Bucket=bucket, Key=f"{name}/{half}.csv", Body=cases.csv(customers[half:400:2]))
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source.update(S3Uri=f"s3://{bucket}/{name}/", S3DataDistributionType="ShardedByS3Key")
    sm.create_training_job(**request)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    reached, alone = (
        {metric["MetricName"]: metric["Value"] for metric in each["FinalMetricDataList"]}
        for each in (job, trained.job)
    )
    # The same rows in other histograms. The validation channel is whole on both hosts.
    assert reached["validation:auc"] == pytest.approx(alone["validation:auc"], abs=0.02)
    assert reached["train:logloss"] == pytest.approx(alone["train:logloss"], abs=0.02)


def test_the_log_carries_every_round_with_tabs_as_the_service_stores_them(trained, local_aws):
    logs = local_aws.client("logs")
    group, name = "/aws/sagemaker/TrainingJobs", trained.job["TrainingJobName"]
    [stream] = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=name + "/", orderBy="LogStreamName"
    )["logStreams"]
    assert stream["logStreamName"].startswith(f"{name}/algo-1-")
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    rounds = [event["message"] for event in events if event["message"].startswith("[")]
    assert len([line for line in rounds if "#011validation-auc:" in line]) == 20


def test_a_bad_hyperparameter_fails_with_the_algorithms_own_words(sm, bucket, customers, cases, name):
    request = cases.training(bucket, name, HyperParameters={"num_round": "5", "eta": "2.0"})
    sm.create_training_job(**request)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert "Hyperparameter eta: value 2.0 not in range [0, 1]" in job["FailureReason"]
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert job["FailureReason"].endswith(", exit code: 1")


def sleeping(cases, bucket, name, **more):
    """A training job that runs for a minute, with a child of its own."""
    request = cases.training(bucket, name, **more)
    script = "import subprocess, time; print('up'); subprocess.Popen(['sleep', '61.5']); time.sleep(61)"
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python3", "-c", script]
    return request


def wait_until_running(sm, name):
    deadline = time.monotonic() + 30
    while sm.describe_training_job(TrainingJobName=name)["SecondaryStatus"] != "Training":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return find_processes(name, at_least=1)


def find_processes(name, at_least=0):
    """Processes that carry the job's name in their environment: the job and its children, and nobody else."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TRAINING_JOB_NAME") == name:
                    found.append(process)
            except psutil.Error:
                continue
        if len(found) >= at_least or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def wait_until_gone(name):
    deadline = time.monotonic() + 10
    while find_processes(name):
        assert time.monotonic() < deadline, find_processes(name)
        time.sleep(0.05)


def test_a_stopped_job_leaves_no_process(sm, bucket, customers, cases, name):
    sm.create_training_job(**sleeping(cases, bucket, name))
    wait_until_running(sm, name)
    sm.stop_training_job(TrainingJobName=name)
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=cases.fast)
    job = sm.describe_training_job(TrainingJobName=name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    wait_until_gone(name)


def test_a_job_past_its_limit_is_stopped(sm, bucket, customers, cases, name):
    sm.create_training_job(**sleeping(cases, bucket, name, StoppingCondition={"MaxRuntimeInSeconds": 1}))
    sm.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=cases.fast)
    job = sm.describe_training_job(TrainingJobName=name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    wait_until_gone(name)


def test_a_killed_process_fails_the_job_with_its_signal(sm, bucket, customers, cases, name):
    sm.create_training_job(**sleeping(cases, bucket, name))
    for process in wait_until_running(sm, name):
        os.kill(process.pid, signal.SIGKILL)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    assert "killed by SIGKILL" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 137")
    wait_until_gone(name)


def test_what_aws_refuses_is_refused_with_its_codes(sm, bucket, customers, cases, trained, name):
    def code(operation, **request):
        with pytest.raises(ClientError) as caught:
            getattr(sm, operation)(**request)
        return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]

    again = cases.training(bucket, trained.job["TrainingJobName"])
    kind, text = code("create_training_job", **again)
    assert kind == "ResourceInUse"
    assert text.startswith("Training job names must be unique within an AWS account and region")

    empty = cases.training(bucket, name)
    empty["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{bucket}/nothing/"
    kind, text = code("create_training_job", **empty)
    assert kind == "ValidationException"
    assert text.startswith(
        f'No S3 objects found under S3 URL "s3://{bucket}/nothing/" given in input data source.'
    )

    assert code("describe_training_job", TrainingJobName=name) == (
        "ValidationException",
        "Requested resource not found.",
    )
    many = {"InstanceCount": 5, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
    assert (
        code("create_training_job", **cases.training(bucket, name, ResourceConfig=many))[0]
        == "ResourceLimitExceeded"
    )
    bad = cases.training(bucket, name, RoleArn="arn:aws:iam::1:role/nobody-knows")
    assert "Member must satisfy regular expression pattern" in code("create_training_job", **bad)[1]
    for image in ("sagemaker-xgboost:latest", "my-own:1"):
        request = cases.training(bucket, name)
        request["AlgorithmSpecification"]["TrainingImage"] = f"1.dkr.ecr.us-east-1.amazonaws.com/{image}"
        kind, text = code("create_training_job", **request)
        assert kind == "ValidationException"
        assert image in text
    with pytest.raises(ClientError, match="Requested resource not found"):
        sm.describe_training_job(TrainingJobName=name)


def test_lists_are_paged_filtered_and_sorted(sm, trained):
    pages = sm.get_paginator("list_training_jobs").paginate(
        StatusEquals="Completed", SortBy="Name", PaginationConfig={"PageSize": 1}
    )
    names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    assert names == sorted(names)
    assert trained.job["TrainingJobName"] in names
    [only] = sm.list_training_jobs(NameContains=trained.job["TrainingJobName"])["TrainingJobSummaries"]
    assert only["TrainingJobStatus"] == "Completed"


def test_tags(sm, bucket, customers, cases, name):
    request = sleeping(cases, bucket, name, Tags=[{"Key": "run", "Value": "1"}])
    arn = sm.create_training_job(**request)["TrainingJobArn"]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "ml"}])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "run", "Value": "1"},
        {"Key": "team", "Value": "ml"},
    ]
    sm.delete_tags(ResourceArn=arn, TagKeys=["run"])
    assert sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "ml"}]
    sm.stop_training_job(TrainingJobName=name)


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_a_job_survives_a_kill_of_the_server_and_fails_with_its_orderly_stop(new_local_aws, cases, kill):
    server = new_local_aws()
    sm = server.client("sagemaker")
    script = "import time; print('begin'); time.sleep(4); print('end')"
    sm.create_processing_job(**cases.processing("job", script))
    logs, group = server.client("logs"), "/aws/sagemaker/ProcessingJobs"

    def log():
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job/")["logStreams"]
        events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"])["events"]
        return [event["message"] for event in events]

    wait_for_first_line(log, logs.exceptions.ResourceNotFoundException)
    server.restart(kill=kill)
    job = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName="job")
    if kill:
        assert job["ProcessingJobStatus"] == "Completed"
    else:
        assert job["ProcessingJobStatus"] == "Failed"
        assert "local AWS was stopped while the job was running" in job["FailureReason"]
    assert log()[:2] == (["begin", "end"] if kill else ["begin"])


def wait_for_first_line(log, missing):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if log():
                return
        except missing:
            time.sleep(0.05)
    raise AssertionError("the job wrote nothing")
