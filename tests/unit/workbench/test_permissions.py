"""The comparison of roles and calls, and what the templates may not say."""

from __future__ import annotations

import json
from pathlib import Path

from config import load
from workbench.permissions import Statement, Use, compare, read_statements, read_uses

BUCKET = "arn:aws:s3:::mlops-local-us-east-1-123456789012"


def test_both_differences_are_found() -> None:
    statements = [
        Statement("worker", "Runs", ("s3:GetObject",), (f"{BUCKET}/runs/*",)),
        Statement("worker", "Train", ("sagemaker:CreateTrainingJob", "sagemaker:CreateModel"), ("*",)),
        Statement("job", "Logs", ("logs:PutLogEvents",), ("*",)),
    ]
    uses = [
        Use("worker", "s3:GetObject", f"{BUCKET}/runs/x"),
        Use("worker", "s3:GetObject", f"{BUCKET}/raw/x"),
        Use("worker", "sagemaker:CreateTrainingJob"),
        Use("job", "sagemaker:CreateTrainingJob"),
    ]
    assert compare(statements, uses) == (
        ["job: sagemaker:CreateTrainingJob", f"worker: s3:GetObject on {BUCKET}/raw/x"],
        ["worker: sagemaker:CreateModel (Train)"],
    )


def test_recorded_calls_are_read_as_actions(tmp_path: Path) -> None:
    calls = [
        ("airflow", "s3", "ListObjectsV2", "bucket"),
        ("airflow", "s3", "UploadPart", "bucket/runs"),
        ("airflow", "sagemaker", "CreateTrainingJob", ""),
        ("trigger", "mwaa", "InvokeRestApi", ""),
        ("airflow", "sts", "GetCallerIdentity", ""),
    ]
    names = ("caller", "service", "operation", "resource")
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(json.dumps(dict(zip(names, call, strict=True))) for call in calls))
    assert list(read_uses(path)) == [
        Use("airflow", "s3:ListBucket", "arn:aws:s3:::bucket"),
        Use("airflow", "s3:PutObject", "arn:aws:s3:::bucket/runs/x"),
        Use("airflow", "sagemaker:CreateTrainingJob"),
        Use("airflow", "iam:PassRole"),
        Use("airflow", "sagemaker:AddTags"),
        Use("trigger", "airflow:InvokeRestApi"),
    ]


def test_statements_of_the_templates_have_their_names_filled_in() -> None:
    found = {(one.role, one.sid): one for one in read_statements(load("local"))}
    code = found["mlops-local-glue", "ReadCode"]
    assert code.actions == ("s3:GetObject",)
    assert code.resources == (f"{BUCKET}/code/*",)
    assert "airflow:InvokeRestApi" in found["mlops-local-trigger", "StartRuns"].actions
