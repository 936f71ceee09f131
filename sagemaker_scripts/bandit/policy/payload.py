"""Bodies of requests and answers: one JSON request, or a batch as JSON lines or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from .config import Config
from .errors import InvalidObservation
from .event_log import RecordTooLarge
from .serving import Worker

JSON, JSON_LINES, CSV = "application/json", "application/jsonlines", "text/csv"
CSV_COLUMNS = ("action", "action_prob", "event_id", "sample_prob", "model_id")


class Refusal(Exception):
    """A request that is answered with an error status; the body says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def respond(worker: Worker, body: str | bytes, content_type: str, accept: str) -> tuple[str, str]:
    """(body, content type) of the answer. Raises Refusal: 204 empty body, 400, 406, 415."""
    kind = _media_type(content_type) or JSON
    text = _decoded(body)
    if not text.strip():
        raise Refusal(204, "the request is empty")
    try:
        if kind == JSON:
            return orjson.dumps(worker.answer(_parsed(text, None))).decode(), JSON
        if kind not in PARSERS:
            raise Refusal(415, f"content type {kind} is not one of {JSON}, {', '.join(PARSERS)}")
        requests = PARSERS[kind](text, worker.hosted.policy.config)
        wanted = _media_type(accept)
        if wanted in ("", "*/*", JSON):
            wanted = kind  # the toolkit's default accept says nothing about a batch
        if wanted not in (JSON_LINES, CSV):
            raise Refusal(406, f"accept {wanted} is not one of {JSON_LINES}, {CSV}")
        return _written(worker.decide_all(requests), wanted), wanted
    except InvalidObservation as error:
        raise Refusal(400, str(error)) from None
    except RecordTooLarge as error:
        raise Refusal(413, str(error)) from None


def from_json_lines(text: str, config: Config) -> list[Mapping[str, Any]]:
    """A line is an observation, or an object with `observation` and whatever else a request may have."""
    names = {feature.name for feature in config.context}
    requests = []
    # Not splitlines, which ends a line at characters that JSON allows within a text.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            value = _parsed(line, number)
            whole = isinstance(value, Mapping) and "observation" in value and "observation" not in names
            requests.append(value if whole else {"observation": value})
    return requests


def from_csv(text: str, config: Config) -> list[Mapping[str, Any]]:
    """A row is an observation in the order of the schema; an empty cell is a missing value."""
    requests: list[Mapping[str, Any]] = []
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if not row:
            continue
        if len(row) != len(config.context):
            raise InvalidObservation(
                "wrong feature count",
                f"line {number} has {len(row)} values, the policy has {len(config.context)} features",
            )
        cells = zip(config.context, row, strict=True)
        requests.append(
            {"observation": [_cell(cell, feature.kind == "number", number) for feature, cell in cells]}
        )
    return requests


PARSERS: Mapping[str, Callable[[str, Config], list[Mapping[str, Any]]]] = {
    JSON_LINES: from_json_lines,
    CSV: from_csv,
}


def _written(answers: Sequence[Mapping[str, Any]], kind: str) -> str:
    if kind == JSON_LINES:
        return "".join(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE).decode() for answer in answers)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([[answer[column] for column in CSV_COLUMNS] for answer in answers])
    return lines.getvalue()


def _cell(cell: str, number: bool, line: int) -> float | str | None:
    if not cell.strip():
        return None
    if not number:
        return cell
    try:
        return float(cell)
    except ValueError:
        raise InvalidObservation("unusable value", f"line {line}: {cell!r:.80} is not a number") from None


def _parsed(text: str, line: int | None) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as error:
        where = "the request" if line is None else f"line {line}"
        raise InvalidObservation("bad request", f"{where} is not JSON: {error}") from None


def _decoded(body: str | bytes) -> str:
    if isinstance(body, str):
        return body
    try:
        return bytes(body).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the request is not UTF-8: {error}") from None


def _media_type(header: str | None) -> str:
    return (header or "").split(";")[0].strip().lower()
