"""The variables with which a stock AWS client talks to local AWS."""

from __future__ import annotations


def client_environment(port: int, runtime_port: int, region: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        # botocore puts "api." or "env." before MWAA's host: before a user name it leaves the address alone.
        "AWS_ENDPOINT_URL_MWAA": f"http://mwaa@127.0.0.1:{port}",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://127.0.0.1:{runtime_port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
    }


def role_environment(role_arn: str | None) -> dict[str, str]:
    """What a computation signs with in addition: its role's name in place of an access key. Nothing is
    enforced, but a record of calls can tell who made them (local_aws.recording)."""
    return {"AWS_ACCESS_KEY_ID": role_arn.rpartition("/")[2]} if role_arn else {}
