"""Jobs on AWS as every operator here treats them: named, adopted, watched, stopped.

A retry must not start a second job. So a SageMaker job's name derives from the DAG run and a counter, and
what it was asked to do is kept with it, as a digest in its environment: a new try looks at the names in order
and adopts the first job that was asked the same and still runs, or has completed.
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

Description = Mapping[str, Any]
"""What a describe call answers."""


@dataclass(frozen=True)
class JobKind:
    """One kind of SageMaker job: how boto3 names its calls and fields, and where its log is."""

    noun: str
    name_field: str
    status_field: str
    log_group: str
    service: str = "sagemaker"
    running: frozenset[str] = frozenset({"InProgress", "Stopping"})
    succeeded: str = "Completed"

    def describe(self, client: Any, name: str) -> Description:
        return dict(getattr(client, f"describe_{self.noun}_job")(**{self.name_field: name}))

    def find(self, client: Any, name: str) -> Description | None:
        """The job's description, or None when there is no such job."""
        try:
            return self.describe(client, name)
        except client.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise

    def stop(self, client: Any, name: str) -> None:
        getattr(client, f"stop_{self.noun}_job")(**{self.name_field: name})

    def is_running(self, job: Description) -> bool:
        return job[self.status_field] in self.running

    def streams(self, logs: Any, name: str) -> list[tuple[str, str]]:
        """Log group and stream of each of the job's machines."""
        answer = logs.describe_log_streams(logGroupName=self.log_group, logStreamNamePrefix=f"{name}/")
        return [(self.log_group, stream["logStreamName"]) for stream in answer["logStreams"]]

    def failure(self, name: str, job: Description, tail: Iterable[str]) -> str:
        """One message for a job that did not succeed: what, why in the job's own words, its last lines."""
        reason = job.get("ExitMessage") or job.get("FailureReason") or job.get("ErrorMessage")
        text = f"{self.noun} job {name} ended {job[self.status_field]}: {reason or 'no reason given'}"
        lines = "".join(f"\n  {line}" for line in tail)
        return f"{text}\nIts last lines:{lines}" if lines else text


class GlueRunKind(JobKind):
    """A run of a Glue job; its name here is `<job>/<run id>`."""

    def describe(self, client: Any, name: str) -> Description:
        job, run = name.rsplit("/", 1)
        return dict(client.get_job_run(JobName=job, RunId=run)["JobRun"])

    def stop(self, client: Any, name: str) -> None:
        job, run = name.rsplit("/", 1)
        client.batch_stop_job_run(JobName=job, JobRunIds=[run])

    def streams(self, logs: Any, name: str) -> list[tuple[str, str]]:  # noqa: ARG002 the names are known
        run = name.rsplit("/", 1)[1]
        return [(f"{self.log_group}/{part}", run) for part in ("output", "error")]


KINDS = {
    kind.noun: kind
    for kind in (
        JobKind("training", "TrainingJobName", "TrainingJobStatus", "/aws/sagemaker/TrainingJobs"),
        JobKind("processing", "ProcessingJobName", "ProcessingJobStatus", "/aws/sagemaker/ProcessingJobs"),
        GlueRunKind(
            "Glue", "Id", "JobRunState", "/aws-glue/jobs", "glue",
            frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"}), "SUCCEEDED",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """The name a try works under, and the job found under it (None: it is still to be created)."""

    name: str
    job: Description | None


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
            job[kind.status_field] in {"InProgress", kind.succeeded}
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
    client: Any
    logs: Any
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_TAIL))
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def look(self) -> tuple[Description, list[str]]:
        """Describe the job, then read its log: so the lines of a finished job are complete."""
        return self.kind.describe(self.client, self.name), self.new_lines()

    def new_lines(self) -> list[str]:
        """New lines of all the job's streams. A group or stream that is not there yet has none."""
        lines: list[str] = []
        missing = self.logs.exceptions.ResourceNotFoundException
        try:
            streams = self.kind.streams(self.logs, self.name)
        except missing:
            return lines
        for group, stream in streams:
            try:
                self._read(group, stream, lines)
            except missing:
                continue
        self.tail.extend(lines)
        return lines

    def _read(self, group: str, stream: str, lines: list[str]) -> None:
        while True:
            token = self._tokens.get((group, stream))
            page = self.logs.get_log_events(
                logGroupName=group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            # SageMaker stores a TAB as "#011".
            lines += [event["message"].replace("#011", "\t").rstrip("\n") for event in page["events"]]
            self._tokens[group, stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return


def is_hopeless(job: Description) -> bool:
    """Whether another try would fail alike: the script itself said what is wrong with its input (it wrote an
    exit message), or SageMaker blames the request or the data (ClientError)."""
    return bool(job.get("ExitMessage")) or str(job.get("FailureReason", "")).startswith("ClientError")


def processing_input(name: str, uri: str, folder: str | None = None) -> dict[str, Any]:
    """An input of a processing job: an object or a prefix, found under /opt/ml/processing/input/<folder>.

    The folder is called as the input where nothing else is said.
    """
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/input/{folder or name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }
