"""Hyperparameter tuning jobs through boto3: real training jobs, the best of them found."""

import time

import pytest
from botocore.exceptions import ClientError

# A script whose score is known: best at x = 3; it reports six times and can be slow or fail.
SCRIPT = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("-x", type=float)
parser.add_argument("--pause", type=float, default=0)
parser.add_argument("--mode", default="")
args = parser.parse_args()
if args.mode == "fail":
    raise ValueError("this mode fails")
for _ in range(6):
    print(f"score={-(args.x - 3) ** 2:.6f};", flush=True)
    time.sleep(args.pause)
"""


@pytest.fixture(scope="session")
def source(s3, bucket, cases):
    s3.put_object(Bucket=bucket, Key="tuning/sourcedir.tar.gz", Body=cases.archive({"score.py": SCRIPT}))
    return f"s3://{bucket}/tuning/sourcedir.tar.gz"


@pytest.fixture
def request_for(bucket, cases, source, name):
    def make(strategy, ranges, most=4, parallel=2, config=None, static=None, **more):
        limits = {"MaxParallelTrainingJobs": parallel}
        if most:
            limits["MaxNumberOfTrainingJobs"] = most
        return {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": strategy,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                "ResourceLimits": limits,
                "ParameterRanges": ranges,
                "RandomSeed": 7,
                **(config or {}),
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": {
                    "sagemaker_program": "score.py",
                    "sagemaker_submit_directory": source,
                    **(static or {}),
                },
                "AlgorithmSpecification": {
                    "TrainingImage": cases.sklearn,
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "score", "Regex": "score=([-0-9.]+);"}],
                },
                "RoleArn": cases.role,
                "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{name}"},
                "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
                "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            },
            **more,
        }

    return make


@pytest.fixture
def ended(sm, cases):
    """The description of a tuning job that has ended."""

    def wait(name):
        return cases.ended(
            sm.describe_hyper_parameter_tuning_job,
            "HyperParameterTuningJobStatus",
            seconds=180,
            HyperParameterTuningJobName=name,
        )

    return wait


def continuous(low, high):
    return {"ContinuousParameterRanges": [{"Name": "x", "MinValue": str(low), "MaxValue": str(high)}]}


def categorical(**values):
    return {"CategoricalParameterRanges": [{"Name": key, "Values": list(v)} for key, v in values.items()]}


def test_built_in_xgboost_is_tuned_and_its_best_job_is_the_best(sm, bucket, customers, cases, ended, name):
    training = cases.training(bucket, name)
    definition = {
        key: training[key]
        for key in (
            *("AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig"),
            *("ResourceConfig", "StoppingCondition"),
        )
    }
    definition["StaticHyperParameters"] = {"objective": "binary:logistic", "num_round": "10", "seed": "1"}
    request = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "6"}],
                "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.9"}],
            },
            "RandomSeed": 3,
        },
        "TrainingJobDefinition": definition,
        "Tags": [{"Key": "team", "Value": "churn"}],
    }
    sm.create_hyper_parameter_tuning_job(**request)
    job = ended(name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0
    }  # fmt: skip
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    listed = sm.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in listed]
    assert values == sorted(values, reverse=True)
    assert job["BestTrainingJob"] == listed[0]
    best = sm.describe_training_job(TrainingJobName=listed[0]["TrainingJobName"])
    assert best["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert best["HyperParameters"]["eta"] == listed[0]["TunedHyperParameters"]["eta"]
    final = {metric["MetricName"]: metric["Value"] for metric in best["FinalMetricDataList"]}
    assert final["validation:auc"] == values[0] > 0.9
    assert sm.list_tags(ResourceArn=job["HyperParameterTuningJobArn"])["Tags"] == request["Tags"]
    names = [
        each["HyperParameterTuningJobName"]
        for page in sm.get_paginator("list_hyper_parameter_tuning_jobs").paginate(NameContains=name)
        for each in page["HyperParameterTuningJobSummaries"]
    ]
    assert names == [name]


def test_a_grid_tries_each_combination_once_and_a_failed_job_fails_alone(sm, request_for, ended, name):
    sm.create_hyper_parameter_tuning_job(
        **request_for("Grid", categorical(x="13", mode=["fine", "fail"]), most=None, parallel=3)
    )
    job = ended(name)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job["FailureReason"]
    jobs = sm.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    tried = {
        (each["TunedHyperParameters"]["x"], each["TunedHyperParameters"]["mode"]): each["ObjectiveStatus"]
        for each in jobs["TrainingJobSummaries"]
    }
    wanted = {"fine": "Succeeded", "fail": "Failed"}
    assert tried == {(x, mode): status for x in "13" for mode, status in wanted.items()}
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3", "mode": "fine"}
    assert job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 0
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 2


def test_a_target_that_is_reached_ends_the_search_and_a_warm_start_goes_on_from_there(
    sm, request_for, ended, name
):
    target = {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": -100.0}}
    first = request_for("Random", continuous(0, 6), most=20, parallel=1, config=target)
    sm.create_hyper_parameter_tuning_job(**first)
    parent = ended(name)
    assert parent["TrainingJobStatusCounters"]["Completed"] == 1

    parents = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name}]}
    second = request_for(
        "Bayesian", continuous(20, 30), most=1, parallel=1,
        WarmStartConfig={**parents, "WarmStartType": "IdenticalDataAndAlgorithm"},
    )  # fmt: skip
    sm.create_hyper_parameter_tuning_job(**{**second, "HyperParameterTuningJobName": f"{name}-2"})
    child = ended(f"{name}-2")
    assert child["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] < -200
    overall = child["OverallBestTrainingJob"]
    assert overall["TrainingJobName"] == parent["BestTrainingJob"]["TrainingJobName"]
    assert overall["TuningJobName"] == name


def test_early_stopping_ends_a_hopeless_job(sm, request_for, ended, name):
    request = request_for(
        "Grid", categorical(x=["3", "90"]), most=None, parallel=1,
        config={"TrainingJobEarlyStoppingType": "Auto"}, static={"pause": "1"},
    )  # fmt: skip
    sm.create_hyper_parameter_tuning_job(**request)
    job = ended(name)
    assert job["TrainingJobStatusCounters"]["Completed"] == 1
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"x": "3"}


def test_a_stop_ends_its_training_jobs(sm, request_for, ended, name):
    sm.create_hyper_parameter_tuning_job(
        **request_for("Random", continuous(0, 6), most=5, parallel=2, static={"pause": "60"})
    )
    deadline = time.monotonic() + 60
    while (
        sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)["TrainingJobStatusCounters"][
            "InProgress"
        ]
        < 2
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sm.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    job = ended(name)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2


def test_a_tuning_job_survives_a_kill_of_the_server(
    new_local_aws, request_for, cases, source, s3, bucket, name
):
    aws = new_local_aws()
    own = aws.client("s3")
    own.create_bucket(Bucket=bucket)
    own.put_object(
        Bucket=bucket,
        Key="tuning/sourcedir.tar.gz",
        Body=s3.get_object(Bucket=bucket, Key="tuning/sourcedir.tar.gz")["Body"].read(),
    )
    sm = aws.client("sagemaker")
    sm.create_hyper_parameter_tuning_job(
        **request_for("Random", continuous(0, 6), most=2, parallel=1, static={"pause": "0.3"})
    )
    deadline = time.monotonic() + 60
    while not sm.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)[
        "TrainingJobSummaries"
    ]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    aws.restart(kill=True)
    job = cases.ended(
        sm.describe_hyper_parameter_tuning_job,
        "HyperParameterTuningJobStatus",
        seconds=180,
        HyperParameterTuningJobName=name,
    )
    jobs = sm.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    ends = [(each["TrainingJobStatus"], each.get("FailureReason")) for each in jobs["TrainingJobSummaries"]]
    assert ends == [("Completed", None)] * 2
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Strategy": "Hyperband"}, "Strategy Hyperband .* is not supported by local AWS"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "recall"}},
            "objective metric recall is none of the algorithm's metrics: score",
        ),
        ({"ParameterRanges": {}}, "ParameterRanges is empty"),
        ({"Strategy": "Grid"}, "Grid search needs categorical ranges only; x is"),
        (
            {"ParameterRanges": categorical(sagemaker_program="a")},
            "sagemaker_program is both static and tuned",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused(sm, request_for, change, message):
    with pytest.raises(ClientError, match=message):
        sm.create_hyper_parameter_tuning_job(**request_for("Random", continuous(0, 1), config=change))
