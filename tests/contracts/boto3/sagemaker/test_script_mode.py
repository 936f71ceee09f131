"""Training with the user's own script on the framework images: source, requirements, checkpoints, spot."""

import io
import json
import tarfile
import time

import pytest
from botocore.exceptions import ClientError

FITS = """
import argparse, json, os
from sklearn.linear_model import LinearRegression
import rows

parser = argparse.ArgumentParser()
parser.add_argument("--intercept", type=lambda text: text == "True")
model = LinearRegression(fit_intercept=parser.parse_args().intercept)
features, labels = rows.read(os.environ["SM_CHANNEL_TRAIN"])
model.fit(features, labels)
print(f"r2={model.score(features, labels):.6f};")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    json.dump({"slope": list(model.coef_), "intercept": model.intercept_}, file)
"""
ROWS = """
import pathlib
import numpy

def read(folder):
    table = numpy.vstack([numpy.loadtxt(file, delimiter=",") for file in pathlib.Path(folder).iterdir()])
    return table[:, 1:], table[:, 0]
"""
COUNTS = """
import os, pathlib, time
folder = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"]) / "checkpoints"
begin = max([int(path.name) for path in folder.iterdir()] or [0])
(folder / str(begin + 1)).write_text("state")
print(f"from={begin};", flush=True)
while begin == 0:
    time.sleep(0.1)
"""


@pytest.fixture
def request_for(s3, bucket, cases, name):
    """A training request as the SDK's framework estimators write it: every hyperparameter is JSON."""

    def make(program, files, hyperparameters=None, **more):
        s3.put_object(Bucket=bucket, Key=f"{name}/sourcedir.tar.gz", Body=cases.archive(files))
        given = {
            "sagemaker_program": program,
            "sagemaker_submit_directory": f"s3://{bucket}/{name}/sourcedir.tar.gz",
            **(hyperparameters or {}),
        }
        return {
            "TrainingJobName": name,
            "RoleArn": cases.role,
            "AlgorithmSpecification": {
                "TrainingImage": cases.sklearn,
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": "r2", "Regex": "r2=([0-9.]+);"},
                    {"Name": "from", "Regex": "from=([0-9]+);"},
                ],
            },
            "HyperParameters": {key: json.dumps(value) for key, value in given.items()},
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{name}/out"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            **more,
        }

    return make


def test_a_source_folder_with_its_requirements_trains(sm, s3, bucket, request_for, cases, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/train/rows.csv", Body=b"3,1\n5,2\n7,3\n")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/train"}
    files = {"fit.py": FITS, "rows.py": ROWS, "requirements.txt": "scikit-learn\nnumpy>=1\n"}
    sm.create_training_job(
        **request_for("fit.py", files, {"intercept": True}),
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        Tags=[{"Key": "team", "Value": "churn"}],
    )
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("r2", 1.0)]
    model = s3.get_object(Bucket=bucket, Key=f"{name}/out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        file = archive.extractfile("model.json")
        assert file is not None
        learned = json.load(file)
    assert learned == {"slope": [pytest.approx(2)], "intercept": pytest.approx(1)}
    assert sm.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "team", "Value": "churn"}]


def test_a_requirement_that_cannot_be_had_fails_the_job_naming_it(sm, request_for, cases, name):
    files = {"fit.py": "", "requirements.txt": "--no-index\nno-such-package-at-all==9\n"}
    sm.create_training_job(**request_for("fit.py", files))
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    assert "InstallRequirementsError" in job["FailureReason"]
    assert "no-such-package-at-all==9 could not be installed" in job["FailureReason"]


def test_checkpoints_are_published_while_the_job_runs_and_restored_for_the_next(
    sm, s3, bucket, request_for, cases, name
):
    where = {"CheckpointConfig": {"S3Uri": f"s3://{bucket}/{name}/checkpoints"}}
    request = request_for("count.py", {"count.py": COUNTS}, **where)
    sm.create_training_job(**request)
    deadline = time.monotonic() + 60
    while not s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/checkpoints/").get("Contents"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert sm.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
    sm.stop_training_job(TrainingJobName=name)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Stopped"

    sm.create_training_job(**{**request, "TrainingJobName": f"{name}-2"})
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=f"{name}-2")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [m["Value"] for m in job["FinalMetricDataList"]] == [1.0]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/checkpoints/")["Contents"]]
    assert keys == [f"{name}/checkpoints/1", f"{name}/checkpoints/2"]


def test_spot_fields_are_checked_and_kept(sm, request_for, cases, name):
    request = request_for("a.py", {"a.py": "pass"}, EnableManagedSpotTraining=True)
    with pytest.raises(ClientError, match="Invalid MaxWaitTimeInSeconds"):
        sm.create_training_job(**request)
    request["StoppingCondition"]["MaxWaitTimeInSeconds"] = 240
    sm.create_training_job(**request)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] == 240
    assert 1 <= job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]
    del request["EnableManagedSpotTraining"]
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds can only be given with"):
        sm.create_training_job(**request)


def test_a_warm_pool_is_refused_by_name(sm, request_for, name):
    request = request_for("a.py", {"a.py": "pass"})
    request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = 600
    with pytest.raises(ClientError, match="The parameter KeepAlivePeriodInSeconds is not supported"):
        sm.create_training_job(**request)


HOSTS = """
import json, os, pathlib, sys
host, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
rows = sorted(path.name for path in pathlib.Path(os.environ["SM_CHANNEL_ROWS"]).iterdir())
both = sorted(path.name for path in pathlib.Path(os.environ["SM_CHANNEL_BOTH"]).iterdir())
if host == os.environ.get("FAILS"):
    raise ValueError("this host fails")
said = {"hosts": hosts, "rows": rows, "both": both}
(pathlib.Path(os.environ["SM_MODEL_DIR"]) / f"{host}.json").write_text(json.dumps(said))
"""


@pytest.fixture
def two_hosts(s3, bucket, request_for, name):
    """A request for two instances: one channel is shared out between them, the other is given to both."""
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=f"{name}/rows/{key}", Body=b"1")

    def channel(kind, distribution):
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://{bucket}/{name}/rows",
            "S3DataDistributionType": distribution,
        }
        return {"ChannelName": kind, "DataSource": {"S3DataSource": source}}

    request = request_for("hosts.py", {"hosts.py": HOSTS})
    request["ResourceConfig"]["InstanceCount"] = 2
    request["InputDataConfig"] = [channel("rows", "ShardedByS3Key"), channel("both", "FullyReplicated")]
    return request


def test_two_instances_share_out_the_objects_and_make_one_model(sm, s3, bucket, two_hosts, cases, name):
    sm.create_training_job(**two_hosts)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = s3.get_object(Bucket=bucket, Key=f"{name}/out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as archive:
        said = {m.name: json.loads(file.read()) for m in archive if (file := archive.extractfile(m))}
    hosts = {"hosts": ["algo-1", "algo-2"], "both": ["a", "b", "c"]}
    assert said == {
        "algo-1.json": {**hosts, "rows": ["a", "c"]},
        "algo-2.json": {**hosts, "rows": ["b"]},
    }


def test_a_host_that_fails_fails_the_job_by_its_name(sm, two_hosts, cases, name):
    sm.create_training_job(**two_hosts, Environment={"FAILS": "algo-2"})
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: algo-2: ExecuteUserScriptError")


def test_more_instances_than_there_are_are_refused(sm, two_hosts):
    two_hosts["ResourceConfig"]["InstanceCount"] = 5
    with pytest.raises(ClientError, match="is 4 Instances") as caught:
        sm.create_training_job(**two_hosts)
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_a_job_is_tracked_in_the_trial_that_it_names(sm, request_for, cases, name):
    where = {"ExperimentName": name, "TrialName": f"{name}-trial", "TrialComponentDisplayName": "Training"}
    request = request_for("a.py", {"a.py": "pass"}, {"eta": 0.2}, ExperimentConfig=where)
    with pytest.raises(ClientError, match="Could not find experiment"):
        sm.create_training_job(**request)
    sm.create_experiment(ExperimentName=name)
    sm.create_trial(TrialName=f"{name}-trial", ExperimentName=name)
    sm.create_training_job(**request)
    job = cases.ended(sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    [listed] = sm.list_trial_components(TrialName=f"{name}-trial")["TrialComponentSummaries"]
    assert listed["TrialComponentName"] == f"{name}-aws-training-job"
    component = sm.describe_trial_component(TrialComponentName=listed["TrialComponentName"])
    assert component["DisplayName"] == "Training"
    assert component["Parameters"]["eta"] == {"NumberValue": 0.2}
    assert component["Status"]["PrimaryStatus"] == job["TrainingJobStatus"] == "Completed"
