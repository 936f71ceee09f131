"""SageMaker SDK 2 as it is installed: scripts fit, deploy and predict, tuners tune, batches run."""

from __future__ import annotations

import pytest

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
ON = {"role": ROLE, "instance_count": 1, "instance_type": "ml.m5.large"}
SCRIPT = """
import argparse
import json
import os

import numpy


def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        return json.load(file)


def predict_fn(data, model):
    return data.sum(axis=1) * model["scale"] + model["mean"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float)
    args = parser.parse_args()
    rows = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "rows.csv"), delimiter=",")
    print(f"mean={rows[:, 0].mean():.3f};")
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
        json.dump({"scale": args.scale, "mean": rows[:, 0].mean()}, file)
"""


GO_ON = """
import os
import tarfile

import numpy
import xgboost

with tarfile.open(os.path.join(os.environ["SM_CHANNEL_MODEL"], "model.tar.gz")) as archive:
    parent = xgboost.Booster()
    parent.load_model(bytearray(archive.extractfile("xgboost-model").read()))
rows = numpy.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
matrix = xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])
child = xgboost.train({"objective": "binary:logistic"}, matrix, 3, xgb_model=parent)
print(f"rounds={child.num_boosted_rounds()};")
child.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    (folder / "job.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("numpy\n")
    return folder


def test_a_scikit_learn_script_fits_deploys_and_predicts(session, script, tmp_path, capfd):
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.serializers import JSONSerializer
    from sagemaker.sklearn import SKLearn

    (tmp_path / "rows.csv").write_text("1,2\n3,4\n")
    uri = session.upload_data(str(tmp_path / "rows.csv"), key_prefix="sklearn/train")
    estimator = SKLearn(
        "job.py", source_dir=str(script), framework_version="1.2-1", hyperparameters={"scale": 10.0},
        metric_definitions=[{"Name": "mean", "Regex": "mean=([0-9.]+);"}], sagemaker_session=session, **ON,
    )  # fmt: skip
    estimator.fit({"train": uri.rpartition("/")[0]}, logs=False)
    # Following the log while it waits, the SDK asks for the job's state every 30 seconds only.
    session.logs_for_job(estimator.latest_training_job.name, wait=False)
    printed = capfd.readouterr().out
    assert "mean=2.000;" in printed
    predictor = estimator.deploy(
        1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer()
    )
    try:
        assert predictor.predict([[1.0, 2.0], [0.5, 0.5]]) == [32.0, 12.0]
    finally:
        predictor.delete_endpoint()


def test_an_xgboost_script_goes_on_from_a_model_and_is_tracked_in_a_trial(session, deployed, tmp_path):
    from sagemaker.estimator import Estimator
    from sagemaker.xgboost import XGBoost

    (tmp_path / "go_on.py").write_text(GO_ON)
    model = session.sagemaker_client.describe_model(ModelName=deployed.model)["PrimaryContainer"]
    estimator = XGBoost(
        "go_on.py", source_dir=str(tmp_path), framework_version="3.0-5", image_uri=XGBOOST,
        model_uri=model["ModelDataUrl"], sagemaker_session=session,
        metric_definitions=[{"Name": "rounds", "Regex": "rounds=([0-9]+);"}], **ON,
    )  # fmt: skip
    client = session.sagemaker_client
    client.create_experiment(ExperimentName="sdk-going-on")
    client.create_trial(TrialName="sdk-going-on-1", ExperimentName="sdk-going-on")
    where = {"ExperimentName": "sdk-going-on", "TrialName": "sdk-going-on-1"}
    estimator.fit({"train": f"s3://{deployed.bucket}/train"}, logs=False, experiment_config=where)
    job = estimator.latest_training_job.describe()
    assert {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]} == {"rounds": 15 + 3}
    [component] = client.list_trial_components(TrialName="sdk-going-on-1")["TrialComponentSummaries"]
    source = client.describe_trial_component(TrialComponentName=component["TrialComponentName"])["Source"]
    assert source == {"SourceArn": job["TrainingJobArn"], "SourceType": "SageMakerTrainingJob"}
    again = Estimator.attach(job["TrainingJobName"], sagemaker_session=session)
    assert again.model_data == estimator.model_data == job["ModelArtifacts"]["S3ModelArtifacts"]


def test_the_built_in_algorithm_trains_on_two_instances(session, customers, tmp_path):
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import TrainingInput

    for half in (0, 1):
        rows = customers[half:500:2]
        (tmp_path / f"{half}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    uri = session.upload_data(str(tmp_path), key_prefix="halves")
    estimator = Estimator(
        XGBOOST, sagemaker_session=session, **{**ON, "instance_count": 2},
        hyperparameters={"num_round": 15, "objective": "binary:logistic", "eval_metric": "auc"},
    )  # fmt: skip
    sharded = TrainingInput(uri, content_type="text/csv", distribution="ShardedByS3Key")
    estimator.fit({"train": sharded}, logs=False)
    job = estimator.latest_training_job.describe()
    assert job["ResourceConfig"]["InstanceCount"] == 2
    [reached] = job["FinalMetricDataList"]
    assert reached["MetricName"] == "train:auc"
    assert reached["Value"] > 0.95


def test_a_tuner_finds_the_best_job(session, customers, tmp_path):
    from sagemaker.estimator import Estimator
    from sagemaker.inputs import TrainingInput
    from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter

    channels = {}
    for name, rows in (("train", customers[:400]), ("validation", customers[400:])):
        file = tmp_path / f"{name}.csv"
        file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
        uri = session.upload_data(str(file), key_prefix=f"tuner/{name}")
        channels[name] = TrainingInput(uri, content_type="text/csv")
    fixed = {"num_round": 5, "objective": "binary:logistic"}
    estimator = Estimator(XGBOOST, sagemaker_session=session, hyperparameters=fixed, **ON)
    tuner = HyperparameterTuner(
        estimator,
        "validation:auc",
        {"eta": ContinuousParameter(0.05, 0.9), "max_depth": IntegerParameter(1, 5)},
        max_jobs=3,
        max_parallel_jobs=2,
        base_tuning_job_name="sdk-tuner",
    )
    tuner.fit(channels)
    summaries = session.sagemaker_client.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=tuner.latest_tuning_job.name
    )["TrainingJobSummaries"]
    reached = {
        each["TrainingJobName"]: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for each in summaries
    }
    assert len(reached) == 3
    assert reached[tuner.best_training_job()] == max(reached.values()) > 0.8
    best = tuner.best_estimator()
    assert best.model_data.endswith(f"{tuner.best_training_job()}/output/model.tar.gz")
    again = tuner.identical_dataset_and_algorithm_tuner()
    again.max_jobs = 1
    again.fit(channels)
    start = again.describe()["WarmStartConfig"]
    assert start["ParentHyperParameterTuningJobs"] == [
        {"HyperParameterTuningJobName": tuner.latest_tuning_job.name}
    ]
    assert again.best_training_job() not in reached


def test_a_batch_is_transformed_with_the_deployed_model(session, deployed, tmp_path):
    from sagemaker.transformer import Transformer

    rows = deployed.rows[:20]
    (tmp_path / "rows.csv").write_text("".join(",".join(map(str, row[1:])) + "\n" for row in rows))
    uri = session.upload_data(str(tmp_path / "rows.csv"), key_prefix="transform/in")
    transformer = Transformer(
        deployed.model, 1, "ml.m5.large", output_path=f"s3://{deployed.bucket}/transform/out",
        assemble_with="Line", sagemaker_session=session,
    )  # fmt: skip
    transformer.transform(uri, content_type="text/csv", split_type="Line", wait=True, logs=False)
    out = session.read_s3_file(deployed.bucket, "transform/out/rows.csv.out")
    assert [float(line) for line in out.splitlines()] == pytest.approx(deployed.scores[:20], abs=1e-6)


def test_an_asynchronous_endpoint_answers_in_s3(session, script, tmp_path):
    import tarfile

    from sagemaker.async_inference import AsyncInferenceConfig
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.serializers import JSONSerializer
    from sagemaker.sklearn import SKLearnModel

    (tmp_path / "model.json").write_text('{"scale": 2, "mean": 1}')
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model.json", "model.json")
    data = session.upload_data(str(tmp_path / "model.tar.gz"), key_prefix="async/model")
    model = SKLearnModel(
        data, ROLE, "job.py", source_dir=str(script), framework_version="1.2-1", sagemaker_session=session
    )
    predictor = model.deploy(
        1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer(),
        async_inference_config=AsyncInferenceConfig(f"s3://{session.default_bucket()}/async/out"),
    )  # fmt: skip
    try:
        # `predict` would leave a thread behind that waits for a failure which does not come.
        answer = predictor.predict_async([[1.0, 2.0]])
        bucket, _, key = answer.output_path.removeprefix("s3://").partition("/")
        waiter = predictor.s3_client.get_waiter("object_exists")
        waiter.wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        assert session.read_s3_file(bucket, key) == "[7.0]"
    finally:
        predictor.delete_endpoint()
