"""The life of a run: prepare its folder, start its process, note how it ended."""

import itertools
import json
import logging
import os
import shutil
import threading
from datetime import datetime
from pathlib import Path

import psutil
from moto.glue.models import glue_backends

from local_aws.context import Context, NoSuchObject
from local_aws.environment import role_environment
from local_aws.processes import Exit, OnExit
from local_aws.processes import Job as Process
from local_aws.services.glue import arguments
from local_aws.services.glue.records import FINISHED, Job, JobRun

log = logging.getLogger(__name__)

_PROJECT = Path(__file__).parents[3]
_AWSGLUE = _PROJECT / "local_aws" / "images" / "glue" / "awsglue"
_ARCHIVE_JOB = "glue/class-archive"
_context: Context | None = None


def use(context: Context) -> None:
    """Set the local AWS that runs belong to."""
    global _context  # noqa: PLW0603 - moto makes the backends, so they cannot be handed a context
    _context = context


def now() -> datetime:
    """The current time of this local AWS."""
    return _get().clock()


def start(job: Job, run: JobRun) -> None:
    """Prepare and start in the background; the API answers at once, with the run STARTING."""
    threading.Thread(target=_launch, args=(job, run), name=run.supervisor_id, daemon=True).start()


def stop(run: JobRun) -> None:
    """Ask a run to end; it is STOPPED when its processes are gone."""
    run.state, run.modified = "STOPPING", now()
    _get().supervisor.stop(run.supervisor_id)


def resume(context: Context) -> None:
    """Attach to the runs that an earlier server left unfinished; those whose process is gone are FAILED."""
    for job in glue_backends[context.account][context.region].jobs.values():
        for run in job.job_runs:
            if run.state not in FINISHED:
                context.supervisor.attach(run.supervisor_id, _on_exit(job, run))


def _launch(job: Job, run: JobRun) -> None:
    context = _get()
    folder = _folder(context, run)
    for suffix in ("output", "error"):
        context.logs.append(f"{run.log_group}/{suffix}", run.job_run_id, [])
    try:
        _prepare(context, job, run, folder)
    except NoSuchObject as error:
        _finish(job, run, "FAILED", f"LAUNCH ERROR | {error} does not exist")
        return
    except Exception as error:
        log.exception("Glue run %s could not be prepared", run.job_run_id)
        _finish(job, run, "FAILED", f"LAUNCH ERROR | {error}")
        return
    process = Process(
        id=run.supervisor_id,
        argv=[str(context.jobs_python), "-m", "local_aws.images.glue.run", str(folder / "run.json")],
        env={
            **role_environment(job.definition.get("Role")),
            "PYTHONPATH": str(_PROJECT),
            "SPARK_LOCAL_DIRS": str(folder / "work"),
            "TMPDIR": str(folder / "work"),
        },
        cwd=folder / "work",
        log_group=f"{run.log_group}/output",
        log_stream=run.job_run_id,
        timeout_seconds=run.settings["Timeout"] * 60,
        grace_seconds=10,
    )
    with context.state.lock("glue"):
        if run.state != "STARTING":  # stopped while it was being prepared
            stopped = True
        else:
            stopped = False
            run.state = "RUNNING"
            run.running_since = run.modified = now()
            context.supervisor.start(process, _on_exit(job, run))
            context.state.commit("glue")
    if stopped:
        _finish(job, run, "STOPPED", None)


def _prepare(context: Context, job: Job, run: JobRun, folder: Path) -> None:
    plan = arguments.parse(job, run)
    site, work = folder / "site", folder / "work"
    site.mkdir(parents=True)
    work.mkdir()
    (site / "awsglue").symlink_to(_AWSGLUE, target_is_directory=True)
    script = _copy(context, plan.script, folder)
    paths = [_copy(context, where, site) for where in plan.py_files]
    archives = [str(path) for path in paths if path.suffix in (".zip", ".egg", ".whl")]
    jars = [str(_copy(context, where, folder)) for where in plan.jars]
    for where in plan.files:
        _copy(context, where, work)
    modules = []
    for module in plan.modules:
        is_object = module.startswith("s3://")
        modules.append(
            str(_copy(context, arguments.s3_path("--additional-python-modules", module), folder))
            if is_object
            else module
        )
    description = {
        "kind": run.kind,
        "script": str(script),
        "arguments": plan.script_arguments,
        "site": str(site),
        "archives": archives,
        "work": str(work),
        "jars": jars,
        "modules": modules,
        "installer_options": plan.installer_options,
        "spark_conf": plan.spark_conf,
        "memory_mb": min(4096, psutil.virtual_memory().total // 4 // 2**20),
        "cores": max(2, os.cpu_count() or 2),
        "input_bytes": _size_of_input(context, plan.script_arguments),
    }
    (folder / "run.json").write_text(json.dumps(description), encoding="utf-8")


def _size_of_input(context: Context, words: list[str]) -> int:
    """Bytes of the objects whose key or prefix is an argument: about what the script will read."""
    total = 0
    for word in words:
        scheme, _, rest = word.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme in ("s3", "s3a") and prefix and context.objects.exists_bucket(bucket):
            total += sum(found.size for found in itertools.islice(context.objects.list(bucket, prefix), 1000))
    return total


def _copy(context: Context, where: tuple[str, str], folder: Path) -> Path:
    bucket, key = where
    target = folder / key.rsplit("/", 1)[-1]
    if target.name in (".", "..", ""):
        raise ValueError(f"s3://{bucket}/{key} has no usable file name")
    with context.objects.open(bucket, key) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    return target


def _on_exit(job: Job, run: JobRun) -> OnExit:
    def ended(how: Exit) -> None:
        if how.reason == "timed_out":
            _finish(job, run, "TIMEOUT", "JobRun timeout")
        elif how.reason == "lost":
            _finish(job, run, "FAILED", "The run's process was lost while local AWS was not running")
        elif how.reason == "stopped" and run.state == "STOPPING":
            _finish(job, run, "STOPPED", None)
        elif how.reason == "stopped":
            _finish(job, run, "FAILED", "local AWS was stopped while the run was in progress")
        elif how.code == 0:
            _finish(job, run, "SUCCEEDED", None)
        else:
            _finish(job, run, "FAILED", _failure(how))

    return ended


def _failure(how: Exit) -> str:
    if how.code is not None and how.code < 0:
        return f"The run's process was killed by signal {-how.code}"
    return how.last_line or f"Command failed with exit code {how.code}"


def _finish(job: Job, run: JobRun, state: str, error: str | None) -> None:
    context = _get()
    if error:
        moment = int(now().timestamp() * 1000)
        context.logs.append(f"{run.log_group}/error", run.job_run_id, [(moment, error)])
    folder = _folder(context, run)
    if state == "SUCCEEDED":
        _make_archive(context, folder)
    shutil.rmtree(folder, ignore_errors=True)
    with context.state.lock("glue"):
        run.finish(state, error, now())
        again = _retry(job, run) if state == "FAILED" else None
        context.state.commit("glue")
    if again:
        start(job, again)


def _retry(job: Job, run: JobRun) -> JobRun | None:
    """The next attempt of a failed run, when the job has MaxRetries left."""
    if run.attempt >= job.max_retries:
        return None
    first = run.job_run_id.split("_attempt_")[0]
    attempt = run.attempt + 1
    again = JobRun(
        job_run_id=f"{first}_attempt_{attempt}",
        job_name=run.job_name,
        arguments=run.arguments,
        effective=run.effective,
        settings=run.settings,
        kind=run.kind,
        glue_version=run.glue_version,
        log_group=run.log_group,
        started=now(),
        attempt=attempt,
        previous_run_id=run.job_run_id,
    )
    job.job_runs.append(again)
    return again


def _make_archive(context: Context, folder: Path) -> None:
    """After the first Spark run of an installation: make the class-data archive from what it loaded."""
    noted = folder / "work" / "classes.lst"
    if not noted.exists() or context.supervisor.is_running(_ARCHIVE_JOB):
        return
    kept = context.data_dir / "glue" / "classes.lst"
    noted.replace(kept)
    process = Process(
        id=_ARCHIVE_JOB,
        argv=[str(context.jobs_python), "-m", "local_aws.images.glue.archive", str(kept)],
        env={"PYTHONPATH": str(_PROJECT)},
        cwd=context.data_dir / "glue",
        log_group="/local-aws/glue",
        log_stream="class-archive",
        timeout_seconds=600,
    )
    context.supervisor.start(
        process, lambda how: log.info("class-data archive for Spark: exit code %s", how.code)
    )


def _folder(context: Context, run: JobRun) -> Path:
    return context.data_dir / "glue" / "runs" / run.job_run_id


def _get() -> Context:
    if _context is None:
        raise RuntimeError("local_aws.services.glue.install was not called")
    return _context
