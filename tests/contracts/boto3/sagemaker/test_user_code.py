"""Endpoints and batch transform that run the user's own script, through boto3."""

import json
import time

import pytest
from botocore.exceptions import ClientError

SCRIPT = """
import atexit, json, os, pathlib, tempfile, time
import boto3
from sagemaker_inference import errors

import helper

SHARED = pathlib.Path(tempfile.gettempdir())


def model_fn(model_dir):
    print("loading in worker", flush=True)
    atexit.register(flush)
    return json.loads((pathlib.Path(model_dir) / "weights.json").read_text())


def flush():
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=f"flushed/{os.getpid()}", Body=b"bye")


def input_fn(body, content_type):
    if content_type != "application/json":
        raise errors.UnsupportedFormatError(content_type)
    return json.loads(body)


def predict_fn(data, model, context):
    if data == "die":
        os._exit(3)
    if data == "fail":
        raise RuntimeError("the script says no")
    if data == "mine":
        raise errors.BaseInferenceToolkitError(422, "unknown arm 7", "unprocessable")
    given = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", f"seen {given}")
    return {"sum": helper.total(data) + model["bias"], "pid": os.getpid(), "shared": str(SHARED)}


def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


@pytest.fixture(scope="session")
def make_model(sm, s3, bucket, cases):
    """make_model(name, files, **environment) -> a model on the scikit-learn image."""

    def make(name, files, **environment):
        s3.put_object(Bucket=bucket, Key=f"code/{name}/model.tar.gz", Body=cases.archive(files))
        sm.create_model(
            ModelName=name,
            ExecutionRoleArn=cases.role,
            PrimaryContainer={
                "Image": cases.sklearn,
                "ModelDataUrl": f"s3://{bucket}/code/{name}/model.tar.gz",
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "BUCKET": bucket,
                    **environment,
                },
            },
        )
        variant = {
            "VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }  # fmt: skip
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    return make


@pytest.fixture(scope="session")
def endpoint(sm, make_model, cases):
    """Two workers that add up, with a module beside the script and a requirement that is already met."""
    name = "adds-up"
    files = {
        "weights.json": '{"bias": 0.5}',
        "code/inference.py": SCRIPT,
        "code/helper.py": "def total(values):\n    return sum(values)\n",
        "code/requirements.txt": "# met by the environment\nnumpy>=1\nboto3\n",
    }
    make_model(name, files, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    return name


@pytest.fixture
def ask(runtime, endpoint):
    def invoke(value, content_type="application/json", **more):
        return runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=content_type, Body=json.dumps(value), **more
        )

    return invoke


def test_the_script_answers_in_every_worker_and_they_share_a_folder(ask):
    answers = [json.load(ask([1, 2.25])["Body"]) for _ in range(4)]
    assert {answer["sum"] for answer in answers} == {3.75}
    assert len({answer["pid"] for answer in answers}) == 2
    assert len({answer["shared"] for answer in answers}) == 1


def test_custom_attributes_go_in_and_come_out(ask):
    answer = ask([1], CustomAttributes="trace=1")
    assert answer["CustomAttributes"] == "seen trace=1"
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")


@pytest.mark.parametrize(
    ("value", "content_type", "status", "message"),
    [
        ("fail", "application/json", 500, "the script says no"),
        ("mine", "application/json", 422, "unknown arm 7"),
        ([1], "text/csv", 415, "Content type text/csv is not supported by this framework"),
    ],
)
def test_errors_are_the_toolkits(ask, endpoint, value, content_type, status, message):
    with pytest.raises(ClientError) as caught:
        ask(value, content_type)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["OriginalStatusCode"]) == ("ModelError", status)
    assert message in answer["OriginalMessage"]
    assert answer["LogStreamArn"].endswith(f"log-group:/aws/sagemaker/Endpoints/{endpoint}")


def test_a_worker_that_dies_is_replaced_while_the_other_answers(ask):
    before = {json.load(ask([1])["Body"])["pid"] for _ in range(2)}
    with pytest.raises(ClientError) as caught:
        ask("die")
    assert caught.value.response["OriginalStatusCode"] == 503
    deadline = time.monotonic() + 60
    while len(now := {json.load(ask([1])["Body"])["pid"] for _ in range(2)}) < 2:
        assert time.monotonic() < deadline, now
    assert len(now & before) == 1


def test_what_the_workers_print_is_in_the_endpoints_log_group(local_aws, endpoint, ask):
    logs = local_aws.client("logs")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    with pytest.raises(ClientError):
        ask("fail")
    deadline = time.monotonic() + 60
    while True:
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        lines = [event["message"] for event in events]
        if lines.count("loading in worker") >= 2 and "RuntimeError: the script says no" in lines:
            break
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)
    assert events[0]["logStreamName"].startswith("AllTraffic/i-")


def test_batch_transform_runs_the_same_script(sm, s3, bucket, endpoint, cases, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/rows.jsonl", Body=b"[1,2]\n[3]\n")
    sm.create_transform_job(
        TransformJobName=name,
        ModelName=endpoint,
        BatchStrategy="SingleRecord",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/in"}},
            "ContentType": "application/json",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://{bucket}/{name}/out", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    done = cases.ended(sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)
    assert done["TransformJobStatus"] == "Completed", done.get("FailureReason")
    out = s3.get_object(Bucket=bucket, Key=f"{name}/out/rows.jsonl.out")["Body"].read()
    assert [json.loads(line)["sum"] for line in out.splitlines()] == [3.5, 3.5]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def model_fn(model_dir):\n    raise OSError('no weights here')\n", "OSError: no weights here"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def transform_fn(a, b, c, d): ...\ndef input_fn(a, b): ...\n", "Cannot use transform_fn"),
        ("", "Please provide a model_fn implementation"),
    ],
)
def test_a_script_that_does_not_load_fails_the_endpoint_with_its_reason(
    sm, make_model, cases, name, script, reason
):
    make_model(name, {"code/inference.py": script})
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    after = cases.ended(sm.describe_endpoint, "EndpointStatus", EndpointName=name)
    assert after["EndpointStatus"] == "Failed"
    assert reason in after["FailureReason"]


def test_what_cannot_be_served_is_refused_by_name(sm, s3, bucket, make_model, cases, name):
    make_model(name, {"code/inference.py": ""}, SAGEMAKER_MODEL_SERVER_WORKERS="many")
    with pytest.raises(ClientError, match="SAGEMAKER_MODEL_SERVER_WORKERS is 'many'"):
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    torch = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6-cpu-py312"
    sm.create_model(ModelName=f"{name}-t", ExecutionRoleArn=cases.role, PrimaryContainer={"Image": torch})
    variant = {
        "VariantName": "v", "ModelName": f"{name}-t", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"
    }  # fmt: skip
    sm.create_endpoint_config(EndpointConfigName=f"{name}-t", ProductionVariants=[variant])
    with pytest.raises(ClientError, match="the package torch is not installed"):
        sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-t")


def test_deleting_the_endpoint_lets_every_worker_flush(sm, s3, bucket, make_model, runtime, cases, name):
    make_model(
        name,
        {"weights.json": '{"bias": 0}', "code/inference.py": SCRIPT, "code/helper.py": "total = sum\n"},
        SAGEMAKER_MODEL_SERVER_WORKERS="2",
    )
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    pids = {
        json.load(
            runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body="[1]")["Body"]
        )["pid"]
        for _ in range(2)
    }
    sm.delete_endpoint(EndpointName=name)
    deadline = time.monotonic() + 60
    while True:
        found = s3.list_objects_v2(Bucket=bucket, Prefix="flushed/").get("Contents", ())
        if pids <= {int(item["Key"].rpartition("/")[2]) for item in found}:
            break
        assert time.monotonic() < deadline, (pids, found)
        time.sleep(0.1)
