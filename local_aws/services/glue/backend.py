"""moto's Glue backend with jobs that run."""

import secrets
from collections.abc import Mapping
from typing import Any

from moto.glue import models
from moto.glue.exceptions import JobRunNotFoundException
from moto.utilities.paginator import paginate
from moto.utilities.utils import get_partition

from local_aws.services.glue import arguments, runs
from local_aws.services.glue.crawler_definitions import Crawler
from local_aws.services.glue.errors import ConcurrentRunsExceeded, InvalidInput, JobExists
from local_aws.services.glue.records import FINISHED, Job, JobRun

_LOG_GROUPS = {"glueetl": "/aws-glue/jobs", "pythonshell": "/aws-glue/python-jobs"}


class GlueBackend(models.GlueBackend):
    """Catalog, registries and the rest are moto's; jobs and runs are ours."""

    jobs: dict[str, Job]
    crawlers: dict[str, Crawler]

    def define_job(self, name: str, definition: Mapping[str, Any], tags: dict[str, str] | None) -> Job:
        """CreateJob. Raises JobExists, InvalidInput."""
        if name in self.jobs:
            raise JobExists(name)
        _check(definition)
        now = runs.now()
        arn = f"arn:{get_partition(self.region_name)}:glue:{self.region_name}:{self.account_id}:job/{name}"
        job = Job(name, arn, dict(definition), created=now, modified=now)
        self.jobs[name] = job
        self.tag_resource(arn, tags)
        return job

    def redefine_job(self, name: str, definition: Mapping[str, Any]) -> None:
        """UpdateJob: replaces the whole definition. Raises JobNotFoundException, InvalidInput."""
        job = self.get_job(name)
        _check(definition)
        job.definition = dict(definition)
        job.modified = runs.now()

    def start_run(
        self, name: str, given: dict[str, str], overrides: dict[str, Any], previous: str | None
    ) -> str:
        """StartJobRun; returns the run's id. `previous`: the run to do again, with its arguments."""
        job: Job = self.get_job(name)
        if previous is not None:
            given = {**self.get_job_run(name, previous).arguments, **given}
        busy = sum(run.state not in FINISHED for run in job.job_runs)
        if busy >= job.max_concurrent_runs:
            raise ConcurrentRunsExceeded(name, job.max_concurrent_runs)
        run = JobRun(
            job_run_id="jr_" + secrets.token_hex(32),
            job_name=name,
            arguments=given,
            effective=arguments.effective(job.definition, given),
            settings=job.run_settings(overrides),
            kind=job.kind,
            glue_version=job.definition.get("GlueVersion", "0.9"),
            log_group=_LOG_GROUPS[job.kind],
            started=runs.now(),
            previous_run_id=previous,
        )
        arguments.parse(job, run)  # what cannot be honoured is refused here, not in the middle of the run
        job.job_runs.append(run)
        runs.start(job, run)
        return run.job_run_id

    def get_job_run(self, name: str, run_id: str) -> JobRun:
        """One run. Raises JobNotFoundException, JobRunNotFoundException."""
        for run in self.get_job(name).job_runs:
            if run.job_run_id == run_id:
                return run
        raise JobRunNotFoundException(run_id)

    @paginate(pagination_model=models.GlueBackend.PAGINATION_MODEL)
    def get_job_runs(self, job_name: str) -> list[JobRun]:
        """The runs of a job, the newest first."""
        return list(reversed(self.get_job(job_name).job_runs))

    def stop_runs(self, name: str, run_ids: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """BatchStopJobRun; returns (successful submissions, errors)."""
        stopped, errors = [], []
        for run_id in run_ids:
            try:
                run = self.get_job_run(name, run_id)
            except JobRunNotFoundException as error:
                errors.append(_stop_error(name, run_id, "EntityNotFoundException", str(error.message)))
                continue
            if run.state in FINISHED:
                message = f"Job run {run_id} is in state {run.state} and cannot be stopped"
                errors.append(_stop_error(name, run_id, "InvalidInputException", message))
                continue
            runs.stop(run)
            stopped.append({"JobName": name, "JobRunId": run_id})
        return stopped, errors

    def delete_job(self, name: str) -> None:
        """DeleteJob; runs under way are stopped. No error when there is no such job, as Glue."""
        job = self.jobs.get(name)
        for run in job.job_runs if job else ():
            if run.state not in FINISHED:
                runs.stop(run)
        super().delete_job(name)


def _stop_error(name: str, run_id: str, code: str, message: str) -> dict[str, Any]:
    return {"JobName": name, "JobRunId": run_id, "ErrorDetail": {"ErrorCode": code, "ErrorMessage": message}}


def _check(definition: Mapping[str, Any]) -> None:
    command = definition.get("Command") or {}
    kind = command.get("Name")
    if kind not in _LOG_GROUPS:
        raise InvalidInput(
            f"Command.Name {kind!r} is not supported by local AWS; it runs {', '.join(_LOG_GROUPS)}"
        )
    if not str(command.get("ScriptLocation", "")).startswith("s3://"):
        raise InvalidInput(f"Command.ScriptLocation {command.get('ScriptLocation')!r} is not an s3:// path")
    if not definition.get("Role"):
        raise InvalidInput("Role is required")
