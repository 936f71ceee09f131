"""SageMaker jobs as every operator here treats them: named, adopted, watched, stopped.

A retry must not start a second job. So a job's name derives from the DAG run and a counter, and what it was
asked to do is kept with it, as a digest in its environment: a new try looks at the names in order and adopts
the first job that was asked the same and still runs, or has completed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops.aws import is_missing
from mlops.naming import request_digest

REQUEST_DIGEST = "MLOPS_REQUEST_DIGEST"
MAXIMUM_ATTEMPTS = 50
LOG_TAIL = 20


@dataclass(frozen=True)
class JobKind:
    """How boto3 names the calls and fields of one kind of SageMaker job."""

    noun: str
    name_field: str
    status_field: str
    log_group: str

    def describe(self, client: Any, name: str) -> dict[str, Any]:
        return dict(getattr(client, f"describe_{self.noun}_job")(**{self.name_field: name}))

    def find(self, client: Any, name: str) -> dict[str, Any] | None:
        """The job's description, or None when there is no such job."""
        try:
            return self.describe(client, name)
        except client.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise

    def is_running(self, job: Mapping[str, Any]) -> bool:
        return job[self.status_field] in {"InProgress", "Stopping"}

    def stop(self, client: Any, name: str) -> None:
        getattr(client, f"stop_{self.noun}_job")(**{self.name_field: name})


KINDS = {
    kind.noun: kind
    for kind in (
        JobKind("training", "TrainingJobName", "TrainingJobStatus", "/aws/sagemaker/TrainingJobs"),
        JobKind("processing", "ProcessingJobName", "ProcessingJobStatus", "/aws/sagemaker/ProcessingJobs"),
    )
}


@dataclass(frozen=True)
class Claim:
    """The name a try works under, and the job found under it (None: it is still to be created)."""

    name: str
    job: dict[str, Any] | None


def signed(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the digest of itself in the job's environment."""
    environment = dict(request.get("Environment", {}))
    return {**request, "Environment": {**environment, REQUEST_DIGEST: request_digest(request)}}


def claim(kind: JobKind, client: Any, request: Mapping[str, Any], name_of: Callable[[int], str]) -> Claim:
    """The job to adopt for a signed request, else the first free name. `name_of(attempt)` counts from 1."""
    for attempt in range(1, MAXIMUM_ATTEMPTS + 1):
        name = name_of(attempt)
        job = kind.find(client, name)
        if job is None or (
            job[kind.status_field] in {"InProgress", "Completed"}
            and job.get("Environment", {}).get(REQUEST_DIGEST) == request["Environment"][REQUEST_DIGEST]
        ):
            return Claim(name, job)
    raise RuntimeError(
        f"{MAXIMUM_ATTEMPTS} {kind.noun} jobs of this run have failed, the last {name}: start a new DAG run"
    )


@dataclass
class JobWatch:
    """Looks at one job: its state, and the lines since the last look; `tail` are the last of all lines."""

    kind: JobKind
    name: str
    sagemaker: Any
    logs: Any
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_TAIL))
    _tokens: dict[str, str] = field(default_factory=dict)

    def look(self) -> tuple[dict[str, Any], list[str]]:
        """Describe the job, then read its log: so the lines of a finished job are complete."""
        return self.kind.describe(self.sagemaker, self.name), self.new_lines()

    def new_lines(self) -> list[str]:
        """New lines of all the job's streams (one a machine). A group that is not there yet has none."""
        lines: list[str] = []
        try:
            streams = self.logs.describe_log_streams(
                logGroupName=self.kind.log_group, logStreamNamePrefix=f"{self.name}/"
            )["logStreams"]
            for stream in streams:
                lines += self._read(stream["logStreamName"])
        except self.logs.exceptions.ResourceNotFoundException:
            pass
        self.tail.extend(lines)
        return lines

    def _read(self, stream: str) -> list[str]:
        lines: list[str] = []
        while True:
            token = self._tokens.get(stream)
            page = self.logs.get_log_events(
                logGroupName=self.kind.log_group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            # SageMaker stores a TAB as "#011".
            lines += [event["message"].replace("#011", "\t") for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return lines


def failure(kind: JobKind, job: Mapping[str, Any], tail: Iterable[str]) -> str:
    """One message for a job that did not complete: what, why in the job's own words, its last lines."""
    reason = job.get("ExitMessage") or job.get("FailureReason") or "no reason given"
    text = f"{kind.noun} job {job[kind.name_field]} ended {job[kind.status_field]}: {reason}"
    lines = "".join(f"\n  {line}" for line in tail)
    return f"{text}\nIts last lines:{lines}" if lines else text


def is_hopeless(job: Mapping[str, Any]) -> bool:
    """Whether another try would fail alike: the script itself said what is wrong with its input (it wrote an
    exit message), or SageMaker blames the request or the data (ClientError)."""
    return bool(job.get("ExitMessage")) or str(job.get("FailureReason", "")).startswith("ClientError")


def processing_input(name: str, uri: str) -> dict[str, Any]:
    """An input of a processing job: an object or a prefix, found under /opt/ml/processing/input/<name>."""
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }
