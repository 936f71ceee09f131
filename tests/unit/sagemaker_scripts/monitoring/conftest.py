"""Builders of what endpoints and clients leave behind: capture lines, labels, job folders."""

import json
from pathlib import Path

import pytest


class Job:
    """A processing job's base folder with its config, as a container sees it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.inputs: list[dict] = []
        self.env = {"SAGEMAKER_BASE_DIR": str(base), "output_path": "/opt/ml/processing/output"}

    def input(self, local: str, uri: str) -> Path:
        """Declare an input; answers with its local folder."""
        self.inputs.append(
            {"InputName": f"i{len(self.inputs)}", "S3Input": {"S3Uri": uri, "LocalPath": local}}
        )
        config = self.base / "config" / "processingjobconfig.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps({"ProcessingInputs": self.inputs}))
        folder = self.base / local.removeprefix("/opt/ml/")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def output(self, name: str) -> dict:
        return json.loads((self.base / "processing" / "output" / name).read_text())

    @property
    def outputs(self) -> list[str]:
        return sorted(
            path.name for path in (self.base / "processing" / "output").rglob("*") if path.is_file()
        )

    @property
    def message(self) -> str:
        return (self.base / "output" / "message").read_text()

    @property
    def metrics(self) -> list[dict]:
        file = self.base / "output" / "metrics" / "cloudwatch" / "cloudwatch_metrics.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "ml")


@pytest.fixture
def capture():
    """``capture(given, answered, ...) -> str``: one line of a capture file."""

    def build(given, answered, event="e", inference=None, encoding="CSV", output_encoding=None, time=None):
        metadata = {"eventId": event} | ({"inferenceId": inference} if inference else {})
        return json.dumps(
            {
                "captureData": {
                    "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": given,
                                      "encoding": encoding},
                    "endpointOutput": {"observedContentType": "text/csv; charset=utf-8", "mode": "OUTPUT",
                                       "data": answered, "encoding": output_encoding or encoding},
                },
                "eventMetadata": metadata | {"inferenceTime": time or "2026-11-20T10:20:30Z"},
                "eventVersion": "0",
            },
            separators=(",", ":"),
        ) + "\n"  # fmt: skip

    return build


@pytest.fixture
def label():
    """``label(id, value) -> str``: one line of ground truth."""

    def build(event, data, encoding="CSV"):
        record = {
            "groundTruthData": {"data": data, "encoding": encoding},
            "eventMetadata": {"eventId": event},
            "eventVersion": "0",
        }
        return json.dumps(record) + "\n"

    return build
