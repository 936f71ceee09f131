"""`python -m local_aws.serving --port 14567 --data-dir .local/aws`: starts the data plane.

Where S3 and CloudWatch are comes from AWS_ENDPOINT_URL and the other standard AWS variables.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

from local_aws.images import registry
from local_aws.images.xgboost.train import without_scikit_learn

HOST = "127.0.0.1"  # loopback only; there is no option to change it
GRACE_SECONDS = 30


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="local_aws.serving", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("LOCAL_AWS_RUNTIME_PORT", "14567")))
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("LOCAL_AWS_DATA_DIR", ".local/aws"))
    )
    parser.add_argument("--region", default=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--images", type=Path, help="TOML table of your own images")
    parser.add_argument("--capture-seconds", type=float, default=60, help="age of a capture file")
    options = parser.parse_args(argv)
    if options.images:
        registry.add_own(options.images)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        listener = listen(options.port)
    except OSError as error:
        print(f"Port {options.port} of {HOST} cannot be used: {error.strerror}. "
              "Stop what uses it, or choose another with --port.", file=sys.stderr)  # fmt: skip
        return 1
    age = timedelta(seconds=options.capture_seconds)
    serve(listener, options.data_dir.resolve(), options.region, options.account, age)
    return 0


def listen(port: int) -> socket.socket:
    """A bound loopback socket. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    return listener


def serve(listener: socket.socket, data_dir: Path, region: str, account: str, capture_age: timedelta) -> None:
    """Serves until SIGTERM or SIGINT; requests that are being answered are finished first."""
    with without_scikit_learn():
        hosts = importlib.import_module("local_aws.serving.hosts")
    import boto3
    import uvicorn
    from botocore.config import Config

    from local_aws.images.one_write import OneWrite
    from local_aws.serving.app import DataPlane
    from local_aws.serving.asynchronous import Queue
    from local_aws.serving.capture import Capture
    from local_aws.serving.fleets import Fleets
    from local_aws.serving.logs import EndpointLogs
    from local_aws.serving.metrics import Metrics

    folder = data_dir / "serving"
    remove_leftovers(folder / "containers", folder / "endpoints.json")
    executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="model")
    session = boto3.Session(region_name=region)
    # What cannot be published is kept and tried again a second later: no call may hold up the others.
    patience = Config(connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 1})
    containers = folder / "containers"
    logs = EndpointLogs(containers, session.client("logs", config=patience))
    fleets = Fleets(
        lambda endpoint, fleet, variant: hosts.host_for(
            variant,
            folder=containers / endpoint / fleet / variant.folder_name,
            python=sys.executable,
            executor=executor,
            last_words=logs.flush,
        ),
        account=account,
    )
    capture = Capture(folder / "capture", session.client("s3", config=patience), age=capture_age)
    app = DataPlane(
        folder / "endpoints.json",
        fleets,
        capture,
        Metrics(session.client("cloudwatch", config=patience)),
        logs,
        lambda ask: Queue(
            folder / "asynchronous",
            session.client("s3", config=patience),
            session.client("sns", config=patience),
            ask,
            region,
        ),
        region=region,
        account=account,
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(OneWrite, before_write=capture.commit),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    gc.freeze()  # what is imported stays; looking through it again would hold up a request now and then
    uvicorn.Server(config).run(sockets=[listener])


def remove_leftovers(containers: Path, state_file: Path) -> None:
    """What models that are no longer wanted have left behind, because this process was killed meanwhile."""
    from local_aws.serving import desired

    try:
        endpoints = desired.read(state_file)
    except desired.DesiredStateError:
        return
    wanted = {
        containers / name / fleet.id / variant.folder_name
        for name, endpoint in endpoints.items()
        for fleet in endpoint.fleets
        for variant in fleet.variants
    }
    for folder in containers.glob("*/*/*"):
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
