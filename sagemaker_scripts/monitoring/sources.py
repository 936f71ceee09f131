"""Where records come from: files in a folder, read in blocks of whole lines, every line with a name.

A job sees local files; a person knows objects. ``Locations`` turns one into the other from the job's own
``processingjobconfig.json``, so that every message says ``s3://bucket/key line 12``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

BLOCK_BYTES = 16 << 20
EXAMPLES = 20
NO_DATA = "Job inputs had no data"  # the managed service's words, by which callers know this outcome


class AnalysisError(Exception):
    """The execution cannot be analysed; the text says what was wrong, where, and what to do."""


def no_data(what: str) -> AnalysisError:
    """There was nothing to analyse: an outcome of its own, known by the beginning of its text."""
    return AnalysisError(f"{NO_DATA}: no {what}.")


@dataclass(frozen=True)
class Locations:
    """Local folders of a job and the S3 prefixes they were filled from."""

    prefixes: tuple[tuple[Path, str], ...] = ()

    @classmethod
    def of_job(cls, base: Path) -> Locations:
        """Read ``<base>/config/processingjobconfig.json``; without one, files are named by their path."""
        config = base / "config" / "processingjobconfig.json"
        if not config.is_file():
            return cls()
        inputs = json.loads(config.read_text()).get("ProcessingInputs") or []
        pairs = [
            (rebase(source["LocalPath"], base), source["S3Uri"].rstrip("/"))
            for source in (entry.get("S3Input") or {} for entry in inputs)
            if source.get("LocalPath") and source.get("S3Uri")
        ]
        return cls(tuple(sorted(pairs, key=lambda pair: -len(pair[0].parts))))

    def name(self, path: Path) -> str:
        for folder, uri in self.prefixes:
            if path.is_relative_to(folder):
                below = path.relative_to(folder).as_posix()
                # An input whose URI is the object itself lands as <LocalPath>/<basename>.
                return uri if uri.endswith("/" + below) else f"{uri}/{below}"
        return str(path)


def rebase(path: str, base: Path) -> Path:
    """Move a container path (``/opt/ml/...``) below this job's base folder."""
    return base / path.removeprefix("/opt/ml").lstrip("/") if path.startswith("/opt/ml") else Path(path)


@dataclass
class Refusals:
    """Records that were not used: how many for each reason, and the first places by name."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, reason: str, where: str, detail: str = "") -> None:
        self.counts[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"where": where, "reason": reason, "detail": detail[:200]})

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        return {"total": self.total, "reasons": dict(sorted(self.counts.items())), "examples": self.examples}

    def sentence(self) -> str:
        """One line for a person: ``2 records refused (truncated JSON: 2); first: s3://... line 7``."""
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(self.counts.items()))
        noun = "record" if self.total == 1 else "records"
        first = self.examples[0]
        detail = f" {first['detail']!r}" if first["detail"] else ""
        return f"{self.total} {noun} refused ({reasons}); first: {first['where']}, {first['reason']}{detail}"

    def nothing_left(self, what: str) -> AnalysisError:
        """The error when no usable record is left: no data if none came, a failure if all were refused."""
        if not self.total:
            return no_data(what)
        return AnalysisError(f"No {what}: {self.sentence()}.")


class Span(NamedTuple):
    """A run of consecutive lines of one file inside a block."""

    name: str
    first_line: int
    lines: int


@dataclass(frozen=True)
class Block:
    """Whole lines (each ends in a newline) and where they came from."""

    data: bytes
    spans: tuple[Span, ...]

    @property
    def lines(self) -> int:
        return sum(span.lines for span in self.spans)

    def where(self, index: int) -> str:
        """Name of the block's line ``index`` (from 0)."""
        for span in self.spans:
            if index < span.lines:
                return f"{span.name} line {span.first_line + index}"
            index -= span.lines
        raise IndexError(index)


def find_files(source: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files below ``source`` with one of the suffixes, by name.

    Hidden and marker files (``_SUCCESS``) are not data.
    """
    if source.is_file():
        return [source]
    found = (path for path in source.rglob("*") if path.is_file() and path.suffix in suffixes)
    return sorted(path for path in found if not path.name.startswith((".", "_")))


def line_blocks(files: Iterable[Path], locations: Locations, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Blocks of about ``size`` bytes: many small files share one, a large file fills several."""
    parts: list[bytes] = []
    spans: list[Span] = []
    held = 0
    for path in files:
        name, line = locations.name(path), 1
        for data in _whole_lines(path, size):
            count = data.count(b"\n")
            parts.append(data)
            spans.append(Span(name, line, count))
            line += count
            held += len(data)
            if held >= size:
                yield Block(b"".join(parts), tuple(spans))
                parts, spans, held = [], [], 0
    if parts:
        yield Block(b"".join(parts), tuple(spans))


def _whole_lines(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        rest = b""
        while data := stream.read(size):
            data = rest + data
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if cut:
                yield data[:cut]
        if rest:
            yield rest + b"\n"
