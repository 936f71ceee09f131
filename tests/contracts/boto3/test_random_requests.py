"""Ten thousand random, well-formed requests: each is answered, and none by an internal failure."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    FlexibleChecksumError,
    InvalidEndpointConfigurationError,
    MissingDependencyException,
    ParamValidationError,
)
from botocore.parsers import ResponseParserError

from local_aws.pytest_plugin import LocalAws
from tests.contracts.boto3.random_requests import Requests

REQUESTS = {
    "s3": 500,
    "sqs": 300,
    "sagemaker": 1600,
    "glue": 1200,
    "athena": 1000,
    "lambda": 800,
    "events": 700,
    "cloudwatch": 700,
    "logs": 600,
    "dynamodb": 600,
    "firehose": 400,
    "mwaa": 300,
    "sns": 400,
    "cloudformation": 300,
    "iam": 200,
    "secretsmanager": 200,
    "ssm": 200,
}
# botocore itself does not send these: a checksum of the CRT, a host of its own, a value that it checks.
NOT_SENT = (
    EndpointConnectionError,
    FlexibleChecksumError,
    InvalidEndpointConfigurationError,
    MissingDependencyException,
    ParamValidationError,
)
HARMLESS = ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation")
OPTIONS = Config(
    retries={"max_attempts": 0}, read_timeout=60, parameter_validation=False, s3={"addressing_style": "path"}
)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One that no other test looks at."""
    server = LocalAws(Path(tmp_path_factory.mktemp("random")) / "data")
    yield server
    server.stop()


def test_there_are_ten_thousand() -> None:
    assert sum(REQUESTS.values()) == 10_000


@pytest.mark.parametrize("service", REQUESTS)
def test_no_request_is_an_internal_failure(aws: LocalAws, service: str) -> None:
    client = aws.client(service, config=OPTIONS)
    model = client.meta.service_model
    requests = Requests(seed=sum(map(ord, service)))
    failed: Counter[str] = Counter()
    for _ in range(REQUESTS[service]):
        name = requests.choose(model.operation_names)
        parameters = requests.of(model.operation_model(name))
        parameters.pop("ContentLength", None)  # a body shorter than that would be waited for
        try:
            client._make_api_call(name, parameters)
        except NOT_SENT:
            pass
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code == "InternalFailure" or (status >= 500 and code not in HARMLESS):
                failed[f"{name}: {status} {code} {error.response['Error'].get('Message')}"] += 1
        except (BotoCoreError, ResponseParserError, AttributeError) as error:
            if "Invalid header value" in str(error):
                continue  # not sent either
            failed[f"{name}: {type(error).__name__} {error}"] += 1
    assert not failed
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"  # and it goes on
