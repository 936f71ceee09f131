"""Lambda through boto3: functions run, each invocation in a process of its own, and fail as on AWS."""

from __future__ import annotations

import base64
import io
import json
import re
import stat
import textwrap
import time
import urllib.request
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ONE_ATTEMPT = Config(retries={"max_attempts": 0}, read_timeout=120)
PATIENCE = 60.0


def zipped(**files: str) -> bytes:
    """A package; keyword `a__b` is the file a/b.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".py", textwrap.dedent(text))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def role(local_aws: Any) -> str:
    made = local_aws.client("iam").create_role(RoleName="functions", AssumeRolePolicyDocument="{}")
    return str(made["Role"]["Arn"])


@pytest.fixture
def functions(local_aws: Any) -> Any:
    return local_aws.client("lambda", config=ONE_ATTEMPT)


@pytest.fixture
def create(functions: Any, role: str) -> Any:
    """Make a function of one file; returns its name."""

    def make(code: str, **options: Any) -> str:
        name = f"function-{uuid.uuid4().hex[:8]}"
        package = options.pop("Code", {"ZipFile": zipped(index=code)})
        defaults = {"Runtime": "python3.12", "Role": role, "Handler": "index.handler", "Timeout": 30}
        functions.create_function(FunctionName=name, Code=package, **(defaults | options))
        functions.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    return make


def call(functions: Any, name: str, event: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event or {}), **options)
    return json.loads(answer["Payload"].read()), answer


def wait_for_line(local_aws: Any, name: str, start: str) -> None:
    """Until the function's log has a line that begins so."""
    logs, deadline = local_aws.client("logs"), time.monotonic() + PATIENCE
    while True:
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        if any(event["message"].startswith(start) for event in events):
            return
        assert time.monotonic() < deadline, f"{name} has not logged {start}"
        time.sleep(0.05)


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_function_gets_its_event_and_context_and_reaches_aws(functions: Any, create: Any) -> None:
    name = create(
        """
        import os
        import boto3

        def handler(event, context):
            account = boto3.client("sts").get_caller_identity()["Account"]
            return {
                "event": event, "account": account, "pid": os.getpid(), "mode": os.environ["MODE"],
                "name": context.function_name, "memory": context.memory_limit_in_mb,
                "request": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
                "region": os.environ["AWS_REGION"], "group": context.log_group_name,
            }
        """,
        Environment={"Variables": {"MODE": "test"}},
        MemorySize=256,
    )

    first, answer = call(functions, name, {"x": [1, "ä"]})
    second, _ = call(functions, name)

    assert first["event"] == {"x": [1, "ä"]}
    assert second["event"] == {}
    assert (first["account"], first["region"], first["mode"]) == ("123456789012", "us-east-1", "test")
    assert (first["name"], first["memory"], first["group"]) == (name, "256", f"/aws/lambda/{name}")
    assert 0 < first["left"] <= 30_000
    assert first["request"] == answer["ResponseMetadata"]["RequestId"]
    assert first["pid"] != second["pid"]
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer


def test_an_exception_is_the_payload_and_in_the_log(local_aws: Any, functions: Any, create: Any) -> None:
    name = create(
        """
        import logging

        logging.getLogger().setLevel("INFO")

        def handler(event, context):
            print("begin\\tafter a tab")
            logging.getLogger().info("by the logger")
            raise ValueError("the order is empty")
        """
    )

    error, answer = call(functions, name, LogType="Tail")

    assert answer["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "the order is empty")
    assert "in handler" in error["stackTrace"][0]
    request = answer["ResponseMetadata"]["RequestId"]
    tail = base64.b64decode(answer["LogResult"]).decode()
    events = local_aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    lines = [event["message"] for event in events]
    assert lines[0] == f"START RequestId: {request} Version: $LATEST"
    assert "begin\tafter a tab" in lines
    assert any(re.match(rf"\[INFO\]\t\S+Z\t{request}\tby the logger", line) for line in lines)
    (trace,) = [
        line for line in lines if line.startswith("[ERROR] ValueError: the order is empty\nTraceback")
    ]
    assert "in handler" in trace
    assert lines[-2] == f"END RequestId: {request}"
    assert re.match(rf"REPORT RequestId: {request}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms", lines[-1])
    assert lines[0] in tail
    assert lines[-1] in tail


@pytest.mark.parametrize(
    ("code", "handler", "kind", "message"),
    [
        ("import missing_module", "index.handler", "Runtime.ImportModuleError", "No module named"),
        ("def handler(", "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index'"),
        ("x = 1", "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ("def handler(e, c): return {1}", "index.handler", "Runtime.MarshalError", "not JSON serializable"),
        ("import os\ndef handler(e, c): os._exit(3)", "index.handler", "Runtime.ExitError", "exit status 3"),
    ],
)
def test_what_the_runtime_finds_wrong(
    functions: Any, create: Any, code: str, handler: str, kind: str, message: str
) -> None:
    error, answer = call(functions, create(code, Handler=handler))

    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_a_function_is_ended_after_its_timeout(local_aws: Any, functions: Any, create: Any) -> None:
    name = create(
        """
        import subprocess, time

        def handler(event, context):
            subprocess.Popen(["sleep", "600"])
            print("waiting")
            time.sleep(600)
        """,
        Timeout=1,
    )

    error, answer = call(functions, name, LogType="Tail")

    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "waiting" in tail
    assert "Task timed out after 1.00 seconds" in tail
    assert "Status: timeout" in tail


def test_a_function_is_ended_when_it_takes_more_memory_than_it_has(functions: Any, create: Any) -> None:
    name = create(
        """
        import time

        def handler(event, context):
            held = []
            while True:
                held.append(b"x" * 10_000_000)
                time.sleep(0.02)
        """,
        MemorySize=128,
    )

    error, answer = call(functions, name, LogType="Tail")

    assert error["errorType"] == "Runtime.OutOfMemory"
    assert "Runtime exited with error: signal: killed" in error["errorMessage"]
    assert "Max Memory Used: 128 MB" in base64.b64decode(answer["LogResult"]).decode()


def test_code_comes_from_s3_and_is_changed(local_aws: Any, functions: Any, create: Any) -> None:
    bucket, s3 = f"code-{uuid.uuid4().hex[:8]}", local_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="v1.zip", Body=zipped(index="def handler(e, c): return 1"))
    s3.put_object(Bucket=bucket, Key="v2.zip", Body=zipped(index="def handler(e, c): return 2"))
    name = create("", Code={"S3Bucket": bucket, "S3Key": "v1.zip"})
    assert call(functions, name)[0] == 1

    dry = functions.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="v2.zip", DryRun=True)
    assert call(functions, name)[0] == 1
    changed = functions.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="v2.zip")
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    assert call(functions, name)[0] == 2
    assert dry["CodeSha256"] != changed["CodeSha256"]
    location = functions.get_function(FunctionName=name)["Code"]["Location"]
    with urllib.request.urlopen(location) as code:
        assert code.read() == s3.get_object(Bucket=bucket, Key="v2.zip")["Body"].read()
    with pytest.raises(ClientError) as missing:
        functions.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="no.zip")
    assert refusal(missing)[0] == "InvalidParameterValueException"
    assert f"s3://{bucket}/no.zip" in refusal(missing)[1]


def test_the_configuration_is_changed(functions: Any, create: Any) -> None:
    name = create("import os\ndef handler(e, c): return os.environ.get('A'), c.memory_limit_in_mb")

    changed = functions.update_function_configuration(
        FunctionName=name, MemorySize=512, Timeout=7, Environment={"Variables": {"A": "b"}}
    )

    assert (changed["MemorySize"], changed["Timeout"]) == (512, 7)
    assert call(functions, name)[0] == ["b", "512"]
    with pytest.raises(ClientError) as reserved:
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"AWS_REGION": "moon"}}
        )
    assert refusal(reserved)[0] == "InvalidParameterValueException"
    assert "AWS_REGION" in refusal(reserved)[1]


def test_layers_are_on_the_path_behind_the_code(functions: Any, create: Any) -> None:
    layers = {
        "first": zipped(python__shared="WHO = 'first'", python__only="HERE = True", python__index="BAD = 1"),
        "second": zipped(**{"python__lib__python3.12__site-packages__shared": "WHO = 'second'"}),
    }
    arns = [
        functions.publish_layer_version(
            LayerName=f"{name}-{uuid.uuid4().hex[:8]}", Content={"ZipFile": code}
        )["LayerVersionArn"]
        for name, code in layers.items()
    ]
    name = create("import only, shared\ndef handler(e, c): return shared.WHO, only.HERE", Layers=arns)

    assert call(functions, name)[0] == ["second", True]
    shown = functions.get_function_configuration(FunctionName=name)["Layers"]
    assert [layer["Arn"] for layer in shown] == arns
    functions.delete_layer_version(LayerName=arns[0].rsplit(":", 2)[1], VersionNumber=1)
    assert call(functions, name)[0] == ["second", True]
    with pytest.raises(ClientError) as missing:
        functions.update_function_configuration(FunctionName=name, Layers=[arns[1][:-1] + "9"])
    assert refusal(missing)[0] == "ResourceNotFoundException"


def test_powertools_comes_as_the_layer_that_aws_publishes(functions: Any, create: Any) -> None:
    arn = "arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64:18"
    name = create(
        """
        from aws_lambda_powertools import Logger

        logger = Logger(service="test")

        @logger.inject_lambda_context
        def handler(event, context):
            logger.info("hello", extra={"order": 7})
        """,
        Layers=[arn],
    )

    _, answer = call(functions, name, LogType="Tail")

    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    (logged,) = [json.loads(line) for line in lines if line.startswith("{")]
    assert (logged["message"], logged["order"], logged["service"]) == ("hello", 7, "test")
    assert logged["function_request_id"] == answer["ResponseMetadata"]["RequestId"]


def test_metrics_are_lambdas_own_and_those_that_the_function_logs(
    local_aws: Any, functions: Any, create: Any
) -> None:
    name = create(
        """
        from aws_lambda_powertools import Metrics

        metrics = Metrics(namespace="orders", service="shop")

        @metrics.log_metrics
        def handler(event, context):
            metrics.add_metric("Taken", "Count", event["taken"])
            print('{"_aws": "no embedded metric"}')
            if event["taken"] > 5:
                raise RuntimeError("too many")
        """
    )
    for taken in (2, 3, 7):
        call(functions, name, {"taken": taken})

    cloudwatch, now = local_aws.client("cloudwatch"), datetime.now(UTC)

    def total(namespace: str, metric: str, **dimensions: str) -> float:
        found = cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in found)

    assert total("orders", "Taken", service="shop") == 12
    assert total("AWS/Lambda", "Invocations", FunctionName=name) == 3
    assert total("AWS/Lambda", "Errors", FunctionName=name) == 1
    assert total("AWS/Lambda", "Duration", FunctionName=name) > 0


def hostile(name: str, mode: int = stat.S_IFREG | 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (b"this is no archive", "Could not unzip uploaded file"),
        (zipped(index="x = 1")[:-30], "Could not unzip uploaded file"),
        (hostile("../../escaped.py"), "leaves its folder"),
        (hostile("/etc/escaped.py"), "leaves its folder"),
        (hostile("link.py", stat.S_IFLNK | 0o777), "is a link"),
    ],
)
def test_a_package_that_cannot_be_unpacked_safely_is_refused(
    create: Any, package: bytes, message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create("", Code={"ZipFile": package})

    assert refusal(error)[0] == "InvalidParameterValueException"
    assert message in refusal(error)[1]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"Runtime": "nodejs20.x"}, "InvalidParameterValueException", "local AWS runs python3.11"),
        ({"Timeout": 901}, "ValidationException", "timeout"),
        ({"MemorySize": 20_000}, "ValidationException", "memorySize"),
        ({"Role": "arn:aws:iam::123456789012:role/nobody"}, "InvalidParameterValueException", "role"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "UnsupportedOperation", "SnapStart"),
        ({"FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0", "LocalMountPath": "/mnt/x"}]}, "UnsupportedOperation", "FileSystemConfigs"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_would_not_be_honoured_is_refused(
    create: Any, options: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create("def handler(e, c): pass", **options)

    assert refusal(error)[0] == code
    assert message in refusal(error)[1]


def test_requests_that_name_nothing_or_carry_no_json(functions: Any, create: Any) -> None:
    with pytest.raises(ClientError) as missing:
        functions.invoke(FunctionName="no-such-function")
    assert refusal(missing) == (
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:no-such-function",
    )
    name = create("def handler(e, c): open('/tmp/never', 'w')")
    with pytest.raises(ClientError) as broken:
        functions.invoke(FunctionName=name, Payload=b"{oops")
    assert refusal(broken)[0] == "InvalidRequestContentException"
    with pytest.raises(ClientError) as large:
        functions.invoke(FunctionName=name, Payload=b'"' + b"x" * 6_291_456 + b'"')
    assert refusal(large)[0] == "RequestTooLargeException"
    assert functions.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(ClientError) as url:
        functions.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert refusal(url)[0] == "UnsupportedOperation"


def test_reserved_concurrency_throttles(local_aws: Any, functions: Any, create: Any) -> None:
    bucket, s3 = f"gate-{uuid.uuid4().hex[:8]}", local_aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    name = create(
        """
        import time
        import boto3

        def handler(event, context):
            s3 = boto3.client("s3")
            while "Bucket" in event and not s3.list_objects_v2(**event)["KeyCount"]:
                time.sleep(0.1)
            return "ran"
        """
    )
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    groups = functions.get_function_concurrency(FunctionName=name)
    assert groups["ReservedConcurrentExecutions"] == 1

    with ThreadPoolExecutor() as pool:
        slow = pool.submit(call, functions, name, {"Bucket": bucket})
        wait_for_line(local_aws, name, "START")
        with pytest.raises(ClientError) as error:
            call(functions, name)
        s3.put_object(Bucket=bucket, Key="go")
        assert slow.result()[0] == "ran"

    assert refusal(error) == ("TooManyRequestsException", "Rate Exceeded.")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert error.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    functions.delete_function_concurrency(FunctionName=name)
    assert call(functions, name)[0] == "ran"


def test_versions_and_aliases(functions: Any, create: Any) -> None:
    name = create("def handler(e, c): return 1, c.function_version")
    functions.publish_version(FunctionName=name)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    functions.update_function_code(
        FunctionName=name, ZipFile=zipped(index="def handler(e, c): return 2, c.function_version")
    )

    assert call(functions, name)[0] == [2, "$LATEST"]
    assert call(functions, name, Qualifier="1")[0] == [1, "1"]
    assert call(functions, f"{name}:live")[0] == [1, "1"]
    assert call(functions, name, Qualifier="live")[1]["ExecutedVersion"] == "1"
    everything = functions.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    arns = [item["FunctionArn"] for page in everything for item in page["Functions"]]
    assert [arn.rpartition(f"{name}:")[2] for arn in arns if f":{name}" in arn] == ["$LATEST", "1"]


def test_permissions_are_stored(functions: Any, create: Any) -> None:
    name = create("def handler(e, c): pass")
    grant = {
        "FunctionName": name,
        "StatementId": "from-the-bus",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": "arn:aws:events:us-east-1:123456789012:rule/mine",
    }
    functions.add_permission(**grant)

    (statement,) = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert (statement["Sid"], statement["Principal"]) == ("from-the-bus", {"Service": "events.amazonaws.com"})
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": grant["SourceArn"]}}
    with pytest.raises(ClientError) as twice:
        functions.add_permission(**grant)
    assert refusal(twice)[0] == "ResourceConflictException"


def test_a_stack_makes_changes_and_removes_a_function(local_aws: Any, functions: Any, role: str) -> None:
    name, cloudformation = f"stack-{uuid.uuid4().hex[:8]}", local_aws.client("cloudformation")

    def template(answer: int) -> str:
        code = f"import os\ndef handler(e, c): return {answer} * int(os.environ['NUMBER'])"
        return json.dumps(
            {
                "Resources": {
                    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
                    "Function": {
                        "Type": "AWS::Lambda::Function",
                        "Properties": {
                            "FunctionName": name,
                            "Runtime": "python3.12",
                            "Role": role,
                            "Handler": "index.handler",
                            "Timeout": "30",
                            "Code": {"ZipFile": code},
                            "Environment": {"Variables": {"NUMBER": 7}},
                            "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Queue", "Arn"]}},
                            "ReservedConcurrentExecutions": 2,
                        },
                    },
                    "Permission": {
                        "Type": "AWS::Lambda::Permission",
                        "Properties": {
                            "FunctionName": {"Fn::GetAtt": ["Function", "Arn"]},
                            "Action": "lambda:InvokeFunction",
                            "Principal": "events.amazonaws.com",
                        },
                    },
                    "Retries": {
                        "Type": "AWS::Lambda::EventInvokeConfig",
                        "Properties": {
                            "FunctionName": {"Ref": "Function"},
                            "Qualifier": "$LATEST",
                            "MaximumRetryAttempts": answer,
                        },
                    },
                    "Mapping": {
                        "Type": "AWS::Lambda::EventSourceMapping",
                        "Properties": {
                            "FunctionName": {"Ref": "Function"},
                            "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "BatchSize": answer,
                        },
                    },
                },
                "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}}},
            }
        )

    cloudformation.create_stack(StackName=name, TemplateBody=template(1))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    made = functions.get_function(FunctionName=name)
    assert call(functions, name)[0] == 7
    assert made["Concurrency"]["ReservedConcurrentExecutions"] == 2
    assert made["Configuration"]["DeadLetterConfig"]["TargetArn"].endswith(f":{name}")

    cloudformation.update_stack(StackName=name, TemplateBody=template(2))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name)
    assert call(functions, name)[0] == 14
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert mapping["BatchSize"] == 2
    assert functions.get_function_event_invoke_config(FunctionName=name)["MaximumRetryAttempts"] == 2
    statements = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert len(statements) == 1

    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    with pytest.raises(ClientError) as gone:
        functions.get_function(FunctionName=name)
    assert refusal(gone)[0] == "ResourceNotFoundException"
    assert (
        functions.list_event_source_mappings(EventSourceArn=mapping["EventSourceArn"])["EventSourceMappings"]
        == []
    )


def test_an_operation_that_is_not_computed_says_so_by_name(functions: Any, create: Any) -> None:
    name = create("def handler(e, c): pass")
    with pytest.raises(ClientError) as error:
        functions.put_provisioned_concurrency_config(
            FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
        )
    assert refusal(error)[0] == "UnsupportedOperation"
    assert "PutProvisionedConcurrencyConfig" in refusal(error)[1]
