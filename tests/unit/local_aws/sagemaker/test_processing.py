"""Processing jobs over a fake supervisor: folder layout, rewriting, outputs, ends."""

import json

import pytest
from moto.core.exceptions import ServiceException

from local_aws.services.sagemaker import jobs
from local_aws.services.sagemaker.processing import PROCESSING

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
DONE = ("Completed", "Failed", "Stopped")


def request(role, script, *, arguments=(), name="job", runtime=60, inputs=True, **more):
    given = {
        "ProcessingJobName": name,
        "RoleArn": role,
        "AppSpecification": {
            "ImageUri": XGBOOST,
            "ContainerEntrypoint": ["python3", "-c", script],
            "ContainerArguments": list(arguments),
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
        },
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "result",
                    "S3Output": {
                        "S3Uri": "s3://bucket/out",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": runtime},
        **more,
    }
    if inputs:
        given["ProcessingInputs"] = [
            {
                "InputName": "raw",
                "S3Input": {
                    "S3Uri": "s3://bucket/raw/",
                    "LocalPath": "/opt/ml/processing/input/raw",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ]
    return given


@pytest.fixture(autouse=True)
def raw(objects):
    objects["raw/a.csv"] = b"1,2\n"
    objects["raw/deep/b.csv"] = b"3,4\n"


def run(api, given):
    api("CreateProcessingJob", **given)
    return api.wait(
        "DescribeProcessingJob", "ProcessingJobStatus", DONE, ProcessingJobName=given["ProcessingJobName"]
    )


def test_arguments_and_environment_are_moved_to_the_jobs_own_folder(api, role, objects):
    script = (
        "import sys, os, pathlib\n"
        "source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2].split('=')[1])\n"
        "assert pathlib.Path(os.environ['CONFIG']).is_dir(), os.environ['CONFIG']\n"
        "text = ''.join(p.read_text() for p in sorted(source.rglob('*.csv')))\n"
        "(target / 'sub').mkdir()\n"
        "(target / 'sub' / 'all.csv').write_text(text)\n"
    )
    given = request(
        role,
        script,
        arguments=["/opt/ml/processing/input/raw", "--to=/opt/ml/processing/output"],
        Environment={"CONFIG": "/opt/ml/config"},
    )
    job = run(api, given)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert objects["out/sub/all.csv"] == b"1,2\n3,4\n"
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert job["AppSpecification"]["ContainerArguments"][0] == "/opt/ml/processing/input/raw"


def test_the_configuration_is_where_a_processing_container_looks(api, role, objects):
    script = (
        "import os, pathlib, shutil\n"
        "base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"
        "shutil.copy(base / 'config' / 'processingjobconfig.json', base / 'processing' / 'output')\n"
    )
    job = run(api, request(role, script))
    config = json.loads(objects["out/processingjobconfig.json"])
    assert config["ProcessingJobArn"] == job["ProcessingJobArn"]
    assert config["ProcessingInputs"][0]["AppManaged"] is False
    assert config["Environment"] is None


def test_a_failed_job_says_its_last_line_and_still_uploads_its_outputs(api, role, objects):
    script = (
        "import os, pathlib\n"
        "base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"
        "(base / 'processing/output/report.json').write_text('{}')\n"
        "raise ValueError('line 3, column Churn?: boom')\n"
    )
    job = run(api, request(role, script))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: ValueError: line 3, column Churn?: boom, exit code: 1"
    assert objects["out/report.json"] == b"{}"


def test_the_exit_message_is_reported_and_cut_at_1_kb(api, role):
    script = (
        "import os, pathlib, sys\n"
        "(pathlib.Path(os.environ['SAGEMAKER_BASE_DIR']) / 'output/message').write_text('x' * 3000)\n"
        "sys.exit(3)\n"
    )
    job = run(api, request(role, script))
    assert job["ExitMessage"] == "x" * 1024
    assert job["FailureReason"].startswith("AlgorithmError: xxx")
    assert job["FailureReason"].endswith("x, exit code: 3")
    assert len(job["FailureReason"]) == 1024


def test_a_job_past_its_limit_is_stopped_and_says_so(api, role):
    job = run(api, request(role, "import time; time.sleep(60)", runtime=1))
    assert job["ProcessingJobStatus"] == "Stopped"
    assert job["FailureReason"] == "The job ran longer than MaxRuntimeInSeconds (1 s)."


def test_a_stopped_job_leaves_no_process(api, service, role):
    api("CreateProcessingJob", **request(role, "import time; print('up', flush=True); time.sleep(60)"))
    api.wait(
        "DescribeProcessingJob", "SecondaryStatus", ("Training",), ProcessingJobName="job"
    )  # the process has been started
    api("StopProcessingJob", ProcessingJobName="job")
    job = api.wait("DescribeProcessingJob", "ProcessingJobStatus", DONE, ProcessingJobName="job")
    assert job["ProcessingJobStatus"] == "Stopped"
    assert not service.context.supervisor.is_running("us-east-1/processing-job/job")


def test_a_killed_process_fails_with_its_signal(api, service, role):
    api("CreateProcessingJob", **request(role, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    job = api.wait("DescribeProcessingJob", "ProcessingJobStatus", DONE, ProcessingJobName="job")
    assert job["FailureReason"] == "AlgorithmError: the process was killed by SIGKILL, exit code: 137"


def test_a_name_is_used_once(api, role):
    given = request(role, "pass")
    run(api, given)
    with pytest.raises(ServiceException, match="ResourceInUse: Job name must be unique"):
        api("CreateProcessingJob", **given)


def test_no_objects_is_refused_with_awss_text(api, role, objects):
    objects.clear()
    with pytest.raises(ServiceException, match='No S3 objects found under S3 URL "s3://bucket/raw/"'):
        api("CreateProcessingJob", **request(role, "pass"))


@pytest.mark.parametrize("path", ["/opt/ml/processing/../../etc", "/etc", "/opt/ml/processing"])
def test_a_local_path_outside_the_jobs_folder_is_refused(api, role, path):
    given = request(role, "pass")
    given["ProcessingInputs"][0]["S3Input"]["LocalPath"] = path
    with pytest.raises(ServiceException, match="must begin with /opt/ml/processing/"):
        api("CreateProcessingJob", **given)


def test_a_key_that_leaves_the_folder_fails_the_job(api, role, objects):
    objects["raw/../../../evil.csv"] = b"x"
    job = run(api, request(role, "pass"))
    assert job["ProcessingJobStatus"] == "Failed"
    assert (
        "s3://bucket/raw/../../../evil.csv would be written outside the job's folder" in job["FailureReason"]
    )


def test_an_image_without_a_command_is_refused_by_name(api, role):
    given = request(role, "pass")
    given["AppSpecification"] = {"ImageUri": "1.dkr.ecr.us-east-1.amazonaws.com/mystery:1"}
    with pytest.raises(ServiceException, match="mystery:1 is not known to local AWS"):
        api("CreateProcessingJob", **given)


def resumed(api, service, given, **members):
    """What becomes of a job that an earlier server knew, and of which nothing runs any more."""
    record = {**given, "ProcessingJobStatus": "InProgress", "_stream": "job/algo-1-0", **members}
    service.add("processing-job", "job", record)
    jobs.resume(service, PROCESSING)
    return api.wait("DescribeProcessingJob", "ProcessingJobStatus", DONE, ProcessingJobName="job")


def test_a_job_that_was_lost_fails_with_a_reason(api, service, role):
    job = resumed(api, service, request(role, "pass"), ProcessingStartTime=service.now())
    assert job["ProcessingJobStatus"] == "Failed"
    assert "local AWS was stopped while the job was running" in job["FailureReason"]


def test_a_job_whose_process_had_not_begun_is_started(api, service, role, objects):
    script = (
        "import os, pathlib\n"
        "(pathlib.Path(os.environ['SAGEMAKER_BASE_DIR']) / 'processing/output/ran').write_text('yes')\n"
    )
    job = resumed(api, service, request(role, script))
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert objects["out/ran"] == b"yes"
