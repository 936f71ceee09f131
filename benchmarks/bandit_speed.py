"""How fast the bandit's policy learns and answers, each beside the bare thing.

    .venv/jobs/bin/python -m benchmarks.bandit_speed [--rows 200000] [--seconds 3] [--rounds 3] [--only PART]

* training: rows a second of the training job's function over joined rows as Parquet, against Vowpal Wabbit
  alone over the same rows, already written in its own text format. Target 0.9.
* endpoint: one worker of the endpoint (draw, log to disk, Firehose) against a script that only asks the same
  model, both in the server of the scikit-learn image. The clients are those of `benchmarks.endpoint`. The
  streams are those of a local AWS beside it, on the same cores. The two take turns, and a ratio is the
  median of those within a round. Target 0.8.
* swap: 200 requests a second for ten seconds while the model is exchanged five times. Target: no request
  fails, and every answered decision is in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.endpoint import Figures, Server, free_port, load, post, started
from local_aws.pytest_plugin import LocalAws

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "sagemaker_scripts" / "bandit"
sys.path.insert(0, str(SOURCE))

from policy import config, model, training  # noqa: E402  # needs the path above
from policy.examples import Examples, Label  # noqa: E402

FEATURES, ARMS = 9, 7
CLIENTS = (1, 8)
BUCKET = "bandit-speed"
SWAPS, RATE, SWAP_SECONDS = 5, 200, 10
CONTENT = {
    "version": 1,
    "context": [{"name": f"x{place}"} for place in range(FEATURES)],
    "arms": {"fixed": list(range(1, ARMS + 1))},
    "ignore_linear": ["s"],
}
BARE = """
import json
from policy import model

def model_fn(model_dir):
    from pathlib import Path
    return model.load(Path(model_dir))

def transform_fn(policy, body, content_type, accept):
    return json.dumps(policy.probabilities(json.loads(body)["observation"])), "application/json"
"""


def joined_rows(count: int, folder: Path) -> Path:
    """Rounds of a uniform policy, as the join writes them: the largest of seven sums pays."""
    rng = np.random.default_rng(3)
    contexts = rng.integers(0, 100, (count, FEATURES))
    best = (contexts @ rng.normal(size=(FEATURES, ARMS))).argmax(axis=1)
    arms = rng.integers(0, ARMS, count)
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "event_id": [f"e{number}" for number in range(count)],
            "action": [str(arm + 1) for arm in arms],
            "action_prob": np.full(count, 1 / ARMS),
            "observation": [json.dumps(row) for row in contexts.tolist()],
            "reward": (arms == best).astype(float),
            "sample_prob": rng.random(count),
            "timestamp": 1_790_000_000 + rng.permutation(count).astype(float),
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    return folder


def measure_training(rows: int, rounds: int, base: Path) -> bool:
    """Ours against VW's own rate."""
    parsed = config.parse(CONTENT)
    first, data = base / "first", joined_rows(rows, base / "rows")
    examples = Examples(parsed, model.Metadata.load(first).encoder)
    text = base / "rows.txt"
    with text.open("w") as stream:
        for batch in pq.ParquetFile(data / "rows.parquet").iter_batches():
            for row in batch.to_pylist():
                label = Label(int(row["action"]) - 1, parsed.cost(row["reward"]), row["action_prob"])
                stream.write("\n".join(examples.lines(json.loads(row["observation"]), None, label)) + "\n\n")
    words = [*parsed.vw_arguments(), "--save_resume", "--no_stdin", "-i", str(first / "vw.model")]
    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    for number in range(rounds):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "vowpalwabbit", *words, "-d", str(text), "-f", str(base / "bare.model")],
            check=True,
            capture_output=True,
        )
        taken["bare"].append(time.perf_counter() - began)
        began = time.perf_counter()
        training.train(model_id="next", output=base / f"next-{number}", parent=first, rows=data)
        taken["ours"].append(time.perf_counter() - began)
    rates = {name: rows / statistics.median(seconds) for name, seconds in taken.items()}
    share = rates["ours"] / rates["bare"]
    print(
        f"training, {rows} rows: {rates['ours']:.0f} a second, VW alone {rates['bare']:.0f}: {share:.2f}",
        flush=True,
    )
    return share >= 0.9


@contextmanager
def worker(base: Path, name: str, trained: Path, script: str, aws: LocalAws, **env: str) -> Iterator[Server]:
    """A worker of the scikit-learn image that runs a script of the bandit's folder."""
    folder = base / name
    shutil.copytree(trained, folder / "model")
    shutil.copytree(SOURCE, folder / "model" / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "model" / "code" / "bare.py").write_text(BARE)
    (folder / "tmp").mkdir()
    port = free_port()
    variables = {
        **aws.env,
        **env,
        "SAGEMAKER_BASE_DIR": str(folder),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_PROGRAM": script,
        "SAGEMAKER_SUBMIT_DIRECTORY": str(folder / "model" / "code"),
        "TMPDIR": str(folder / "tmp"),
        "BANDIT_EXPERIMENT": "speed",
    }
    argv = ["-m", "local_aws.images.inference.serve", "sagemaker-scikit-learn"]
    with started(argv, variables, port, "/ping", "/invocations") as server:
        yield server


def request() -> bytes:
    observation = {"request_type": "observation", "observation": [50] * FEATURES}
    return post("/invocations", "application/json", json.dumps(observation).encode())


def make_stream(aws: LocalAws, name: str) -> None:
    aws.client("firehose").create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "RoleARN": "arn:aws:iam::123456789012:role/bench",
            "Prefix": f"{name}/",
            "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 1},
        },
    )


def measure_endpoint(aws: LocalAws, trained: Path, base: Path, seconds: float, rounds: int) -> bool:
    """One worker with everything, against one that only asks the model."""
    make_stream(aws, "actions")
    taken: dict[tuple[str, int], list[Figures]] = {}
    with ExitStack() as stack:
        servers = {
            "bare": stack.enter_context(worker(base, "bare", trained, "bare.py", aws)),
            "ours": stack.enter_context(
                worker(base, "ours", trained, "inference.py", aws, BANDIT_OBSERVATION_STREAM="actions")
            ),
        }
        for server in servers.values():
            asyncio.run(load(server, request(), 4, 1))  # warm
        for clients in CLIENTS:
            for _ in range(rounds):
                for name, server in servers.items():
                    figures = asyncio.run(load(server, request(), clients, seconds))
                    taken.setdefault((name, clients), []).append(figures)
                    time.sleep(1)  # what is on disk is sent before the next one is measured
    shares = []
    for clients in CLIENTS:
        turns = [
            (ours["requests_per_second"], ours["cpu_us"], bare["requests_per_second"], bare["cpu_us"])
            for ours, bare in zip(taken["ours", clients], taken["bare", clients], strict=True)
        ]
        ours, ours_cpu, bare, bare_cpu = (statistics.median(column) for column in zip(*turns, strict=True))
        share = statistics.median(ours / bare for ours, _, bare, _ in turns)
        cpu_share = statistics.median(bare_cpu / ours_cpu for _, ours_cpu, _, bare_cpu in turns)
        shares.append(share)
        print(
            f"endpoint, {clients} clients: {ours:.0f} requests a second, bare {bare:.0f}: {share:.2f}; "
            f"processor {ours_cpu:.0f} us a request, bare {bare_cpu:.0f}: {cpu_share:.2f}",
            flush=True,
        )
    return min(shares) >= 0.8


def put_model(aws: LocalAws, folder: Path, model_id: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in (model.METADATA, model.LEARNER):
            tar.add(folder / name, name)
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"{model_id}.tar.gz", Body=archive.getvalue())


async def paced(server: Server, swap: Any) -> tuple[set[str], int, float]:
    """RATE requests a second; (event ids answered, failures, worst milliseconds)."""
    answered, failed, worst = set[str](), 0, 0.0
    observation = {"request_type": "observation", "observation": [50] * FEATURES}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:

        async def one() -> None:
            nonlocal failed, worst
            began = time.perf_counter()
            try:
                answer = await client.post("/invocations", json=observation, timeout=30)
                answered.add(answer.raise_for_status().json()["event_id"])
            except httpx.HTTPError:
                failed += 1
            worst = max(worst, (time.perf_counter() - began) * 1000)

        tasks, began = [], time.perf_counter()
        for number in range(RATE * SWAP_SECONDS):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            tasks.append(asyncio.create_task(one()))
            if number % (RATE * SWAP_SECONDS // SWAPS) == RATE // 2:
                await asyncio.to_thread(swap)
        await asyncio.gather(*tasks)
    return answered, failed, worst


def measure_swap(aws: LocalAws, trained: Path, base: Path) -> bool:
    """The model exchanged under requests."""
    make_stream(aws, "swapped")
    s3 = aws.client("s3")
    names = [f"m{number}" for number in range(SWAPS)]
    for name in names:
        training.train(model_id=name, output=base / name, parent=trained, rows=base / "some")
        put_model(aws, base / name, name)
    left = iter(names)

    def swap() -> None:
        name = next(left)
        pointer = {"model_id": name, "model_uri": f"s3://{BUCKET}/{name}.tar.gz"}
        s3.put_object(Bucket=BUCKET, Key="hosting.json", Body=json.dumps(pointer).encode())

    environment = {
        "BANDIT_OBSERVATION_STREAM": "swapped",
        "BANDIT_POINTER": f"s3://{BUCKET}/hosting.json",
        "BANDIT_POLL_SECONDS": "0.2",
    }
    with worker(base, "swapping", trained, "inference.py", aws, **environment) as server:
        answered, failed, worst = asyncio.run(paced(server, swap))
    deadline = time.monotonic() + 60
    served: dict[str, str] = {}
    while not answered <= served.keys() and time.monotonic() < deadline:
        time.sleep(0.5)
        for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="swapped/").get("Contents", ()):
            body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            records = map(json.loads, body.splitlines())
            served |= {record["event_id"]: record["model_id"] for record in records}
    lost = len(answered - served.keys())
    print(
        f"swap: {len(answered)} requests at {RATE} a second over {len(set(served.values()))} models: "
        f"{failed} failed, {lost} not in the log, the slowest took {worst:.0f} ms"
    )
    return failed == lost == 0 and len(set(served.values())) == SWAPS + 1


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast the bandit's policy learns and answers.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of the endpoint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("training", "endpoint", "swap"), help="one part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        some = joined_rows(1000, base / "some")
        training.train(model_id="first", output=base / "first", config=config.parse(CONTENT), rows=some)
        met = []
        if options.only in (None, "training"):
            met.append(measure_training(options.rows, options.rounds, base))
        if options.only == "training":
            return 0 if all(met) else 1
        aws = LocalAws(base / "aws")
        try:
            os.environ.update(aws.env)
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            if options.only in (None, "endpoint"):
                met.append(measure_endpoint(aws, base / "first", base, options.seconds, options.rounds))
            if options.only in (None, "swap"):
                met.append(measure_swap(aws, base / "first", base))
        finally:
            aws.stop()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
