"""A user's own record preprocessor and postprocessor, as Model Monitor runs them.

``preprocess_handler(inference_record[, logger])`` answers with a flat dict (columns in the order of its
sorted keys), a list of them, or ``[]`` to drop the record; ``postprocess_handler()`` runs after a successful
analysis. The scripts are the account owner's, given with the schedule: they run in the job's own process, as
on AWS.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .capture import Requests
from .sources import AnalysisError

Json = dict[str, Any]
Preprocess = Callable[["InferenceRecord"], Any]


@dataclass(frozen=True)
class Payload:
    """One side of a captured request."""

    encoding: str
    data: str
    observedContentType: str = ""
    mode: str = ""


@dataclass(frozen=True)
class EventMetadata:
    event_id: str | None
    event_time: str | None
    custom_attribute: Any = None


class InferenceRecord:
    """What a preprocessor is handed: the captured record by attributes, or whole by ``event_dict``."""

    def __init__(self, record: Json) -> None:
        self.event_dict = record
        self.event_version = record.get("eventVersion", "0")
        metadata = record.get("eventMetadata") or {}
        self.event_metadata = EventMetadata(
            metadata.get("eventId"), metadata.get("inferenceTime"), metadata.get("customAttributes")
        )
        captured = record.get("captureData") or {}
        self.endpoint_input = _payload(captured.get("endpointInput"))
        self.endpoint_output = _payload(captured.get("endpointOutput"))
        self.batch_transform_output = _payload(captured.get("batchTransformOutput"))
        self.ground_truth = _payload(record.get("groundTruthData"))

    def as_dict(self) -> Json:
        return self.event_dict


def load(path: Path, name: str) -> Callable[..., Any]:
    """The handler ``name`` of a script. Raises ``AnalysisError`` when there is no such script or handler."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise AnalysisError(f"Cannot load the script {path.name}: there is no such Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise AnalysisError(f"The script {path.name} failed to load: {error!r}.") from error
    handler = getattr(module, name, None)
    if handler is None:
        raise AnalysisError(f"The script {path.name} defines no {name}.")
    return handler


def preprocessor(path: Path) -> Preprocess:
    """The script's ``preprocess_handler`` as a function of the record (a second argument gets a logger)."""
    handler = load(path, "preprocess_handler")
    if len(inspect.signature(handler).parameters) > 1:
        return lambda record: handler(record, logging.getLogger("preprocess_handler"))
    return handler


def preprocessed(requests: Requests, preprocess: Preprocess) -> Iterator[tuple[int, Json]]:
    """``(request index, record)`` of what the handler makes of each line; columns by sorted key."""
    lines = requests.block.data.split(b"\n")
    for index, number in enumerate(requests.line):
        try:
            made = preprocess(InferenceRecord(json.loads(lines[int(number)])))
        except Exception as error:
            raise AnalysisError(
                f"preprocess_handler failed on {requests.where(index)}: {error!r}."
            ) from error
        for record in made if isinstance(made, list) else [made]:
            if not isinstance(record, dict):
                raise AnalysisError(
                    f"preprocess_handler answered {type(record).__name__} for {requests.where(index)}."
                )
            yield index, {key: record[key] for key in sorted(record)}


def _payload(value: Json | None) -> Payload | None:
    if value is None:
        return None
    known = {name: value.get(name, "") for name in ("encoding", "data", "observedContentType", "mode")}
    return Payload(**known)
