"""A caller of the endpoint: raw customers in, probabilities out, with stock boto3."""

from __future__ import annotations

import gzip
import io
import json

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from clients import ask_endpoint

ENCODER = {
    "version": 1,
    "label": "churn",
    "numeric": ["day_mins", "custserv_calls"],
    "categorical": {"state": ["KS", "OH"], "intl_plan": ["no", "yes"]},
    "feature_names": [
        "Day Mins",
        "CustServ Calls",
        "State_KS",
        "State_OH",
        "Int'l Plan_no",
        "Int'l Plan_yes",
    ],
}
RAW = (
    "State,Phone,Int l Plan,Day Mins,CustServ Calls,Churn_\n"
    "KS,382-4657,no,265.100000,1,False.\n"
    "PR,371-7191,yes,161.6,,True.\n"
    "OH,358-1921,no,243.4,0,False.\n"
    "NJ,375-9999,no,1,1,False.\n"
)


@pytest.fixture
def aws(monkeypatch):
    """Stubbed clients by service; each must have been used as told."""
    clients = {
        name: boto3.client(
            name, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        for name in ("sagemaker", "sagemaker-runtime", "s3")
    }
    stubs = {name: Stubber(client) for name, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    monkeypatch.setattr(boto3, "client", clients.__getitem__)
    yield stubs
    for stub in stubs.values():
        stub.assert_no_pending_responses()


def body(text: str) -> StreamingBody:
    return StreamingBody(io.BytesIO(text.encode()), len(text.encode()))


def expect_invocation(aws, answer: str, rows: str) -> None:
    aws["sagemaker-runtime"].add_response(
        "invoke_endpoint",
        {"Body": body(answer)},
        {"EndpointName": "churn-local", "ContentType": "text/csv", "Accept": "text/csv", "Body": rows},
    )


ROWS = "265.100000,1,1,0,1,0\n161.6,,0,0,0,1\n243.4,0,0,1,1,0"


@pytest.mark.parametrize("answer", ["0.1\n0.9\n0.25\n", "0.1,0.9,0.25"])
def test_asks_about_the_first_customers(aws, tmp_path, answer):
    (tmp_path / "customers.csv").write_text(RAW)
    (tmp_path / "encoder.json").write_text(json.dumps(ENCODER))
    expect_invocation(aws, answer, ROWS)
    answers = ask_endpoint.demo("churn-local", tmp_path / "customers.csv", 3, str(tmp_path / "encoder.json"))
    assert [item.probability for item in answers] == [0.1, 0.9, 0.25]
    assert answers[1].customer["state"] == "PR"
    assert answers[1].customer["Phone"] == "371-7191"


def test_finds_the_encoder_of_the_served_model(aws, tmp_path, capsys):
    with gzip.open(tmp_path / "customers.csv.gz", "wt") as stream:
        stream.write(RAW)
    sagemaker = aws["sagemaker"]
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1"
    sagemaker.add_response(
        "describe_endpoint",
        {"EndpointName": "churn-local", "EndpointArn": arn, "EndpointConfigName": "config",
        "EndpointStatus": "InService",
         "CreationTime": 0, "LastModifiedTime": 0},
        {"EndpointName": "churn-local"},
    )  # fmt: skip
    sagemaker.add_response(
        "describe_endpoint_config",
        {"EndpointConfigName": "config", "EndpointConfigArn": arn, "CreationTime": 0,
         "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "model"}]},
        {"EndpointConfigName": "config"},
    )  # fmt: skip
    served = {
        "PrimaryContainer": {"ModelPackageName": arn},
        "ModelName": "model",
        "ModelArn": arn,
        "CreationTime": 0,
    }
    sagemaker.add_response("describe_model", served, {"ModelName": "model"})
    sagemaker.add_response(
        "describe_model_package",
        {"ModelPackageName": "churn", "ModelPackageArn": arn, "CreationTime": 0, "ModelPackageStatus":
        "Completed",
         "ModelPackageStatusDetails": {"ValidationStatuses": []},
         "CustomerMetadataProperties": {"encoder_uri": "s3://bucket/run/data/encoder.json"}},
        {"ModelPackageName": arn},
    )  # fmt: skip
    aws["s3"].add_response(
        "get_object",
        {"Body": body(json.dumps(ENCODER))},
        {"Bucket": "bucket", "Key": "run/data/encoder.json"},
    )
    expect_invocation(aws, "0.0625\n0.9\n0.25", ROWS)
    path = str(tmp_path / "customers.csv.gz")
    assert ask_endpoint.main(["--endpoint", "churn-local", "--customers", path, "--rows", "3"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == [
        "state", "intl_plan", "vmail_plan", "day_mins", "eve_mins", "intl_calls", "custserv_calls",
        "churn", "probability",
    ]  # fmt: skip
    assert table[1].split() == ["KS", "no", "265.100000", "1", "0.062"]
    assert len(table) == 4


def test_model_without_a_package(aws, tmp_path, capsys):
    sagemaker = aws["sagemaker"]
    times = {"CreationTime": 0, "LastModifiedTime": 0}
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn-local"
    sagemaker.add_response(
        "describe_endpoint",
        {
            "EndpointName": "e",
            "EndpointArn": arn,
            "EndpointConfigName": "config",
            "EndpointStatus": "InService",
            **times,
        },
    )
    sagemaker.add_response(
        "describe_endpoint_config",
        {"EndpointConfigName": "config", "EndpointConfigArn": arn, "CreationTime": 0,
         "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "model"}]},
    )  # fmt: skip
    served = {
        "PrimaryContainer": {"Image": "image"},
        "ModelName": "model",
        "ModelArn": arn,
        "CreationTime": 0,
    }
    sagemaker.add_response("describe_model", served)
    assert ask_endpoint.main(["--endpoint", "e", "--customers", str(tmp_path / "none.csv")]) == 1
    assert capsys.readouterr().err == (
        "ask_endpoint: endpoint e serves model model, which is no model package: name the encoder\n"
    )


def test_another_number_of_answers(aws, tmp_path):
    expect_invocation(aws, "0.5", "1,1,1,0,1,0\n1,1,1,0,1,0")
    customer = {"day_mins": "1", "custserv_calls": "1", "state": "KS", "intl_plan": "no"}
    with pytest.raises(ask_endpoint.CannotAsk, match=r"answered 1 values for 2 customers: '0\.5'"):
        ask_endpoint.ask("churn-local", [customer, customer], ENCODER)


def test_column_that_is_not_there(aws):
    with pytest.raises(
        ask_endpoint.CannotAsk, match="the customers have no column custserv_calls, intl_plan"
    ):
        ask_endpoint.features({"day_mins": "1", "state": "KS"}, ENCODER)


def test_file_without_customers(tmp_path):
    (tmp_path / "customers.csv").write_text(RAW.splitlines()[0] + "\n")
    with pytest.raises(ask_endpoint.CannotAsk, match=r"customers\.csv has no customers"):
        ask_endpoint.read_customers(tmp_path / "customers.csv", 3, ENCODER)
