"""The events of jobs, queries and approvals on the default bus, of things that really happened."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.contracts.boto3.queues import TestQueue


def heard(local_aws: Any, source: str, **detail: str) -> TestQueue:
    """A queue behind a rule for the state changes of one thing: other tests have theirs on this bus."""
    events, queue = local_aws.client("events"), TestQueue(local_aws.client("sqs"))
    name = f"changes-{uuid.uuid4().hex[:10]}"
    pattern = {"source": [source], "detail": {key: [value] for key, value in detail.items()}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue.arn}])
    return queue


def test_an_approved_model_package_is_told(local_aws: Any) -> None:
    sagemaker = local_aws.client("sagemaker")
    group = f"group-{uuid.uuid4().hex[:10]}"
    queue = heard(local_aws, "aws.sagemaker", ModelPackageGroupName=group)
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    arn = sagemaker.create_model_package(ModelPackageGroupName=group)["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    first, second = queue.bodies(2)
    assert (first["source"], first["detail-type"], first["resources"]) == (
        "aws.sagemaker",
        "SageMaker Model Package State Change",
        [arn],
    )
    told = [(e["detail"]["ModelApprovalStatus"], e["detail"]["ModelPackageVersion"]) for e in (first, second)]
    assert told == [("PendingManualApproval", 1), ("Approved", 1)]
    assert second["detail"]["UpdatedModelPackageFields"] == ["ModelApprovalStatus"]
    assert queue.size() == 0


def test_the_states_of_a_query_are_told(local_aws: Any) -> None:
    athena, s3 = local_aws.client("athena"), local_aws.client("s3")
    name = f"athena-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=name)
    configuration = {"ResultConfiguration": {"OutputLocation": f"s3://{name}/"}}
    athena.create_work_group(Name=name, Configuration=configuration)
    queue = heard(local_aws, "aws.athena", workgroupName=name)
    query = athena.start_query_execution(QueryString="SELECT 1", WorkGroup=name)["QueryExecutionId"]
    details = [event["detail"] for event in queue.bodies(3)]
    assert {detail["queryExecutionId"] for detail in details} == {query}
    assert [detail["currentState"] for detail in details] == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert [detail["sequenceNumber"] for detail in details] == ["1", "2", "3"]


def test_a_glue_run_that_ends_badly_is_told_with_its_reason(local_aws: Any) -> None:
    glue = local_aws.client("glue")
    name = f"job-{uuid.uuid4().hex[:10]}"
    queue = heard(local_aws, "aws.glue", jobName=name)
    command = {"Name": "glueetl", "ScriptLocation": f"s3://no-such-bucket-{name}/script.py"}
    glue.create_job(Name=name, Role="arn:aws:iam::123456789012:role/glue", Command=command, GlueVersion="5.0")
    run = glue.start_job_run(JobName=name)["JobRunId"]
    (event,) = queue.bodies(1)
    assert event["detail-type"] == "Glue Job State Change"
    detail = event["detail"]
    assert (detail["jobName"], detail["jobRunId"], detail["state"], detail["severity"]) == (
        name,
        run,
        "FAILED",
        "ERROR",
    )
    assert f"s3://no-such-bucket-{name}" in detail["message"]
