"""What is kept of a job and of a run. Plain data: it is pickled with the backend."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# GlueVersion 5.0 and later; earlier ones 2880.
_DEFAULT_TIMEOUT_MINUTES = {"5.0": 480, "5.1": 480}
# Settings that a run takes from its request, else from its job.
RUN_SETTINGS = (
    "Timeout",
    "AllocatedCapacity",
    "MaxCapacity",
    "WorkerType",
    "NumberOfWorkers",
    "SecurityConfiguration",
    "NotificationProperty",
    "ExecutionClass",
)
FINISHED = frozenset({"STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT"})


@dataclass
class JobRun:
    """One run: `arguments` are those of StartJobRun, `effective` those that the script gets."""

    job_run_id: str
    job_name: str
    arguments: dict[str, str]
    effective: dict[str, str]
    settings: dict[str, Any]
    kind: str
    glue_version: str
    log_group: str
    started: datetime
    attempt: int = 0
    previous_run_id: str | None = None
    state: str = "STARTING"
    running_since: datetime | None = None
    modified: datetime | None = None
    completed: datetime | None = None
    error: str | None = None

    @property
    def supervisor_id(self) -> str:
        """The id of this run's process."""
        return f"glue/{self.job_run_id}"

    def finish(self, state: str, error: str | None, now: datetime) -> None:
        """Enter a final state."""
        self.state, self.error, self.completed, self.modified = state, error, now, now

    def as_dict(self) -> dict[str, Any]:
        """The run as GetJobRun answers it."""
        ended = self.completed
        seconds = int((ended - self.running_since).total_seconds()) if ended and self.running_since else 0
        answer = {
            "Id": self.job_run_id,
            "Attempt": self.attempt,
            "PreviousRunId": self.previous_run_id,
            "JobName": self.job_name,
            "JobMode": "SCRIPT",
            "StartedOn": self.started,
            "LastModifiedOn": self.modified or self.started,
            "CompletedOn": ended,
            "JobRunState": self.state,
            "Arguments": self.arguments or None,
            "ErrorMessage": self.error,
            "PredecessorRuns": [],
            "ExecutionTime": seconds,
            "LogGroupName": self.log_group,
            "GlueVersion": self.glue_version,
            **self.settings,
        }
        return {key: value for key, value in answer.items() if value is not None}


@dataclass
class Job:
    """A job definition: `definition` is the CreateJob request without Name and Tags."""

    name: str
    arn: str
    definition: dict[str, Any]
    created: datetime
    modified: datetime
    job_id: str = field(default_factory=lambda: "j_" + secrets.token_hex(32))
    job_runs: list[JobRun] = field(default_factory=list)

    def get_name(self) -> str:
        """The name; moto's ListJobs asks for it."""
        return self.name

    @property
    def kind(self) -> str:
        """`glueetl` or `pythonshell`."""
        return str(self.definition["Command"]["Name"])

    @property
    def max_concurrent_runs(self) -> int:
        """How many runs may be under way at once."""
        return int((self.definition.get("ExecutionProperty") or {}).get("MaxConcurrentRuns", 1))

    @property
    def max_retries(self) -> int:
        """How often a failed run is started again."""
        return int(self.definition.get("MaxRetries") or 0)

    def run_settings(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """Timeout (minutes), capacity and class of a run: as requested, else the job's, else Glue's own."""
        version = self.definition.get("GlueVersion", "0.9")
        fallback = {"Timeout": _DEFAULT_TIMEOUT_MINUTES.get(version, 2880), "ExecutionClass": "STANDARD"}
        chosen = {**fallback, **self.definition, **overrides}
        return {name: chosen[name] for name in RUN_SETTINGS if chosen.get(name) is not None}

    def as_dict(self) -> dict[str, Any]:
        """The job as GetJob answers it."""
        answer = {
            "Name": self.name,
            "JobMode": "SCRIPT",
            "ExecutionClass": "STANDARD",
            "ExecutionProperty": {"MaxConcurrentRuns": 1},
            "MaxRetries": 0,
            "GlueVersion": "0.9",
            **self.definition,
            "CreatedOn": self.created,
            "LastModifiedOn": self.modified,
        }
        return {key: value for key, value in answer.items() if value is not None}
