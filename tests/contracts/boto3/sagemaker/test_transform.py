"""Batch transform through boto3: the same numbers as XGBoost itself, in the form that was asked for."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def model(sm, cases, trained):
    sm.create_model(
        ModelName="transformed",
        ExecutionRoleArn=cases.role,
        PrimaryContainer={"Image": cases.image, "ModelDataUrl": trained.uri},
    )
    return "transformed"


@pytest.fixture
def transform(sm, s3, bucket, model, cases, name):
    """transform(objects, ...) -> (job, {key below the output: text})."""

    def run(objects, split="Line", assemble="Line", **more):
        for key, body in objects.items():
            s3.put_object(Bucket=bucket, Key=f"{name}/in/{key}", Body=body)
        sm.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/in/"}
                },
                "ContentType": "text/csv",
                "SplitType": split,
            },
            TransformOutput={
                "S3OutputPath": f"s3://{bucket}/{name}/out",
                "Accept": "text/csv",
                "AssembleWith": assemble,
            },
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        )
        job = cases.ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)
        listing = s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/out/").get("Contents", [])
        found = {
            item["Key"].removeprefix(f"{name}/out/"): s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]
            .read()
            .decode()
            for item in listing
        }
        return job, found

    return run


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_scores_equal_those_of_xgboost_row_by_row(transform, trained, cases, strategy):
    job, found = transform(
        {"a.csv": cases.csv(trained.features[:60]), "deep/b.csv": cases.csv(trained.features[60:])},
        BatchStrategy=strategy,
        MaxConcurrentTransforms=3,
    )
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    assert sorted(found) == ["a.csv.out", "deep/b.csv.out"]
    scores = [float(line) for key in sorted(found) for line in found[key].splitlines()]
    assert scores == pytest.approx(trained.scores, abs=1e-7)


def test_input_and_prediction_are_joined_and_filtered(transform, trained, cases):
    rows = [[number, *features] for number, features in enumerate(trained.features)]
    job, found = transform(
        {"a.csv": cases.csv(rows)},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    joined = [line.split(",") for line in found["a.csv.out"].splitlines()]
    assert [int(row[0]) for row in joined] == list(range(100))
    assert [float(row[1]) for row in joined] == pytest.approx(trained.scores, abs=1e-7)


def test_one_bad_object_fails_the_job_and_the_others_are_written(transform, trained, cases):
    job, found = transform({"a.csv": b"not,numbers,at,all,x\n", "b.csv": cases.csv(trained.features[:3])})
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: a.csv: the model answered 4")
    assert list(found) == ["b.csv.out"]
    assert [float(line) for line in found["b.csv.out"].splitlines()] == pytest.approx(
        trained.scores[:3], abs=1e-7
    )


def test_what_is_not_computed_is_refused(transform, cases):
    with pytest.raises(ClientError, match="SplitType RecordIO is not supported by local AWS"):
        transform({"a.csv": b"1\n"}, split="RecordIO")
    with pytest.raises(ClientError, match="JoinSource Input needs SplitType and AssembleWith to be the same"):
        transform({"a.csv": b"1\n"}, assemble="None", DataProcessing={"JoinSource": "Input"})
