"""Asynchronous and serverless endpoints, and shadow variants, through boto3."""

import base64
import json
import threading
import time

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

# Answers after the pause that it is sent, with an error, or with how often a worker was started.
SLOW = """
import pathlib, tempfile, time

STARTS = pathlib.Path(tempfile.gettempdir()) / "starts"

def model_fn(model_dir):
    with STARTS.open("a") as file:
        file.write("x")

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode()
    if text.startswith("fail"):
        raise ValueError("asked to fail")
    if text == "starts":
        return STARTS.read_text(), "text/plain"
    time.sleep(float(text))
    return f"slept {text}", "text/plain"
"""


@pytest.fixture(scope="session")
def slow_model(sm, s3, bucket, cases):
    """The name of a model that sleeps as long as it is told."""
    s3.put_object(Bucket=bucket, Key="slow/model.tar.gz", Body=cases.archive({"code/inference.py": SLOW}))
    sm.create_model(
        ModelName="slow",
        ExecutionRoleArn=cases.role,
        PrimaryContainer={
            "Image": cases.sklearn,
            "ModelDataUrl": f"s3://{bucket}/slow/model.tar.gz",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
        },
    )
    return "slow"


@pytest.fixture
def deployed(sm, cases, name):
    """deployed(variant, **more of the configuration) -> the name of an endpoint in service."""

    def make(variant, **more):
        sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
        sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
        sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
        return name

    yield make
    sm.delete_endpoint(EndpointName=name)


def on_instances(model, name="AllTraffic", **more):
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
        **more,
    }


def until(check, seconds=60):
    """The first result of `check` that is true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture
def announcements(local_aws, name):
    """(topic ARN, a function that gives the messages announced so far)"""
    sns, sqs = local_aws.client("sns"), local_aws.client("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    seen = []

    def messages():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ()):
            seen.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return seen

    return topic, messages


def test_an_asynchronous_endpoint_puts_results_and_failures_where_it_said(
    sm, s3, bucket, runtime, slow_model, deployed, announcements, name
):
    topic, messages = announcements
    output = {
        "S3OutputPath": f"s3://{bucket}/{name}/out",
        "S3FailurePath": f"s3://{bucket}/{name}/failures",
        "NotificationConfig": {
            "SuccessTopic": topic,
            "ErrorTopic": topic,
            "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"],
        },
    }
    config = {"OutputConfig": output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}
    endpoint = deployed(on_instances(slow_model), AsyncInferenceConfig=config)
    assert sm.describe_endpoint(EndpointName=endpoint)["AsyncInferenceConfig"] == config
    s3.put_object(Bucket=bucket, Key=f"{name}/good", Body=b"0.1")
    s3.put_object(Bucket=bucket, Key=f"{name}/bad", Body=b"fail")

    def ask(key, **more):
        return runtime.invoke_endpoint_async(
            EndpointName=endpoint,
            InputLocation=f"s3://{bucket}/{name}/{key}",
            ContentType="text/plain",
            **more,
        )

    good, bad = ask("good", InferenceId="mine"), ask("bad")
    missing = ask("nothing-there")
    assert good["InferenceId"] == "mine"
    assert good["OutputLocation"].startswith(f"s3://{bucket}/{name}/out/")
    until(lambda: len(messages()) == 3)
    said = {message["inferenceId"]: message for message in messages()}

    def stored(uri):
        return s3.get_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["Body"].read().decode()

    assert stored(good["OutputLocation"]) == "slept 0.1"
    assert said["mine"]["invocationStatus"] == "Completed"
    assert said["mine"]["requestParameters"]["inputLocation"] == f"s3://{bucket}/{name}/good"
    assert said["mine"]["responseParameters"]["outputLocation"] == good["OutputLocation"]
    assert base64.b64decode(said["mine"]["responseBody"]["content"]) == b"slept 0.1"
    assert "asked to fail" in stored(bad["FailureLocation"])
    assert said[bad["InferenceId"]]["invocationStatus"] == "Failed"
    assert "asked to fail" in said[bad["InferenceId"]]["failureReason"]
    assert "NoSuchKey" in stored(missing["FailureLocation"])
    with pytest.raises(ClientError, match="is asynchronous; use InvokeEndpointAsync"):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"0")
    with pytest.raises(ClientError, match="would be written outside the output path"):
        ask("good", S3OutputPathExtension="../up")


def test_asynchronous_requests_survive_a_kill(new_local_aws, cases):
    aws = new_local_aws()
    s3, sm = aws.client("s3"), aws.client("sagemaker")
    s3.create_bucket(Bucket="later")
    s3.put_object(Bucket="later", Key="model.tar.gz", Body=cases.archive({"code/inference.py": SLOW}))
    s3.put_object(Bucket="later", Key="in", Body=b"0.5")
    container = {"Image": cases.sklearn, "ModelDataUrl": "s3://later/model.tar.gz"}
    sm.create_model(ModelName="slow", ExecutionRoleArn=cases.role, PrimaryContainer=container)
    sm.create_endpoint_config(
        EndpointConfigName="slow",
        ProductionVariants=[on_instances("slow")],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://later/out"}},
    )
    sm.create_endpoint(EndpointName="slow", EndpointConfigName="slow")
    sm.get_waiter("endpoint_in_service").wait(EndpointName="slow", WaiterConfig=cases.fast)
    runtime = aws.client("sagemaker-runtime")
    asked = [
        runtime.invoke_endpoint_async(EndpointName="slow", InputLocation="s3://later/in")["OutputLocation"]
        for _ in range(4)
    ]
    aws.restart(kill=True)
    until(lambda: s3.list_objects_v2(Bucket="later", Prefix="out/")["KeyCount"] == 4)
    found = {f"s3://later/{o['Key']}" for o in s3.list_objects_v2(Bucket="later", Prefix="out/")["Contents"]}
    assert found == set(asked)
    # What a worker keeps in its temporary folder is there for the one that takes its place.
    s3.put_object(Bucket="later", Key="how-often", Body=b"starts")
    runtime.invoke_endpoint_async(EndpointName="slow", InputLocation="s3://later/how-often", Filename="said")
    until(lambda: s3.list_objects_v2(Bucket="later", Prefix="out/said")["KeyCount"])
    assert s3.get_object(Bucket="later", Key="out/said")["Body"].read() == b"xx"


def test_a_serverless_variant_takes_as_many_requests_as_it_says(sm, local_aws, slow_model, deployed, cases):
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variant = {"VariantName": "AllTraffic", "ModelName": slow_model, "ServerlessConfig": serverless}
    endpoint = deployed(variant)
    [described] = sm.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert described["CurrentServerlessConfig"] == described["DesiredServerlessConfig"] == serverless
    assert "CurrentInstanceCount" not in described
    once = local_aws.client("sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}))
    stop, served, codes = threading.Event(), [], set()

    def keep_busy():
        while not stop.is_set():
            try:
                answer = once.invoke_endpoint(EndpointName=endpoint, Body=b"0.5", ContentType="text/plain")
                served.append(answer["Body"].read())
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:

        def refused():
            try:
                once.invoke_endpoint(EndpointName=endpoint, Body=b"0", ContentType="text/plain")
            except ClientError as error:
                return error
            return None

        error = until(refused)
        assert error.response["Error"]["Code"] == "ThrottlingException"
        assert "answers 1 requests already, its MaxConcurrency" in str(error)
    finally:
        stop.set()
        busy.join()
    assert set(served) == {b"slept 0.5"}
    assert codes <= {"ThrottlingException"}


def test_a_shadow_gets_a_copy_and_its_answer_is_only_captured(
    sm, s3, bucket, runtime, local_aws, deployable, slow_model, trained, deployed, cases, name
):
    model = f"{name}-model"
    deployable(model)
    endpoint = deployed(
        on_instances(model, "production"),
        ShadowProductionVariants=[on_instances(slow_model, "shadow")],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{bucket}/{name}/capture",
            "CaptureOptions": [{"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv", "text/plain"]},
        },
    )
    [shadow] = sm.describe_endpoint(EndpointName=endpoint)["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["CurrentWeight"]) == ("shadow", 1.0)
    # The production model reads one feature and four missing ones; for the shadow it is a pause.
    answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=b"0.25,,,,")
    production = answer["Body"].read()
    assert answer["InvokedProductionVariant"] == "production"
    for body in (b"0.25", b"fail"):  # the model's refusals, and the shadow's failure, stay its own
        with pytest.raises(ClientError) as caught:
            runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body)
        assert "slept" not in str(caught.value)

    def captured():
        flush = f"{local_aws.runtime_url}/-/flush?endpoint={endpoint}"
        cases.post(flush)
        records: dict[str, list[str]] = {}
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/capture/{endpoint}/").get("Contents", ())
        for item in listed:
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode()
            variant = item["Key"].split("/")[3]
            for line in body.splitlines():
                output = json.loads(line)["captureData"]["endpointOutput"]["data"]
                records.setdefault(variant, []).append(output)
        return records if "shadow" in records else None

    records = until(captured)
    assert records["production"] == [production.decode()]
    assert "slept 0.25" in records["shadow"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"ShadowProductionVariants": [on_instances("slow", "a"), on_instances("slow", "b")]},
            "exactly one prod",
        ),
        (
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://no-such-bucket-x/out"}}},
            "bucket of S3OutputPath, s3://no-such-bucket-x, does not exist",
        ),
        (
            {"ExplainerConfig": {"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {}}}}},
            "Explainer",
        ),
    ],
)
def test_what_cannot_be_configured_is_refused(sm, slow_model, name, more, message):
    with pytest.raises(ClientError, match=message):
        sm.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[on_instances(slow_model)], **more
        )


def test_an_inference_experiment_is_refused_by_name(sm, name):
    with pytest.raises(ClientError, match="DescribeInferenceExperiment") as caught:
        sm.describe_inference_experiment(Name=name)
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
