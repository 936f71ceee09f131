"""The ground-truth merge.

Labels that arrive late, twice, out of order or for unknown ids, joined to what was said.

Container contract of ``sagemaker-model-monitor-groundtruth-merger``: ``dataset_source`` holds captures,
``ground_truth_source`` labels, ``output_path`` takes the joined records, by hour of *inference*. A capture
with an
``inferenceId`` is joined on it, one without on its ``eventId``.

Nothing multiplies: a captured request leaves at most one record, whatever is delivered twice. Output files
are named after endpoint, variant and hour, so that merging an hour again replaces its file instead of adding
one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .capture import within_hour
from .publish import write_json, write_lines, write_message
from .sources import AnalysisError, Locations, Refusals, find_files, line_blocks, no_data, rebase

Json = dict[str, Any]

_NAMESPACE = uuid.UUID("a3c3d6de-5a2f-5d0e-9a55-0f3f1c2b7a10")
ENCODINGS = ("CSV", "JSON")


@dataclass
class Counts:
    """``matched`` records left.

    ``waiting`` captures had no label yet; ``repeated`` said again what was known.
    """

    captures: int = 0
    labels: int = 0
    matched: int = 0
    waiting: int = 0
    repeated_labels: int = 0
    corrected_labels: int = 0
    repeated_captures: int = 0
    labels_without_capture: int = 0
    refused: Refusals = field(default_factory=Refusals)

    def to_json(self) -> Json:
        numbers = {key: value for key, value in vars(self).items() if key != "refused"}
        return numbers | {"refused": self.refused.to_json()}


class Label(NamedTuple):
    data: str
    encoding: str


def merge(
    captures: Path,
    labels: Path,
    output: Path,
    locations: Locations | None = None,
    window: tuple[str, str] = ("", ""),
) -> Counts:
    """Join the captures below one folder with the labels below another; write joined records to ``output``.

    ``window``: start and end; of a window that is not of whole hours only its own captures are joined.

    Raises ``AnalysisError`` when there are no captures, no labels, or not one pair.
    """
    locations = locations or Locations()
    counts = Counts()
    known = read_labels(_files(labels, locations, "ground truth"), locations, counts)
    files = _files(captures, locations, "captured")
    ambiguous = _reused_ids(files, locations)
    if not known:
        raise counts.refused.nothing_left("ground truth to merge")
    used: set[str] = set()
    elsewhere: set[str] = set()
    folders = sorted({path.parent for path in files})
    for folder in folders:
        inside = [path for path in files if path.parent == folder]
        place = folder.relative_to(captures)
        name = f"part-00000-{uuid.uuid5(_NAMESPACE, place.as_posix())}.c000.jsonl"
        records = _inside(_records(inside, locations, counts.refused), within_hour(window), elsewhere)
        joined = _join(records, known, ambiguous, used, counts)
        write_lines(output / place / name, joined)
    counts.labels_without_capture = len(known.keys() - used - ambiguous - elsewhere)
    if not counts.matched:
        raise counts.refused.nothing_left(
            f"captured request has a label: {counts.waiting} wait for one, "
            f"{counts.labels_without_capture} labels belong to no request of this window"
        )
    return counts


def _inside(
    records: Iterator[tuple[str, Json]], bounds: tuple[str, str] | None, elsewhere: set[str]
) -> Iterator[tuple[str, Json]]:
    """The records of the window; keys of those beside it go to ``elsewhere``: their labels are no orphans."""
    for where, record in records:
        time = record["eventMetadata"].get("inferenceTime") or ""
        if bounds is None or bounds[0] <= time < bounds[1]:
            yield where, record
        else:
            elsewhere.add(join_key(record))


def read_labels(files: list[Path], locations: Locations, counts: Counts) -> dict[str, Label]:
    """Labels by id.

    Of several for one id the one collected last stands (folders are named by collection hour).
    """
    known: dict[str, Label] = {}
    for where, record in _lines(files, locations, counts.refused):
        counts.labels += 1
        try:
            key, truth = record["eventMetadata"]["eventId"], record["groundTruthData"]
            label = Label(truth["data"], truth["encoding"])
        except (KeyError, TypeError) as error:
            counts.refused.add("not a ground-truth record", where, repr(error))
            continue
        if (
            not isinstance(key, str)
            or not key
            or not isinstance(label.data, str)
            or label.encoding not in ENCODINGS
        ):
            counts.refused.add("not a ground-truth record", where, json.dumps(record)[:100])
        elif not label.data.strip():
            counts.refused.add("empty label", where)
        else:
            before = known.get(key)
            counts.repeated_labels += before == label
            counts.corrected_labels += before is not None and before != label
            known[key] = label
    return known


def _join(
    records: Iterator[tuple[str, Json]],
    known: Mapping[str, Label],
    ambiguous: frozenset[str],
    used: set[str],
    counts: Counts,
) -> Iterator[str]:
    for where, record in records:
        counts.captures += 1
        key = join_key(record)
        if key in ambiguous:
            counts.refused.add("one id on different requests", where, key)
        elif key not in known:
            counts.waiting += 1
        elif key in used:
            counts.repeated_captures += 1
        else:
            used.add(key)
            counts.matched += 1
            yield merged_line(record, known[key])


def merged_line(record: Json, label: Label) -> str:
    """One output record, keys in the managed merger's order."""
    merged = {
        "eventVersion": record.get("eventVersion", "0"),
        "groundTruthData": {"data": label.data, "encoding": label.encoding},
        "captureData": record["captureData"],
        "eventMetadata": record["eventMetadata"],
    }
    return json.dumps(merged, separators=(",", ":")) + "\n"


def join_key(record: Json) -> str:
    """The client's ``inferenceId`` where there is one, else the endpoint's ``eventId``."""
    metadata = record["eventMetadata"]
    return str(metadata.get("inferenceId") or metadata["eventId"])


def _reused_ids(files: list[Path], locations: Locations) -> frozenset[str]:
    """Ids that stand on requests of different content: nobody can say which one a label is meant for."""
    seen: dict[str, int] = {}
    reused = set()
    for _, record in _records(files, locations, Refusals()):
        # A repeated delivery repeats the input; a reused id does not.
        given = record["captureData"].get("endpointInput") or record["captureData"]
        digest = hash(json.dumps(given, sort_keys=True))
        if seen.setdefault(join_key(record), digest) != digest:
            reused.add(join_key(record))
    return frozenset(reused)


def _records(files: list[Path], locations: Locations, refusals: Refusals) -> Iterator[tuple[str, Json]]:
    for where, record in _lines(files, locations, refusals):
        try:
            usable = bool(join_key(record)) and isinstance(record["captureData"], dict)
        except (KeyError, TypeError, AttributeError):
            usable = False
        if usable:
            yield where, record
        else:
            refusals.add("not a capture record", where)


def _lines(files: list[Path], locations: Locations, refusals: Refusals) -> Iterator[tuple[str, Json]]:
    for block in line_blocks(files, locations):
        for number, text in enumerate(block.data.split(b"\n")[:-1]):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except ValueError as error:
                kind = "not JSON" if text.rstrip().endswith(b"}") else "truncated JSON"
                refusals.add(kind, block.where(number), str(error))
                continue
            if isinstance(record, dict):
                yield block.where(number), record
            else:
                refusals.add("not a record", block.where(number))


def _files(folder: Path, locations: Locations, what: str) -> list[Path]:
    files = find_files(folder, (".jsonl",)) if folder.exists() else []
    if not files:
        raise no_data(f"{what} .jsonl file under {locations.name(folder)}")
    # By hour folder and file name, across endpoints: the order in which they were collected.
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix() if folder.is_dir() else "")


def job(env: Mapping[str, str], base: Path, write: Callable[[Path, Json], None] = write_json) -> None:
    """The merger's container contract; the counts go to ``merge_report.json`` and the exit message."""
    missing = [n for n in ("dataset_source", "ground_truth_source", "output_path") if not env.get(n)]
    if missing:
        raise AnalysisError(f"The environment variable {missing[0]} is not set.")
    captures, labels, output = (
        rebase(env[name], base) for name in ("dataset_source", "ground_truth_source", "output_path")
    )
    window = (env.get("start_time", ""), env.get("end_time", ""))
    counts = merge(captures, labels, output, Locations.of_job(base), window)
    write(output / "merge_report.json", counts.to_json())
    refused = f" {counts.refused.sentence()}." if counts.refused.total else ""
    write_message(
        base,
        f"Completed: {counts.matched} records matched, {counts.waiting} wait for a label, "
        f"{counts.labels_without_capture} labels without a request, "
        f"{counts.repeated_labels + counts.repeated_captures} repeated.{refused}",
    )
