"""A trained policy on disk and in memory: `policy.json` and `vw.model`.

policy.json says all that the learner's file does not: configuration, encoder, where the model comes from, and
*probes*, a few decisions with the probabilities that training saw. Whoever loads the model repeats them, so a
model that decides otherwise here than where it was trained is noticed before it serves.
"""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vowpalwabbit import Workspace

from .config import Config, parse
from .encoder import Encoder, Observation
from .errors import InvalidConfig, InvalidObservation, UnusableModel
from .examples import Arm, Examples, arm_ids

VERSION = 1
METADATA, LEARNER, ARCHIVE = "policy.json", "vw.model", "model.tar.gz"
PROBE_TOLERANCE = 1e-6
ARCHIVE_BYTES = 4 << 30  # unpacked; no policy is near it


@dataclass(frozen=True)
class Metadata:
    """policy.json.

    rows: joined rows this job trained on; total_rows: with those of all parents, 0 = a random policy.
    """

    model_id: str
    parent_model_id: str | None
    config: Config
    encoder: Encoder
    rows: int
    total_rows: int
    refused: Mapping[str, int]
    vw_version: str
    probes: Sequence[Mapping[str, Any]] = ()
    sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "model_id": self.model_id,
            "parent_model_id": self.parent_model_id,
            "config": self.config.content,
            "encoder": self.encoder.to_json(),
            "rows": self.rows,
            "total_rows": self.total_rows,
            "refused": dict(self.refused),
            "vw_arguments": " ".join(self.config.vw_arguments()),
            "vw_version": self.vw_version,
            "probes": list(self.probes),
            "sha256": self.sha256,
        }

    @classmethod
    def load(cls, folder: Path) -> Metadata:
        """Read policy.json of a model folder. Raises UnusableModel."""
        file = folder / METADATA
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnusableModel(f"{file} cannot be read: {error}") from None
        if not isinstance(content, Mapping) or content.get("version") != VERSION:
            raise UnusableModel(f"{file} is not of version {VERSION}")
        try:
            config = parse(content["config"])
            return cls(
                model_id=str(content["model_id"]),
                parent_model_id=content["parent_model_id"],
                config=config,
                encoder=Encoder.from_json(config, content["encoder"]),
                rows=int(content["rows"]),
                total_rows=int(content["total_rows"]),
                refused=dict(content["refused"]),
                vw_version=str(content["vw_version"]),
                probes=list(content["probes"]),
                sha256=str(content["sha256"]),
            )
        except (KeyError, TypeError, ValueError, InvalidConfig) as error:
            raise UnusableModel(f"{file} is not a policy: {error}") from None


class Policy:
    """Answers with a probability for each arm. Not for several threads at once: VW's workspace is not."""

    def __init__(self, metadata: Metadata, learner: Path) -> None:
        """Raises UnusableModel when VW refuses the file."""
        self.metadata = metadata
        self.config = metadata.config
        self.model_id = metadata.model_id
        self._examples = Examples(metadata.config, metadata.encoder)
        self._uniform = metadata.total_rows == 0
        try:
            # Text goes in as lines of its own, never through a shell; quiet, or VW writes to standard error.
            self._vw = Workspace(
                arg_list=[*metadata.config.vw_arguments(), "-t", "-i", str(learner), "--quiet", "--no_stdin"]
            )
        except RuntimeError as error:
            raise UnusableModel(f"{learner} is refused by Vowpal Wabbit: {error}") from None

    def probabilities(self, observation: Observation, arms: Sequence[Arm] | None = None) -> list[float]:
        """One probability an arm, in the order of the arms; they are not negative and add up to 1.

        arms: the arms on offer ({"id": ..., "features": {...}}), None when the policy's arms are fixed.
        Raises InvalidObservation.
        """
        count = len(arm_ids(self.config, arms))
        lines = self._examples.lines(observation, arms)
        raw = [1.0] * count if self._uniform else self._vw.predict(lines)
        return proper(raw, self.config.minimum_probability)

    def check(self) -> None:
        """Repeat the probes. Raises UnusableModel when an answer differs from what training saw."""
        for place, probe in enumerate(self.metadata.probes):
            try:
                answer = self.probabilities(probe["observation"], probe["arms"])
                expected = [float(value) for value in probe["probabilities"]]
            except (KeyError, TypeError, ValueError, InvalidObservation) as error:
                raise UnusableModel(
                    f"model {self.model_id}: probe {place} cannot be asked: {error}"
                ) from None
            if len(answer) != len(expected):
                raise UnusableModel(
                    f"model {self.model_id} has {len(answer)} arms and was trained with {len(expected)}"
                )
            difference = max(abs(a - b) for a, b in zip(answer, expected, strict=True))
            if difference > PROBE_TOLERANCE:
                raise UnusableModel(
                    f"model {self.model_id} answers probe {place} with other probabilities than in training: "
                    f"they differ by up to {difference:.2g}"
                )

    def close(self) -> None:
        self._vw.finish()


def proper(raw: Sequence[float], floor: float = 0.0) -> list[float]:
    """VW's answer as a distribution: clipped at 0 (VW may be slightly below), scaled to 1, at least `floor`.

    Raises UnusableModel when it cannot be one.
    """
    # Not `max(0.0, value)`, which makes 0 of NaN.
    clipped = [0.0 if value < 0 else float(value) for value in raw]
    total = sum(clipped)
    if not math.isfinite(total) or total <= 0:
        raise UnusableModel(f"the learner's answer is not a distribution: {list(raw)!r:.200}")
    floor = min(floor, 1 / len(clipped))
    free = 1 - floor * len(clipped)
    mixed = [free * value / total + floor for value in clipped]
    total = sum(mixed)
    return [value / total for value in mixed]


def load(folder: Path) -> Policy:
    """The policy of a model folder: one with policy.json, or one with model.tar.gz.

    Raises UnusableModel: no model, a damaged one, or one that answers otherwise than in training.
    """
    folder = folder_of(folder)
    metadata = Metadata.load(folder)
    learner = folder / LEARNER
    if not learner.exists():
        raise UnusableModel(f"{folder} has no {LEARNER}")
    if sha256(learner) != metadata.sha256:
        raise UnusableModel(f"{learner} is not the file that {METADATA} describes: its SHA-256 differs")
    policy = Policy(metadata, learner)
    policy.check()
    return policy


def folder_of(folder: Path) -> Path:
    """The folder itself, or where the model.tar.gz in it was unpacked. Raises UnusableModel."""
    if not (folder / METADATA).exists() and (folder / ARCHIVE).exists():
        return unpack(folder / ARCHIVE, Path(tempfile.mkdtemp(prefix="policy-")))
    return folder


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack model.tar.gz into a folder; returns it. Raises UnusableModel; nothing is written elsewhere."""
    try:
        with tarfile.open(archive) as tar:
            if sum(member.size for member in tar) > ARCHIVE_BYTES:
                raise UnusableModel(f"{archive} is larger than {ARCHIVE_BYTES >> 30} GB unpacked")
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UnusableModel(f"{archive} cannot be unpacked: {error}") from None
    return folder


def same_decision(config: Config, other: Config) -> str | None:
    """None when two policies see the same context and choose among the same arms, else what differs."""
    for key in ("context", "arms"):
        ours, theirs = config.content[key], other.content[key]
        if ours != theirs:
            if key == "arms" and config.arms and other.arms and len(config.arms) != len(other.arms):
                return f"{len(other.arms)} arms, not {len(config.arms)}"
            return f"another {key}"
    return None


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
