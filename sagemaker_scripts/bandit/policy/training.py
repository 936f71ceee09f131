"""The training job: first random policy, warm start from logs, or the next model of a chosen parent.

Rows are turned into VW's text here and learned by VW in a process of its own, fed through a pipe: encoding
and learning overlap, and the learner reads as it would read a file.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import vowpalwabbit

from . import config as configuration
from . import model as models
from .columns import Columns, data
from .config import Config
from .encoder import Encoder
from .errors import InvalidConfig, NoRows, PolicyError, UnusableModel
from .examples import Examples, Label
from .rows import Refused, Row, latest_moment, read

MODEL_ID = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")  # what SageMaker allows in a job's name
FIT_ROWS = 100_000  # contexts that the encoder's edges are learned from
PROBES = 20
REFUSED_FILE = "refused.jsonl"
OPEN_SECONDS = 60.0
PIPE_BYTES = 1 << 20  # several batches of rows: the learner reads one while the next ones are encoded
AVERAGE_LOSS = re.compile(r"average loss = (\S+)")


@dataclass(frozen=True)
class Trained:
    """What a training did: policy.json's content, what it refused, VW's own progressive loss, seconds."""

    metadata: models.Metadata
    refused: Refused
    average_loss: float | None
    seconds: float


class Feed:
    """Rows on their way to the learner, as VW's text: as often as there are passes."""

    def __init__(self, folder: Path, examples: Examples, passes: int, now: float | None) -> None:
        self.folder = folder
        self.examples = examples
        self.passes = passes
        self.now = now
        self.rows = 0
        self.first: list[Row] = []
        self.refused = Refused()
        self._columns = Columns(examples, latest_moment(now))

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for _ in range(self.passes):
            # What one pass refuses, the next one refuses again.
            self.rows, self.refused = 0, Refused()
            config = self.examples.config
            for text in read(
                self.folder, config, self.refused, self._text, now=self.now, encode_many=self._texts
            ):
                if isinstance(text, pa.Array):
                    self.rows += len(text)
                    yield data(text)
                else:
                    self.rows += 1
                    yield text.encode()

    def _text(self, row: Row) -> str:
        label = Label(row.place, self.examples.config.cost(row.reward), row.probability)
        text = self.examples.text(row.observation, row.arms, label)
        if len(self.first) < PROBES:
            self.first.append(row)
        return text

    def _texts(self, batch: pa.RecordBatch) -> pa.Array | None:
        texts = self._columns.texts(batch)
        if texts is None or len(self.first) >= PROBES:
            return texts
        # The first rows are taken one by one, and noted.
        so_far = np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False))
        return pc.if_else(pa.array(so_far > PROBES), texts, None)


def train(
    *,
    model_id: str,
    output: Path,
    config: Config | None = None,
    rows: Path | None = None,
    parent: Path | None = None,
    seed: int = 0,
    now: float | None = None,
) -> Trained:
    """Train a model and write it to a folder, policy.json last.

    rows: folder of joined rows; without one the policy is random. parent: folder of the model to go on from.
    config: required without a parent; with one it must say the same.
    Raises PolicyError: nothing usable to train on, more rows refused than used, a parent that cannot be used.
    """
    if not MODEL_ID.fullmatch(model_id):
        raise InvalidConfig(f"model_id is {model_id!r}, not 1 to 63 letters, digits and inner hyphens")
    started = time.monotonic()
    before = _metadata(parent) if parent else None
    config = _agreed(config, before)
    encoder = before.encoder if before else Encoder(config, {})
    if rows and not encoder.fitted:
        encoder = _fit(rows, config, now)
    output.mkdir(parents=True, exist_ok=True)
    learner = output / models.LEARNER
    feed = Feed(rows or output, Examples(config, encoder), config.passes if rows else 0, now)
    loss = _learn(config, parent / models.LEARNER if parent else None, learner, seed, feed)
    _check_share(feed, rows)
    metadata = models.Metadata(
        model_id=model_id,
        parent_model_id=before.model_id if before else None,
        config=config,
        encoder=encoder,
        rows=feed.rows,
        total_rows=feed.rows + (before.total_rows if before else 0),
        refused=dict(feed.refused.counts),
        vw_version=vowpalwabbit.__version__,
        sha256=models.sha256(learner),
    )
    metadata = replace(metadata, probes=_probes(metadata, learner, feed.first))
    _publish(output / models.METADATA, json.dumps(metadata.to_json(), indent=1, allow_nan=False))
    return Trained(metadata, feed.refused, loss, time.monotonic() - started)


def _metadata(parent: Path) -> models.Metadata:
    policy = models.load(parent)
    policy.close()
    return policy.metadata


def _agreed(config: Config | None, parent: models.Metadata | None) -> Config:
    if parent is None:
        if config is None:
            raise InvalidConfig(f"there is neither a {configuration.FILE} nor a parent model")
        return config
    if config is not None and config != parent.config:
        different = [key for key, value in config.content.items() if parent.config.content[key] != value]
        raise InvalidConfig(
            f"model {parent.model_id} was trained with another {', '.join(different)}: a policy keeps its "
            "configuration. Warm-start a new one to change it"
        )
    return parent.config


def _fit(rows: Path, config: Config, now: float | None) -> Encoder:
    """The encoder of a first model: edges from the first contexts that can be used."""
    checker = Encoder(config, {})

    def checked(row: Row) -> Row:
        checker.context(row.observation)
        for arm in row.arms or ():
            checker.arm(arm.get("features", {}))
        return row

    first = list(islice(read(rows, config, Refused(), checked, now=now), FIT_ROWS))
    arms = [arm.get("features", {}) for row in first for arm in row.arms or ()]
    # Without a usable row nothing can be learned; the training below says what was wrong with them.
    return Encoder.fit(config, [row.observation for row in first], arms) if first else checker


def _check_share(feed: Feed, rows: Path | None) -> None:
    refused = feed.refused
    if rows is None or (feed.rows and refused.total <= feed.rows):
        return
    if not refused.total:
        raise NoRows(f"there is no row in {rows}")
    first = refused.listed[0]
    raise NoRows(
        f"{refused.total} rows are refused ({refused}) and {feed.rows} can be used; "
        f"the first is event {first['event_id']}: {first['detail']}"
    )


def _learn(
    config: Config, parent: Path | None, learner: Path, seed: int, blocks: Iterable[bytes | memoryview]
) -> float | None:
    """Run VW over blocks of text. Returns its average loss, None when there was nothing to learn from.

    Raises UnusableModel with VW's last words when it ends otherwise than well.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipe, log = Path(folder, "examples"), Path(folder, "log")
        os.mkfifo(pipe)
        words = [*config.vw_arguments(), "--random_seed", str(seed), "--save_resume", "--no_stdin"]
        words += ["-i", str(parent)] if parent else []
        words += ["-d", str(pipe), "-f", str(learner)]
        with log.open("wb") as stream:
            vw = subprocess.Popen(
                [sys.executable, "-m", "vowpalwabbit", *words], stdout=stream, stderr=stream
            )
        try:
            left = iter(blocks)
            first = next(left, b"")  # encoded while the learner starts
            with suppress(BrokenPipeError), _opened(pipe, vw) as text:
                text.writelines(chain([first], left))
            code = vw.wait()
        finally:
            if vw.poll() is None:
                vw.kill()
                vw.wait()
        said = log.read_text(errors="replace")
    if code != 0 or not learner.exists():
        raise UnusableModel(f"Vowpal Wabbit ended with code {code}: {_last_line(said)}")
    found = AVERAGE_LOSS.search(said)
    with suppress(ValueError):
        return float(found.group(1)) if found else None
    return None


def _opened(pipe: Path, reader: subprocess.Popen[bytes]) -> BinaryIO:
    """The writing end of a pipe, as soon as its reader has opened it."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if reader.poll() is not None or time.monotonic() > deadline:
                raise BrokenPipeError from None
            time.sleep(0.01)
    os.set_blocking(descriptor, True)
    with suppress(OSError):  # a system may allow less
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return open(descriptor, "wb", buffering=1 << 16)  # noqa: PTH123  # a descriptor has no path


def _probes(metadata: models.Metadata, learner: Path, rows: Iterable[Row]) -> list[dict[str, Any]]:
    policy = models.Policy(metadata, learner)
    try:
        return [
            {
                "observation": row.observation,
                "arms": row.arms,
                "probabilities": policy.probabilities(row.observation, row.arms),
            }
            for row in rows
        ]
    finally:
        policy.close()


def _publish(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def main(arguments: list[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """SageMaker's script mode: hyperparameters are arguments, channels are folders named by SM_CHANNEL_*.

    Channels: `config`, `train`, `parent`, as `train` above has them.
    """
    parser = argparse.ArgumentParser(description="Train a contextual bandit policy.")
    parser.add_argument("--model_id", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    channel = {name: env.get(f"SM_CHANNEL_{name.upper()}") for name in ("config", "train", "parent")}
    try:
        trained = train(
            model_id=options.model_id,
            output=Path(env.get("SM_MODEL_DIR", "/opt/ml/model")),
            config=configuration.load(Path(channel["config"])) if channel["config"] else None,
            rows=Path(channel["train"]) if channel["train"] else None,
            parent=models.folder_of(Path(channel["parent"])) if channel["parent"] else None,
            seed=options.seed,
        )
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    data = Path(env.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"))
    data.mkdir(parents=True, exist_ok=True)
    _publish(data / REFUSED_FILE, "".join(json.dumps(entry) + "\n" for entry in trained.refused.listed))
    for entry in trained.refused.listed:
        print(f"refused event {entry['event_id']}: {entry['detail']}")
    loss = "" if trained.average_loss is None else f" average_loss={trained.average_loss:.6f};"
    # One line for the job's metric definitions.
    print(
        f"rows={trained.metadata.rows}; refused={trained.refused.total};{loss} seconds={trained.seconds:.2f};"
    )
    return 0
