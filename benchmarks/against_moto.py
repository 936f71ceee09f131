"""Small objects and API calls against moto's own server, in the same run, by the same client.

    .venv/local-aws/bin/python -m benchmarks.against_moto [--count 1000] [--rounds 3]

moto's server keeps everything in memory and forgets it; local AWS has each write on disk before it answers.
In turns, medians of the rounds. Targets: objects at least twice as fast, the API mix 1.5 times. And a 2 GB
object goes in and out of local AWS: how much memory that takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil

from local_aws.pytest_plugin import LocalAws, free_port

OBJECTS_TARGET, CALLS_TARGET = 2.0, 1.5
LARGE_BYTES = 2 << 30
Client = Callable[[str], Any]


def main() -> int:
    """Print the table; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="Local AWS against moto's own server.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, moto_server() as moto:
        aws = LocalAws(Path(folder) / "data")
        try:
            ours = measure(aws.client, moto, options.count, options.rounds)
            memory(aws, Path(folder))
        finally:
            aws.stop()
    missed = False
    for name, (own, theirs) in ours.items():
        target = CALLS_TARGET if name == "API mix" else OBJECTS_TARGET
        ratio = own / theirs
        missed |= ratio < target
        rates = f"{own:8.0f}/s   moto's server {theirs:8.0f}/s"
        print(f"{name:<10} {rates}   ratio {ratio:5.2f}   target >= {target}")
    return 1 if missed else 0


def measure(ours: Client, theirs: Client, count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Operations a second of both, by what is done."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        pairs = zip(operations(ours, count, number), operations(theirs, count, number), strict=True)
        for (name, own), (_, other) in pairs:
            found.setdefault(name, []).append((own(), other()))
    return {
        name: (statistics.median(a for a, _ in rates), statistics.median(b for _, b in rates))
        for name, rates in found.items()
    }


def operations(client: Client, count: int, number: int) -> Iterator[tuple[str, Callable[[], float]]]:
    s3, bucket = client("s3"), f"bench-{number}"
    s3.create_bucket(Bucket=bucket)
    body = b"x" * 1024
    listings = max(1, count // 10)
    yield "put 1 KB", rate(count, lambda n: s3.put_object(Bucket=bucket, Key=f"k{n}", Body=body))
    yield "get 1 KB", rate(count, lambda n: s3.get_object(Bucket=bucket, Key=f"k{n}")["Body"].read())
    yield (
        "list",
        rate(listings, lambda n: s3.list_objects_v2(Bucket=bucket, Prefix=f"k{n % 10}", MaxKeys=100)),
    )
    yield "API mix", rate(count, mix(client, number))


def mix(client: Client, number: int) -> Callable[[int], Any]:
    """Seven reads to three writes, as a pipeline's waiting does it."""
    glue, sagemaker, dynamodb, sqs, iam = map(client, ("glue", "sagemaker", "dynamodb", "sqs", "iam"))
    name = f"bench-{number}"
    glue.create_database(DatabaseInput={"Name": name})
    glue.create_table(DatabaseName=name, TableInput={"Name": "t"})
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    calls: tuple[Callable[[int], Any], ...] = (
        lambda _: glue.get_table(DatabaseName=name, Name="t"),
        lambda _: sagemaker.describe_model_package_group(ModelPackageGroupName=name),
        lambda n: dynamodb.put_item(TableName=name, Item={"k": {"S": str(n % 100)}}),
        lambda n: dynamodb.get_item(TableName=name, Key={"k": {"S": str(n % 100)}}),
        lambda _: iam.get_role(RoleName=name),
        lambda _: sqs.send_message(QueueUrl=queue, MessageBody="x"),
        lambda _: sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0),
        lambda _: glue.get_databases(),
        lambda _: sagemaker.list_model_package_groups(),
        lambda n: glue.update_table(DatabaseName=name, TableInput={"Name": "t", "Description": str(n)}),
    )
    return lambda n: calls[n % len(calls)](n)


def rate(count: int, call: Callable[[int], Any]) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        for number in range(count):
            call(number)
        return count / (time.perf_counter() - started)

    return run


def memory(aws: LocalAws, folder: Path) -> None:
    """A 2 GB object up and down, by parts and in one piece."""
    assert aws.process is not None
    server = psutil.Process(aws.process.pid)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="large")
    large = folder / "large"
    with large.open("wb") as file:
        file.truncate(LARGE_BYTES)
    before = server.memory_info().rss
    highest = before
    for transfer in (
        lambda: s3.upload_file(str(large), "large", "parts"),
        lambda: s3.put_object(Bucket="large", Key="one", Body=large.open("rb")),
        lambda: [
            len(chunk) for chunk in s3.get_object(Bucket="large", Key="one")["Body"].iter_chunks(1 << 20)
        ],
    ):
        transfer()
        highest = max(highest, server.memory_info().rss)
    print(
        f"2 GB in and out: the server's memory {before / 1e6:.0f} MB before, {highest / 1e6:.0f} MB at most"
    )


@contextmanager
def moto_server() -> Iterator[Client]:
    """moto's own, as `moto_server` starts it; a function that makes clients of it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=5)  # noqa: S310 - http
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield lambda service: boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",  # noqa: S106 - moto takes any
        )
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
