"""The embedded AWS itself: how fast objects go in and out, what a call costs, how soon it is up.

    .venv/local-aws/bin/python -m benchmarks.local_aws

One client on the same machine, stock boto3, so that the client's own work counts too. No target: the figures
say what a job's transfers and a DAG's polling will cost.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.pytest_plugin import LocalAws

MEGABYTES = 100
SMALL = 500


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        aws = LocalAws(Path(folder) / "data")
        _show("start, empty", time.perf_counter() - started, "s")
        try:
            _objects(aws, Path(folder))
            _calls(aws)
            started = time.perf_counter()
            aws.restart()
            _show("stop and start with this state", time.perf_counter() - started, "s")
        finally:
            aws.stop()


def _objects(aws: LocalAws, folder: Path) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="bench")
    large, copy = folder / "large", folder / "copy"
    large.write_bytes(os.urandom(MEGABYTES * 1_000_000))
    transfers: dict[str, Callable[[], Any]] = {
        "put_object": lambda: s3.put_object(Bucket="bench", Key="put", Body=large.read_bytes()),
        "upload_file (parts)": lambda: s3.upload_file(str(large), "bench", "parts"),
        "get_object": lambda: [*s3.get_object(Bucket="bench", Key="put")["Body"].iter_chunks(1 << 20)],
        "download_file": lambda: s3.download_file("bench", "parts", str(copy)),
    }
    for name, transfer in transfers.items():
        _show(f"{name}, {MEGABYTES} MB", MEGABYTES / _seconds(transfer), "MB/s")
    body = b"x" * 1024
    _show("put_object, 1 KB", _rate(lambda n: s3.put_object(Bucket="bench", Key=f"k{n}", Body=body)), "/s")
    _show(
        "get_object, 1 KB", _rate(lambda n: s3.get_object(Bucket="bench", Key=f"k{n}")["Body"].read()), "/s"
    )
    listing = _seconds(lambda: list(s3.get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix="k")))
    _show(f"list {SMALL} objects", 1000 * listing, "ms")


def _calls(aws: LocalAws) -> None:
    sagemaker, logs = aws.client("sagemaker"), aws.client("logs")
    logs.create_log_group(logGroupName="/bench")
    logs.create_log_stream(logGroupName="/bench", logStreamName="s")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": "x" * 100}] * 100
    sagemaker.create_model_package_group(ModelPackageGroupName="bench")
    calls: dict[str, Callable[[], Any]] = {
        "describe_model_package_group": lambda: sagemaker.describe_model_package_group(
            ModelPackageGroupName="bench"
        ),
        "put_log_events, 100 lines": lambda: logs.put_log_events(
            logGroupName="/bench", logStreamName="s", logEvents=events
        ),
        "get_log_events, 1000 lines": lambda: logs.get_log_events(
            logGroupName="/bench", logStreamName="s", limit=1000
        ),
    }
    for name, call in calls.items():
        times = [_seconds(call) for _ in range(100)]
        _show(f"{name}, median", 1000 * statistics.median(times), "ms")


def _rate(call: Callable[[int], Any]) -> float:
    return SMALL / _seconds(lambda: [call(number) for number in range(SMALL)])


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _show(what: str, value: float, unit: str) -> None:
    print(f"{what:<45} {value:>8.1f} {unit}", flush=True)


if __name__ == "__main__":
    main()
