"""What became of the customers: delivers a ledger's labels as ground truth, late and imperfectly if asked to.

    python -m clients.labels --ledger asked.jsonl --destination s3://bucket/ground-truth/churn-local

A label is a line under `<destination>/yyyy/mm/dd/HH/`, the hour in which it is delivered: when the request
was made does not matter, the inference id joins them. `--delay` delivers each label so many seconds after
its request; `--repeated` sends a share twice, `--withheld` keeps a share back, `--unknown` adds labels for
requests that nobody made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Imperfections:
    """Shares of the labels, and a number of them. None by default."""

    repeated: float = 0.0
    withheld: float = 0.0
    unknown: int = 0
    seed: int = 7


def read_ledger(path: Path) -> list[Entry]:
    """Its entries that have a label. Raises ValueError naming a line that is none."""
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(line)
            entries += [entry] if "label" in entry and entry["inference_id"] and due(entry, 0) else []
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} line {number} is no entry of a ledger: {error!r}") from None
    return entries


def records(entries: Sequence[Entry], wrong: Imperfections = Imperfections()) -> list[dict[str, Any]]:
    """Ground-truth records in the order of delivery, which is not that of the requests."""
    draw = np.random.default_rng(wrong.seed)
    kept = [entry for entry in entries if draw.random() >= wrong.withheld]
    made = [_record(str(entry["inference_id"]), int(entry["label"])) for entry in kept]
    made += [record for record in made if draw.random() < wrong.repeated]
    made += [_record(f"unknown-{uuid.UUID(bytes=draw.bytes(16))}", 1) for _ in range(wrong.unknown)]
    return [made[place] for place in draw.permutation(len(made))]


def due(entry: Entry, delay: float) -> datetime:
    """When the label of a request is known."""
    return datetime.fromisoformat(entry["sent"]) + timedelta(seconds=delay)


def deliver(s3: Any, destination: str, given: Iterable[Mapping[str, Any]], now: datetime) -> str | None:
    """Put records into the folder of the hour; the object's URI, None where there was nothing to put."""
    lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in given)
    if not lines:
        return None
    parts = urlsplit(destination)
    key = f"{parts.path.strip('/')}/{now:%Y/%m/%d/%H}/{now:%M%S}-{uuid.uuid4().hex[:8]}.jsonl"
    s3.put_object(Bucket=parts.netloc, Key=key, Body=lines.encode())
    return f"s3://{parts.netloc}/{key}"


def _record(inference_id: str, label: int) -> dict[str, Any]:
    return {
        "groundTruthData": {"data": str(label), "encoding": "CSV"},
        "eventMetadata": {"eventId": inference_id},
        "eventVersion": "0",
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Deliver the labels of a ledger as ground truth.")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--destination", required=True, help="s3:// prefix")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between a request and its label")
    parser.add_argument("--repeated", type=float, default=0.0, help="share of the labels that come twice")
    parser.add_argument("--withheld", type=float, default=0.0, help="share of the labels that never come")
    parser.add_argument("--unknown", type=int, default=0, help="labels for requests that nobody made")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    wrong = Imperfections(options.repeated, options.withheld, options.unknown, options.seed)
    try:
        waiting = sorted(read_ledger(options.ledger), key=lambda entry: due(entry, options.delay))
        s3, delivered = boto3.client("s3"), 0
        while waiting:
            now = datetime.now(UTC)
            ready = [entry for entry in waiting if due(entry, options.delay) <= now]
            waiting = waiting[len(ready) :]
            given = records(ready, wrong)
            delivered += len(given)
            if uri := deliver(s3, options.destination, given, now):
                print(f"{len(given):,} labels at {uri}")
            if waiting:
                time.sleep(max(0.0, (due(waiting[0], options.delay) - now).total_seconds()))
    except (ClientError, BotoCoreError, OSError, ValueError) as error:
        print(f"labels: {error}", file=sys.stderr)
        return 1
    print(f"{delivered:,} labels delivered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
