"""Training jobs: the container contract, metrics from the log, artefacts and ends."""

import io
import json
import tarfile

import pytest
from moto.core.exceptions import ServiceException

from local_aws.services.sagemaker import metrics

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
DONE = ("Completed", "Failed", "Stopped")


def request(role, script, *, name="job", runtime=60, **more):
    return {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": XGBOOST,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", script],
        },
        "HyperParameters": {"num_round": "100"},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/train"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/model/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m6i.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": runtime},
        **more,
    }


@pytest.fixture(autouse=True)
def data(objects):
    objects["data/train/part-0.csv"] = b"1,2\n"
    objects["data/training-notes.txt"] = b"a prefix is no folder"


def run(api, given):
    api("CreateTrainingJob", **given)
    return api.wait(
        "DescribeTrainingJob", "TrainingJobStatus", DONE, TrainingJobName=given["TrainingJobName"]
    )


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in found.items() if file}


BASE = "import os, pathlib, json\nbase = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"


def test_the_container_contract_and_the_artefacts(api, role, objects):
    script = BASE + (
        "config = base / 'input/config'\n"
        "seen = {p.name: json.loads(p.read_text()) for p in config.iterdir()}\n"
        "files = [p for p in (base / 'input/data').rglob('*') if p.is_file()]\n"
        "seen['files'] = sorted(str(p.relative_to(base)) for p in files)\n"
        "seen['name'] = os.environ['TRAINING_JOB_NAME']\n"
        "(base / 'model/xgboost-model').write_text('the model')\n"
        "(base / 'output/data/seen.json').write_text(json.dumps(seen))\n"
    )
    job = run(api, request(role, script))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed", job.get("FailureReason")
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": "s3://bucket/model/job/output/model.tar.gz"}
    assert members(objects["model/job/output/model.tar.gz"]) == {"xgboost-model": b"the model"}
    seen = json.loads(members(objects["model/job/output/output.tar.gz"])["seen.json"])
    assert seen["hyperparameters.json"] == {"num_round": "100"}
    assert seen["inputdataconfig.json"] == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        }
    }
    assert seen["resourceconfig.json"]["hosts"] == ["algo-1"]
    assert seen["files"] == ["input/data/train/part-0.csv", "input/data/train/training-notes.txt"]
    assert seen["name"] == "job"
    assert [t["Status"] for t in job["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert all("EndTime" in t for t in job["SecondaryStatusTransitions"])
    assert job["BillableTimeInSeconds"] >= 1


LOG = (
    "print('[0]\\ttrain-logloss:0.60000\\tvalidation-logloss:0.61000')\n"
    "print('[1]\\ttrain-logloss:0.40000\\tvalidation-logloss:nan')\n"
    "print('mine=1.5')\n"
)


def test_metrics_are_read_from_the_stored_form_of_the_log(api, role):
    given = request(role, LOG)
    given["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "mine", "Regex": "mine=([0-9.]+)"},
        {"Name": "loss", "Regex": r".*#011validation-logloss:(\S+)"},
    ]
    job = run(api, given)
    assert {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]} == {"mine": 1.5, "loss": 0.61}


def test_the_built_in_algorithm_brings_its_own_definitions(service, api, role):
    definitions = metrics.built_in_definitions(XGBOOST)
    assert len(definitions) <= 40
    record = {
        "TrainingJobName": "job",
        "AlgorithmSpecification": {"TrainingImage": XGBOOST, "MetricDefinitions": definitions},
    }
    reader = metrics.Reader(service, record)
    reader.feed("[7]#011train-logloss:0.40000#011validation-logloss:4.5e-01#011validation-auc:0.91234")
    assert {m["MetricName"]: m["Value"] for m in metrics.final(service, record)} == {
        "train:logloss": 0.4,
        "validation:logloss": 0.45,
        "validation:auc": 0.91234,
    }
    given = request(role, "pass")
    del given["AlgorithmSpecification"]["ContainerEntrypoint"]
    given["AlgorithmSpecification"]["MetricDefinitions"] = definitions[:1]
    with pytest.raises(ServiceException, match="You can't override the metric definitions"):
        api("CreateTrainingJob", **given)


def test_the_failure_file_is_the_reason(api, role, objects):
    script = BASE + "(base / 'output/failure').write_text('label out of range')\nraise SystemExit(1)\n"
    job = run(api, request(role, script))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: label out of range, exit code: 1"
    assert "model/job/output/model.tar.gz" not in objects


def test_past_its_limit_a_job_stops_and_keeps_its_model(api, role, objects):
    script = BASE + "(base / 'model/m').write_text('so far')\nimport time; time.sleep(60)\n"
    job = run(api, request(role, script, runtime=2))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert members(objects["model/job/output/model.tar.gz"]) == {"m": b"so far"}


def test_a_stop_keeps_the_model_so_far(api, service, role, objects):
    script = BASE + "(base / 'model/m').write_text('so far')\nprint('up')\nimport time; time.sleep(60)\n"
    api("CreateTrainingJob", **request(role, script))
    base = service.context.data_dir / "sagemaker/us-east-1/training-job/job/ml"
    api.wait("DescribeTrainingJob", "SecondaryStatus", ("Training",), TrainingJobName="job")
    while not (base / "model/m").exists() or (base / "model/m").read_text() != "so far":
        pass
    api("StopTrainingJob", TrainingJobName="job")
    job = api.wait("DescribeTrainingJob", "TrainingJobStatus", DONE, TrainingJobName="job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert members(objects["model/job/output/model.tar.gz"]) == {"m": b"so far"}
    assert not service.context.supervisor.is_running("us-east-1/training-job/job")


def test_a_stop_before_the_process_starts_never_starts_it(api, service, role):
    with service.lock:  # the job's thread waits here
        api("CreateTrainingJob", **request(role, "pass"))
        api("StopTrainingJob", TrainingJobName="job")
    job = api.wait("DescribeTrainingJob", "TrainingJobStatus", DONE, TrainingJobName="job")
    assert job["TrainingJobStatus"] == "Stopped"
    assert service.context.supervisor.jobs == {}


def test_checkpoints_are_restored_and_saved(api, role, objects):
    objects["ckpt/xgboost-checkpoint.3"] = b"three"
    script = BASE + (
        "config = json.loads((base / 'input/config/checkpointconfig.json').read_text())\n"
        "local = pathlib.Path(config['LocalPath'])\n"
        "assert (local / 'xgboost-checkpoint.3').read_text() == 'three'\n"
        "(local / 'xgboost-checkpoint.4').write_text('four')\n"
    )
    job = run(api, request(role, script, CheckpointConfig={"S3Uri": "s3://bucket/ckpt"}))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert objects["ckpt/xgboost-checkpoint.4"] == b"four"


def test_a_gzip_channel_is_expanded_and_a_truncated_one_is_named(api, role, objects):
    import gzip

    objects.clear()
    objects["data/train/a.csv.gz"] = gzip.compress(b"1,2\n" * 1000)
    given = request(role, BASE + "assert (base / 'input/data/train/a.csv').stat().st_size == 4000\n")
    given["InputDataConfig"][0]["CompressionType"] = "Gzip"
    assert run(api, given)["TrainingJobStatus"] == "Completed"
    objects["data/train/a.csv.gz"] = objects["data/train/a.csv.gz"][:20]
    job = run(api, {**given, "TrainingJobName": "again"})
    assert job["FailureReason"].startswith(
        "ClientError: s3://bucket/data/train/a.csv.gz is not a complete gzip file"
    )


def test_a_manifest_names_its_objects(api, role, objects):
    objects["m.manifest"] = json.dumps([{"prefix": "s3://bucket/data/"}, "train/part-0.csv"]).encode()
    given = request(
        role,
        BASE + "assert [p.name for p in (base / 'input/data/train/train').iterdir()] == ['part-0.csv']\n",
    )
    given["InputDataConfig"][0]["DataSource"]["S3DataSource"] = {
        "S3DataType": "ManifestFile",
        "S3Uri": "s3://bucket/m.manifest",
    }
    job = run(api, given)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"DebugRuleConfigurations": [{}]}, "DebugRuleConfigurations is not supported"),
        ({"ResourceConfig": {"InstanceCount": 5, "InstanceType": "ml.m5.large"}}, "ResourceLimitExceeded"),
        ({"StoppingCondition": None}, "Value null at 'stoppingCondition'"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://nowhere/x"}}, "create s3://nowhere first"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(api, role, change, text):
    with pytest.raises(ServiceException, match=text):
        api("CreateTrainingJob", **{**request(role, "pass"), **change})


@pytest.mark.parametrize("tag", ["latest", "1.7-1"])
def test_an_image_of_another_version_is_refused(api, role, tag):
    given = request(role, "pass")
    given["AlgorithmSpecification"]["TrainingImage"] = (
        f"x.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:{tag}"
    )
    with pytest.raises(ServiceException, match="ValidationException"):
        api("CreateTrainingJob", **given)


def test_describe_of_a_job_that_is_not_there(api):
    with pytest.raises(ServiceException, match=r"ValidationException: Requested resource not found\."):
        api("DescribeTrainingJob", TrainingJobName="none")
