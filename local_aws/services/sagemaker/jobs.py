"""The life of a job, the same for training, processing and batch transform.

    request  -> record (InProgress), the answer goes out
    thread   -> prepare: inputs copied into the job's folder, command found
    process  -> under the supervisor, which outlives a kill of this server
    exit     -> finish: outputs published, final status with its reason

Every step that changes a record is durable before the next begins, and `finish` may run again after a crash:
it publishes whole objects under fixed keys. So `resume` only has to attach to what was running.
"""

from __future__ import annotations

import copy
import logging
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.images.registry import Command, UnknownImage
from local_aws.processes import Exit, Job

from . import archives, errors, experiments, inputs
from .backend import NAME_KEYS, Record, Service

log = logging.getLogger(__name__)

FAILURE_REASON_LENGTH = 1024
ACTIVE = ("InProgress", "Stopping")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, in the words of its Describe answer. `members`: further members of the record."""

    status: str
    secondary: str
    reason: str | None = None
    members: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What differs between the three kinds of jobs.

    name: as in the ARN, "training-job". started, ended: the members that hold these times.
    prepare(service, record, base): lay out the job's folder, return the command. Raises BadInput,
    UnknownImage. finish(service, record, base, exit): publish what the job wrote, say how it ended.
    companion(service, record, base): what works beside the process in a thread until the event it is given is
    set; None for nothing. grace_seconds: between SIGTERM and SIGKILL of a stop.
    """

    name: str
    status: str
    log_group: str
    started: str
    ended: str
    prepare: Callable[[Service, Record, Path], Command]
    finish: Callable[[Service, Record, Path, Exit], Outcome]
    on_line: Callable[[Service, Record], Callable[[str], None]] | None = None
    companion: Callable[[Service, Record, Path], Callable[[threading.Event], None] | None] | None = None
    grace_seconds: float = 30
    max_runtime_seconds: int = 86400


def folder(service: Service, kind: Kind, name: str) -> Path:
    """The job's own folder. `ml` in it plays /opt/ml."""
    return service.context.data_dir / "sagemaker" / _job_id(service, kind, name)


def _job_id(service: Service, kind: Kind, name: str) -> str:
    """A name is unique within its region."""
    return f"{service.backend.region_name}/{kind.name}/{name}"


def submit(service: Service, kind: Kind, record: Record, tags: list[dict[str, str]] | None) -> Record:
    """Keep a new job and start working on it. Raises ResourceInUse for a name that was used before."""
    name = record[NAME_KEYS[kind.name]]
    if service.find(kind.name, name):
        what = "Training job names" if kind.name == "training-job" else "Job name"
        noun = "training job" if kind.name == "training-job" else "job"
        raise errors.in_use(
            f"{what} must be unique within an AWS account and region, and a {noun} with this name already "
            f"exists ({service.arn(kind.name, name)})"
        )
    now = service.now()
    record.update({kind.status: "InProgress", "CreationTime": now, "LastModifiedTime": now})
    record["_stream"] = f"{name}/algo-1-{int(now.timestamp())}"
    experiments.check(service, record)
    service.add(kind.name, name, record, tags)
    experiments.begin(service, kind.name, name, record)
    transition(record, "Starting", "Preparing the instances for the job", now)
    threading.Thread(target=_run, args=(service, kind, name), name=f"{kind.name}/{name}", daemon=True).start()
    return record


def stop(service: Service, kind: Kind, name: str) -> None:
    """Ask a job to stop; it ends Stopped. Nothing happens to a job that has ended."""
    record = get(service, kind, name)
    if record[kind.status] not in ACTIVE:
        return
    record[kind.status] = "Stopping"
    transition(record, "Stopping", "Stopping the job", service.now())
    service.context.supervisor.stop(_job_id(service, kind, name))


def get(service: Service, kind: Kind, name: str) -> Record:
    record = service.find(kind.name, name)
    if record is None:
        if kind.name == "training-job":
            raise errors.validation("Requested resource not found.")
        raise errors.validation(f"Could not find requested job with name: {name}")
    return record


def resume(service: Service, kind: Kind) -> None:
    """After a start of the server: take over the jobs that an earlier one left unfinished."""
    for name, record in service.records(kind.name).items():
        if record[kind.status] in ACTIVE:
            service.context.supervisor.attach(
                _job_id(service, kind, name),
                _accompanied(service, kind, record),
                _on_line(service, kind, record),
            )


def transition(record: Record, status: str, message: str, now: datetime) -> None:
    """Enter a secondary status; the one before it ends now."""
    transitions = record.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
    record["SecondaryStatus"] = status


def check_instances(count: int | None, instance_type: str | None, usage: str, most: int = 1) -> None:
    """More instances than there are here are refused as AWS refuses those past the account's limit."""
    if count and count > most:
        raise errors.limit(
            f"The account-level service limit '{instance_type} for {usage} usage' is {most} Instances, with "
            f"current utilization of 0 Instances and a request delta of {count} Instances. "
            f"Local AWS runs every job on this machine: ask for {'one instance' if most == 1 else 'fewer'}."
        )


def failure_reason(exit: Exit, message: str = "") -> str:
    """`AlgorithmError: <what the job said>, exit code: N`, at most 1024 characters.

    message: what the job left behind as its reason; without it, the last line that it wrote.
    """
    text = message.strip() or exit.last_line.strip() or "the process ended without a message"
    code = "unknown" if exit.code is None else str(exit.code)
    if exit.code is not None and exit.code < 0:
        text = f"the process was killed by {_signal_name(-exit.code)}" + (
            f"; its last line was: {text}" if exit.last_line else ""
        )
        code = str(128 - exit.code)
    suffix = f", exit code: {code}"
    return f"AlgorithmError: {text}"[: FAILURE_REASON_LENGTH - len(suffix)] + suffix


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def ended_badly(exit: Exit, message: str = "") -> Outcome:
    """The outcome of an exit that is neither success nor asked for."""
    if exit.reason == "lost":
        return Outcome("Failed", "Failed", LOST)
    if exit.reason == "stopped":
        return Outcome("Failed", "Failed", INTERRUPTED)
    return Outcome("Failed", "Failed", failure_reason(exit, message))


LOST = (
    "InternalServerError: local AWS was stopped while the job was running, and the job's process did not "
    "survive. Nothing of it was published; run the job again."
)
INTERRUPTED = "InternalServerError: local AWS was stopped while the job was running. Run the job again."


def read_text(path: Path, limit: int) -> str:
    """The first `limit` bytes of a file that a job may have written; "" when there is none."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(limit).decode("utf-8", errors="ignore")


def upload_folder(service: Service, source: Path, uri: str) -> int:
    """Publish the regular files below `source` under an s3:// prefix; return how many."""
    bucket, prefix = inputs.split_uri(uri)
    return service.context.objects.upload_tree(source, bucket, prefix.rstrip("/"))


def upload_archive(service: Service, source: Path, work: Path, uri: str) -> str:
    """Pack `source` into an archive and publish it as one object; return its URI."""
    archives.pack(source, work)
    bucket, key = inputs.split_uri(uri)
    service.context.objects.put_file(bucket, key, work, content_type="application/x-tar")
    work.unlink()
    return uri


def _run(service: Service, kind: Kind, name: str) -> None:
    """Prepare and start one job. Every failure ends the job with its reason."""
    try:
        record = service.snapshot(kind.name, name)
        base = folder(service, kind, name) / "ml"
        shutil.rmtree(base.parent, ignore_errors=True)
        base.mkdir(parents=True)
        _advance(service, kind, name, "Downloading", "Downloading input data")
        command = kind.prepare(service, record, base)
        job = Job(
            id=_job_id(service, kind, name),
            argv=command.argv,
            env=command.env,
            cwd=base,
            log_group=kind.log_group,
            log_stream=record["_stream"],
            timeout_seconds=record["StoppingCondition"].get("MaxRuntimeInSeconds", kind.max_runtime_seconds),
            grace_seconds=kind.grace_seconds,
        )
        if not _start(service, kind, name, job):
            _end(service, kind, name, Outcome("Stopped", "Stopped"))
    except (inputs.BadInput, UnknownImage) as error:
        _end(service, kind, name, Outcome("Failed", "Failed", f"ClientError: {error}"))
    except OSError as error:
        _end(
            service,
            kind,
            name,
            Outcome("Failed", "Failed", f"InternalServerError: the job could not start: {error}"),
        )
    except Exception as error:
        log.exception("%s %s could not be started", kind.name, name)
        _end(service, kind, name, Outcome("Failed", "Failed", f"InternalServerError: {error}"))


def _run_again(service: Service, kind: Kind, name: str) -> None:
    """Start a job that was never started, once the supervisor has let go of its name."""
    while service.context.supervisor.is_running(_job_id(service, kind, name)):
        threading.Event().wait(0.01)
    _run(service, kind, name)


def _start(service: Service, kind: Kind, name: str, job: Job) -> bool:
    """Start the process unless the job was stopped meanwhile: decided and done under the lock, so that a stop
    either finds the process or is seen here."""
    with service.lock:
        record = service.records(kind.name)[name]
        if record[kind.status] != "InProgress":
            return False
        now = service.now()
        record[kind.started] = now
        transition(record, "Training", "Training image download completed. Training in progress.", now)
        on_exit = _accompanied(service, kind, record)
        service.context.supervisor.start(job, on_exit, _on_line(service, kind, record))
        service.commit()
    return True


def _on_line(service: Service, kind: Kind, record: Record) -> Callable[[str], None] | None:
    return kind.on_line(service, record) if kind.on_line else None


def _on_exit(service: Service, kind: Kind, name: str) -> Callable[[Exit], None]:
    """Runs on the supervisor's thread for this job, which keeps the job's end until this has returned: a
    server that is killed while it publishes hears of the same end again and publishes the same."""
    return lambda exit: _finish(service, kind, name, exit)


def _accompanied(service: Service, kind: Kind, record: Record) -> Callable[[Exit], None]:
    """Start the job's companion, if it has one, and return what is to be called when the job ends."""
    name = record[NAME_KEYS[kind.name]]
    on_exit = _on_exit(service, kind, name)
    base = folder(service, kind, name) / "ml"
    companion = kind.companion(service, copy.deepcopy(record), base) if kind.companion else None
    if companion is None:
        return on_exit
    ended = threading.Event()
    thread = threading.Thread(target=companion, args=(ended,), name=f"beside {name}", daemon=True)
    thread.start()

    def after(exit: Exit) -> None:
        ended.set()
        thread.join()
        on_exit(exit)

    return after


def _finish(service: Service, kind: Kind, name: str, exit: Exit) -> None:
    if exit.reason == "lost" and kind.started not in service.snapshot(kind.name, name):
        # An earlier server was killed before it had started the process.
        threading.Thread(target=_run_again, args=(service, kind, name), daemon=True).start()
        return
    base = folder(service, kind, name) / "ml"
    try:
        if exit.reason != "lost":
            _advance(service, kind, name, "Uploading", "Uploading what the job wrote")
        outcome = kind.finish(service, service.snapshot(kind.name, name), base, exit)
    except KeyError as error:
        outcome = Outcome(
            "Failed", "Failed", f"ClientError: the output could not be stored: {error} does not exist"
        )
    except OSError as error:
        outcome = Outcome("Failed", "Failed", f"InternalServerError: the output could not be stored: {error}")
    except Exception as error:
        log.exception("%s %s could not be finished", kind.name, name)
        outcome = Outcome("Failed", "Failed", f"InternalServerError: {error}")
    _end(service, kind, name, outcome)


def _advance(service: Service, kind: Kind, name: str, secondary: str, message: str) -> None:
    with service.lock:
        record = service.find(kind.name, name)
        if record is None or record[kind.status] != "InProgress":
            return
        transition(record, secondary, message, service.now())
        service.commit()


def _end(service: Service, kind: Kind, name: str, outcome: Outcome) -> None:
    """Write the final status, durably, then clear the job's folder. A job ends once."""
    with service.lock:
        record = service.find(kind.name, name)
        if record is None or record[kind.status] not in ACTIVE:
            return
        now = service.now()
        if outcome.reason:
            record["FailureReason"] = outcome.reason[:FAILURE_REASON_LENGTH]
        transition(record, outcome.secondary, outcome.reason or "The job ended", now)
        record["SecondaryStatusTransitions"][-1]["EndTime"] = now
        record[kind.ended] = record["LastModifiedTime"] = now
        record.update(outcome.members)
        record[kind.status] = outcome.status
        experiments.end(service, kind.name, name, outcome.status, outcome.reason)
        service.commit()
    shutil.rmtree(folder(service, kind, name), ignore_errors=True)
