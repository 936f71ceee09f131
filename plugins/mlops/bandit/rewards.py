"""Which reward objects a batch is made of: claimed once, copied to where no other join reads, and listed.

Rewards arrive as objects in hour partitions, written by Firehose or put there by anybody. A join claims
those that no earlier join has claimed. The claim is written down (`joins/<join id>/inputs.json`) before any
of it is used, so that a retry works on exactly the same rewards. A join that fails leaves no claim: the next
one takes its rewards again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.bandit.experiment import HOUR

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment

# Firehose tries for a day to deliver an object, under the hour in which its first record arrived.
DELIVERY = timedelta(hours=26)
COPIES = 8  # boto3 keeps ten connections
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Claim:
    """The rewards of one join.

    rewards: keys of the claimed objects. claimed: keys that this and earlier joins have claimed, as far back
    as objects may still arrive. as_of: when it was claimed, ISO 8601.
    """

    rewards: tuple[str, ...]
    claimed: tuple[str, ...]
    as_of: str


def waiting(s3: Any, experiment: Experiment, last: Claim | None, now: datetime) -> list[str]:
    """Keys of the reward objects that no join has claimed, oldest first."""
    since = datetime.fromisoformat(last.as_of) if last else now
    folder = f"{experiment.root}rewards_data/"
    first = f"{folder}dt={min(since, now) - DELIVERY:{HOUR}}" if last else folder
    claimed = set(last.claimed) if last else set()
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=experiment.settings.bucket, Prefix=folder, StartAfter=first
    )
    keys = [item["Key"] for page in pages for item in page.get("Contents", []) if item["Size"]]
    return [key for key in keys if key not in claimed]


def count(s3: Any, experiment: Experiment, keys: Iterable[str], enough: int) -> int:
    """Lines in the objects, counted up to `enough`: at most a batch is streamed through the worker."""
    lines = 0
    for key in keys:
        lines += _lines(s3.get_object(Bucket=experiment.settings.bucket, Key=key)["Body"])
        if lines >= enough:
            break
    return lines


def claim(s3: Any, experiment: Experiment, join_id: str, last: Claim | None, now: datetime) -> Claim:
    """The join's claim: the one written down by an earlier try, else a new one on everything that waits."""
    bucket, key = experiment.settings.bucket, f"{experiment.root}joins/{join_id}/inputs.json"
    made = read(s3, experiment, join_id)
    if made is None:
        keys = waiting(s3, experiment, last, now)
        oldest = f"{experiment.root}rewards_data/dt={now - 2 * DELIVERY:{HOUR}}"
        before = [old for old in (last.claimed if last else ()) if old >= oldest]
        made = Claim(tuple(keys), tuple(sorted({*before, *keys})), now.isoformat())
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(asdict(made)).encode())
    copy(s3, bucket, {source: _target(experiment, join_id, source) for source in made.rewards})
    return made


def read(s3: Any, experiment: Experiment, join_id: str) -> Claim | None:
    """The claim of a join; None when it has none."""
    key = f"{experiment.root}joins/{join_id}/inputs.json"
    try:
        body = s3.get_object(Bucket=experiment.settings.bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    values = json.loads(body)
    return Claim(tuple(values["rewards"]), tuple(values["claimed"]), values["as_of"])


def copy(s3: Any, bucket: str, targets: Mapping[str, str]) -> None:
    """Copy objects within S3: nothing passes through the worker."""

    def one(item: tuple[str, str]) -> None:
        source, target = item
        s3.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source})

    with ThreadPoolExecutor(COPIES) as threads:
        list(threads.map(one, targets.items()))


def _target(experiment: Experiment, join_id: str, source: str) -> str:
    hour, _, name = source.removeprefix(f"{experiment.root}rewards_data/").rpartition("/")
    return f"{experiment.root}claimed/join_id={join_id}/{hour.replace('/', '-')}-{name}"


def _lines(body: Any) -> int:
    """Lines of an object that may be gzipped, a piece at a time."""
    found, last = 0, b"\n"
    unpack: Any = None
    for index, piece in enumerate(body.iter_chunks(1 << 20)):
        if index == 0 and piece[:2] == GZIP:
            unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        text = unpack.decompress(piece) if unpack else piece
        while unpack and unpack.eof and unpack.unused_data:  # Firehose may append one archive to another
            rest, unpack = unpack.unused_data, zlib.decompressobj(16 + zlib.MAX_WBITS)
            text += unpack.decompress(rest)
        found += text.count(b"\n")
        last = text[-1:] or last
    return found + (last != b"\n")
