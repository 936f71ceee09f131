"""Processing jobs through boto3."""

import json


def test_inputs_arguments_outputs_and_the_exit_message(sm, s3, bucket, customers, cases, name):
    script = (
        "import json, pathlib, sys; source, target, message = map(pathlib.Path, sys.argv[1:]); "
        "rows = (source / 'part.csv').read_text().splitlines(); "
        "(target / 'report.json').write_text(json.dumps({'rows': len(rows)})); "
        "message.write_text('Completed: 400 rows.')"
    )
    folder = "/opt/ml/processing"
    request = cases.processing(
        name,
        script,
        ProcessingInputs=[
            {
                "InputName": "train",
                "S3Input": {
                    "S3Uri": f"s3://{bucket}/data/train/part.csv",
                    "LocalPath": f"{folder}/input/train",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "report",
                    "S3Output": {
                        "S3Uri": f"s3://{bucket}/{name}/report",
                        "LocalPath": f"{folder}/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )
    request["AppSpecification"]["ContainerArguments"] = [
        f"{folder}/input/train", f"{folder}/output", "/opt/ml/output/message",
    ]  # fmt: skip
    sm.create_processing_job(**request)
    sm.get_waiter("processing_job_completed_or_stopped").wait(ProcessingJobName=name, WaiterConfig=cases.fast)
    job = sm.describe_processing_job(ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ExitMessage"] == "Completed: 400 rows."
    assert job["AppSpecification"] == request["AppSpecification"]
    report = s3.get_object(Bucket=bucket, Key=f"{name}/report/report.json")["Body"].read()
    assert json.loads(report) == {"rows": 400}


def test_a_failure_ends_with_the_last_line_of_the_real_error(sm, cases, name):
    script = "print('before'); raise ValueError('customers.csv, line 7, column day_mins: not a number: abc')"
    sm.create_processing_job(**cases.processing(name, script))
    job = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: ValueError: customers.csv, line 7, column day_mins: not a number: abc, exit code: 1"
    )


def test_a_job_reaches_the_api_as_any_client_does(sm, s3, bucket, cases, name):
    put = f"put_object(Bucket='{bucket}', Key='{name}/hello', Body=b'from a job')"
    script = f"import boto3; boto3.client('s3').{put}"
    sm.create_processing_job(**cases.processing(name, script))
    job = cases.ended(sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert s3.get_object(Bucket=bucket, Key=f"{name}/hello")["Body"].read() == b"from a job"


def test_a_stop_and_a_limit_end_stopped(sm, cases, name):
    for suffix, runtime in (("stop", 300), ("limit", 1)):
        sm.create_processing_job(
            **cases.processing(f"{name}-{suffix}", "import time; time.sleep(61)", runtime)
        )
    sm.stop_processing_job(ProcessingJobName=f"{name}-stop")
    reasons = {}
    for suffix in ("stop", "limit"):
        job = cases.ended(
            sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=f"{name}-{suffix}"
        )
        assert job["ProcessingJobStatus"] == "Stopped"
        reasons[suffix] = job.get("FailureReason")
    assert reasons == {"stop": None, "limit": "The job ran longer than MaxRuntimeInSeconds (1 s)."}
