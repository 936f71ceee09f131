"""The life of a query: queued, running in a worker, its files put into S3, its end noted."""

import json
import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.athena.models import athena_backends

from local_aws.context import Context
from local_aws.services.athena.catalog import Catalog
from local_aws.services.athena.pool import Pool, Worker, WorkerDied

log = logging.getLogger(__name__)

# As many queries at once as the smallest machine has cores; the others wait as QUEUED.
_AT_ONCE = 2
FINISHED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass
class Execution:
    """One query execution. Plain data: it is pickled with the backend."""

    id: str
    query: str
    kind: str
    context: dict[str, str]
    output: str
    suffix: str
    workgroup: str
    parameters: list[str]
    submitted: datetime
    state: str = "QUEUED"
    started: datetime | None = None
    completed: datetime | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    scanned: int = 0
    manifest: str | None = None
    statistics: dict[str, int] = field(default_factory=dict)
    prepared: str | None = None  # what EXECUTE names

    @property
    def location(self) -> str:
        """The result file, as `ResultConfiguration.OutputLocation` gives it."""
        return f"{self.output}{self.id}{self.suffix}"

    @property
    def metadata_location(self) -> str:
        """The file with the types of the result's columns."""
        return f"{self.location}.metadata"


_context: Context | None = None
_pool = Pool()
_threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="athena")
_running: dict[str, Worker] = {}
_lock = threading.Lock()


def use(context: Context) -> None:
    """Set the local AWS that queries belong to."""
    global _context  # noqa: PLW0603 - moto makes the backends, so they cannot be handed a context
    _context = context


def context() -> Context:
    """The local AWS that queries belong to."""
    if _context is None:
        raise RuntimeError("local_aws.services.athena.install was not called")
    return _context


def submit(execution: Execution) -> None:
    """Queue a query."""
    _threads.submit(_run, execution)


def stop(execution: Execution) -> None:
    """Cancel a query that has not ended. The caller holds the state lock."""
    if execution.state in FINISHED:
        return
    _end(execution, "CANCELLED", "Query cancelled by user", _athena_error(1011, "Query cancelled by user"))
    with _lock:
        worker = _running.get(execution.id)
    if worker:
        worker.kill()


def resume(context: Context) -> None:
    """Queries of an earlier server that had not ended are FAILED."""
    backend = athena_backends[context.account][context.region]
    unfinished = [execution for execution in backend.executions.values() if execution.state not in FINISHED]
    for execution in unfinished:
        reason = "local AWS was stopped while the query was running"
        _end(execution, "FAILED", reason, _athena_error(1009, reason))
    if unfinished:
        with context.state.lock("athena"):
            context.state.commit("athena")


def _run(execution: Execution) -> None:
    local_aws = context()
    folder = local_aws.data_dir / "athena" / execution.id
    try:
        with local_aws.state.lock("athena"):
            if execution.state != "QUEUED":
                return
            execution.state, execution.started = "RUNNING", local_aws.clock()
        folder.mkdir(parents=True)
        message = _execute(execution, folder)
        if "done" in message:
            _publish(execution, message["done"], folder)
    except WorkerDied as error:
        message = _failed(str(error))
    except Exception as error:
        log.exception("Athena query %s", execution.id)
        message = _failed(f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with local_aws.state.lock("athena"):
        if execution.state == "RUNNING":  # not cancelled meanwhile
            _note(execution, message)
        local_aws.state.commit("athena")


def _execute(execution: Execution, folder: Path) -> dict[str, Any]:
    worker = _pool.take()
    with _lock:
        _running[execution.id] = worker
    request = {
        "id": execution.id,
        "sql": execution.query,
        "database": execution.context.get("Database"),
        "parameters": execution.parameters,
        "prepared": execution.prepared,
        "folder": str(folder),
    }
    try:
        message = worker.run(request, Catalog(context(), execution.output, execution.workgroup).answer)
    except WorkerDied:
        worker.kill()
        raise
    finally:
        with _lock:
            del _running[execution.id]
    _pool.give_back(worker)
    return message


def _publish(execution: Execution, done: dict[str, Any], folder: Path) -> None:
    if execution.state != "RUNNING":
        return
    bucket, _, prefix = execution.output.removeprefix("s3://").partition("/")
    for name in done["files"]:
        kind = "text/csv" if name.endswith(".csv") else "binary/octet-stream"
        context().objects.put_file(bucket, prefix + name, folder / name, content_type=kind)


def _note(execution: Execution, message: dict[str, Any]) -> None:
    if "done" not in message:
        failed = message["failed"]
        error = _athena_error(failed["error_type"], failed["reason"], failed["category"])
        _end(execution, "FAILED", failed["reason"], error)
        return
    done = message["done"]
    execution.scanned = done["scanned"]
    if done.get("manifest"):
        execution.manifest = execution.output + done["manifest"]
    _end(execution, "SUCCEEDED", None, None)


def _end(execution: Execution, state: str, reason: str | None, error: dict[str, Any] | None) -> None:
    execution.state, execution.reason, execution.error = state, reason, error
    execution.completed = context().clock()
    started = execution.started or execution.completed
    engine = int((execution.completed - started).total_seconds() * 1000)
    queued = int((started - execution.submitted).total_seconds() * 1000)
    execution.statistics = {
        "EngineExecutionTimeInMillis": engine,
        "TotalExecutionTimeInMillis": engine + queued,
        "QueryQueueTimeInMillis": queued,
        "ServiceProcessingTimeInMillis": 0,
        "ServicePreProcessingTimeInMillis": 0,
    }


def _failed(reason: str) -> dict[str, Any]:
    return {"failed": {"reason": f"GENERIC_INTERNAL_ERROR: {reason}", "error_type": 1, "category": 1}}


def _athena_error(kind: int, message: str, category: int = 2) -> dict[str, Any]:
    return {"ErrorCategory": category, "ErrorType": kind, "Retryable": False, "ErrorMessage": message}


def metadata(execution: Execution) -> dict[str, Any]:
    """The stored metadata of a result. Raises KeyError (NoSuchObject) when it was deleted."""
    bucket, _, key = execution.metadata_location.removeprefix("s3://").partition("/")
    with context().objects.open(bucket, key) as file:
        found: dict[str, Any] = json.load(file)
    return found
