"""Running functions: a process an invocation, within the concurrency that is allowed."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from local_aws.context import Context
from local_aws.environment import role_environment
from local_aws.job import Exit, Job
from local_aws.services.lambda_ import metrics, outcomes
from local_aws.services.lambda_.errors import ServiceFailure, TooManyRequests
from local_aws.services.lambda_.outcomes import Description, OnOutcome, Outcome
from local_aws.services.lambda_.packages import Packages
from local_aws.services.lambda_.records import Function

log = logging.getLogger(__name__)

ACCOUNT_CONCURRENCY = 10  # AWS's own quota for a new account
# Beside the timeout. AWS gives the import of the handler 10 s, on machines that are not shared.
INIT_SECONDS = 60
TAIL_LINES = 500
BOOTSTRAP = Path(__file__).resolve().parents[2] / "images" / "lambda_" / "bootstrap.py"


class Invocations:
    def __init__(self, context: Context, packages: Packages, python: Path) -> None:
        """python: the interpreter of the environment that functions run in."""
        self._context = context
        self._packages = packages
        self._python = python
        self._folder = context.data_dir / "lambda" / "invocations"
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._folder.mkdir(parents=True, exist_ok=True)

    def has_room(self, function: Function) -> bool:
        with self._lock:
            return self._limit_reached(function) is None

    def start(
        self,
        function: Function,
        arn: str,
        payload: bytes,
        request_id: str,
        on_outcome: OnOutcome,
        name: str = "",
        client_context: Any = None,
    ) -> None:
        """Start one; on_outcome is called from another thread when it has ended.

        name: of the invocation's folder, by which `adopt` finds it after a restart (default: request_id).
        Raises TooManyRequests, ServiceFailure.
        """
        if not self._python.exists():
            raise ServiceFailure(
                f"there is no {self._python}, the interpreter that functions run in: build the environment "
                "`functions`, or name another by LOCAL_AWS_FUNCTIONS_PYTHON"
            )
        name = name or request_id
        with self._lock:
            reason = self._limit_reached(function)
            if reason is None:
                self._running[function.unqualified_arn] += 1
        if reason is not None:
            self._measure(metrics.throttle(function.function_name))
            raise TooManyRequests(reason)
        folder = self._folder / name
        try:
            description = self._describe(function, arn, request_id, client_context)
            folder.mkdir()
            (folder / "event").write_bytes(payload)
            (folder / "invocation.json").write_text(json.dumps(asdict(description)))
            start = f"START RequestId: {request_id} Version: {function.version}"
            self._log(description, start)
            tail = deque([start], TAIL_LINES)
            self._context.supervisor.start(
                self._job(function, description, folder, name),
                lambda end: self._ended(description, folder, end, tail, on_outcome),
                lambda line: self._heard(line, tail),
            )
        except BaseException:
            self._release(function.unqualified_arn)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def left_over(self) -> Iterator[str]:
        """Names of the invocations that an earlier server had under way, or had not finished recording."""
        return (path.name for path in sorted(self._folder.iterdir()))

    def adopt(self, name: str, on_outcome: OnOutcome) -> None:
        """Follow an invocation of an earlier server; on_outcome as in `start`."""
        folder = self._folder / name
        try:
            description = Description(**json.loads((folder / "invocation.json").read_text()))
        except (OSError, ValueError, TypeError):  # killed while the folder was being written: never started
            shutil.rmtree(folder, ignore_errors=True)
            on_outcome(outcomes.lost("", "it had not been started"))
            return
        with self._lock:
            self._running[description.function_arn] += 1
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._context.supervisor.attach(
            _job_id(description.function_name, name),
            lambda end: self._ended(description, folder, end, tail, on_outcome),
            lambda line: self._heard(line, tail),
        )

    def _limit_reached(self, function: Function) -> str | None:
        reserved = function.reserved_concurrency
        if reserved is not None and self._running[function.unqualified_arn] >= int(reserved):
            return "ReservedFunctionConcurrentInvocationLimitExceeded"
        if self._running.total() >= ACCOUNT_CONCURRENCY:
            return "ConcurrentInvocationLimitExceeded"
        return None

    def _release(self, arn: str) -> None:
        with self._lock:
            self._running[arn] -= 1

    def _describe(self, function: Function, arn: str, request_id: str, client_context: Any) -> Description:
        layer_paths = []
        for digest in reversed(function.layer_digests):  # a later layer is written over an earlier one
            layer = self._packages.unpacked(digest)
            layer_paths += [
                str(layer / "python" / "lib" / str(function.run_time) / "site-packages"),
                str(layer / "python"),
            ]
        day = self._context.clock().strftime("%Y/%m/%d")
        return Description(
            request_id=request_id,
            arn=arn,
            function_arn=function.unqualified_arn,
            function_name=function.function_name,
            version=str(function.version),
            handler=str(function.handler),
            task_root=str(self._packages.unpacked(function.code_digest)),
            layer_paths=layer_paths,
            timeout_seconds=function.timeout,
            memory_mb=function.memory_size,
            log_group=function.logs_group_name,
            log_stream=f"{day}/[{function.version}]{request_id.replace('-', '')}",
            client_context=client_context,
        )

    def _job(self, function: Function, description: Description, folder: Path, name: str) -> Job:
        work = folder / "tmp"
        work.mkdir()
        environment = {
            "_HANDLER": description.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(description.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": description.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": description.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": description.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": description.log_stream,
            "LAMBDA_TASK_ROOT": description.task_root,
            "LANG": "en_US.UTF-8",
            "PYTHONIOENCODING": "utf-8",
            "TMPDIR": str(work),
            "TZ": ":UTC",
        }
        return Job(
            id=_job_id(description.function_name, name),
            argv=[str(self._python), "-P", "-s", str(BOOTSTRAP), str(folder)],
            env={**role_environment(function.role), **function.environment_vars, **environment},
            cwd=work,
            log_group=description.log_group,
            log_stream=description.log_stream,
            timeout_seconds=INIT_SECONDS + description.timeout_seconds,
            grace_seconds=1,
            verbatim=True,
        )

    def _ended(
        self, call: Description, folder: Path, end: Exit, tail: deque[str], on_outcome: OnOutcome
    ) -> None:
        self._release(call.function_arn)
        written = outcomes.read(folder)
        kind, status = written["kind"], ""
        lost = end.reason in ("lost", "stopped") and not kind
        payload = b""
        if kind in ("response", "error", "init_error"):
            payload = (folder / "payload").read_bytes()
        elif not lost:
            error_type, message, status = outcomes.failure(call, kind, end)
            payload = json.dumps(
                {"errorType": error_type, "errorMessage": f"RequestId: {call.request_id} Error: {message}"}
            ).encode()
            moment = self._context.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = f"{moment} {call.request_id} {message}" if kind == "timeout" else payload.decode()
            self._log(call, line)
            tail.append(line)
        report = outcomes.report(call, written, status)
        ending = [f"END RequestId: {call.request_id}", report]
        self._log(call, *ending)
        tail.extend(ending)
        self._measure(metrics.invocation(call.function_name, written["duration_ms"], kind != "response"))
        if lost:
            outcome = outcomes.lost(call.version, f"its process ended: {end.reason}")
        else:
            error = None if kind == "response" else "Unhandled"
            outcome = Outcome(error, payload, outcomes.last_bytes(tail), call.version)
        on_outcome(outcome)
        shutil.rmtree(folder, ignore_errors=True)

    def _heard(self, line: str, tail: deque[str]) -> None:
        tail.append(line)
        self._measure(metrics.embedded(line))

    def _measure(self, found: Iterable[tuple[str, list[metrics.Datum]]]) -> None:
        now = self._context.clock()
        for namespace, data in found:
            backend = cloudwatch_backends[self._context.account][self._context.region]
            with self._context.state.lock("cloudwatch"):
                backend.put_metric_data(namespace, [{**datum, "Timestamp": now} for datum in data])

    def _log(self, call: Description, *lines: str) -> None:
        now = time.time_ns() // 1_000_000
        self._context.logs.append(call.log_group, call.log_stream, [(now, line) for line in lines])


def _job_id(function_name: str, name: str) -> str:
    return f"lambda/{function_name}/{name}"
