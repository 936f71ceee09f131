"""What a role may do, as IAM's policy simulator tells it."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

VERSION = "2012-10-17"
TRUST = {
    "Version": VERSION,
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@pytest.fixture(scope="module")
def iam(local_aws):
    return local_aws.client("iam")


@pytest.fixture(scope="module")
def role(iam):
    arn = iam.create_role(RoleName="simulated", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    own = [
        {"Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": "arn:aws:s3:::data/*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::data/secret/*"},
        {
            "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        },
    ]  # fmt: skip
    iam.put_role_policy(
        RoleName="simulated",
        PolicyName="own",
        PolicyDocument=json.dumps({"Version": VERSION, "Statement": own}),
    )
    managed = {"Effect": "Allow", "NotAction": ["iam:*", "s3:*", "kms:*"], "Resource": "*"}
    policy = iam.create_policy(
        PolicyName="managed", PolicyDocument=json.dumps({"Version": VERSION, "Statement": managed})
    )
    iam.attach_role_policy(RoleName="simulated", PolicyArn=policy["Policy"]["Arn"])
    return arn


def decisions(iam, role, actions, resources):
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=role,
        ActionNames=actions,
        ResourceArns=resources,
        PaginationConfig={"PageSize": 3},
    )
    return {
        (result["EvalActionName"], result["EvalResourceName"].rpartition(":")[2]): result["EvalDecision"]
        for page in pages
        for result in page["EvaluationResults"]
    }


def test_a_denial_outweighs_and_what_nobody_allows_is_denied(iam, role):
    resources = [f"arn:aws:s3:::{key}" for key in ("data/a.csv", "data/secret/a.csv", "other/a.csv")]
    assert decisions(iam, role, ["s3:GetObject", "s3:DeleteObject"], resources) == {
        ("s3:GetObject", "data/a.csv"): "allowed",
        ("s3:GetObject", "data/secret/a.csv"): "explicitDeny",
        ("s3:GetObject", "other/a.csv"): "implicitDeny",
        ("s3:DeleteObject", "data/a.csv"): "implicitDeny",
        ("s3:DeleteObject", "data/secret/a.csv"): "explicitDeny",
        ("s3:DeleteObject", "other/a.csv"): "implicitDeny",
    }
    assert decisions(iam, role, ["logs:CreateLogGroup", "iam:PassRole"], ["*"]) == {
        ("logs:CreateLogGroup", "*"): "allowed",
        ("iam:PassRole", "*"): "implicitDeny",
    }


def test_a_condition_is_named_and_not_assumed_to_hold(iam, role):
    [result] = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["kms:Decrypt"])[
        "EvaluationResults"
    ]
    assert result["EvalDecision"] == "implicitDeny"
    assert result["MissingContextValues"] == ["kms:ViaService"]


def test_what_cannot_be_simulated_is_said(iam, role):
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::123456789012:role/nobody", ActionNames=["s3:GetObject"]
        )
    with pytest.raises(iam.exceptions.InvalidInputException, match="not a policy document"):
        iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:GetObject"], PolicyInputList=['{"Statement": [{}]}']
        )
    with pytest.raises(ClientError, match="Invalid Marker: x"):
        iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["s3:GetObject"], Marker="x")
    with pytest.raises(ClientError, match=r"does not support iam\.SimulatePrincipalPolicy: ResourcePolicy"):
        iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:GetObject"], ResourcePolicy='{"Statement": []}'
        )
