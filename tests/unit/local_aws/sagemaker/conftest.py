"""A SageMaker service without a server: objects in a dictionary, jobs as plain subprocesses."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_aws.context import NoSuchObject, ObjectInfo
from local_aws.pace import Pace
from local_aws.processes import Exit
from local_aws.services.sagemaker import operations
from local_aws.services.sagemaker.backend import SageMakerBackend, Service

ROLE = "arn:aws:iam::123456789012:role/mlops-sagemaker"


class FakeObjects:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buckets: dict[str, dict[str, bytes]] = {"bucket": {}}

    def exists_bucket(self, bucket):
        return bucket in self.buckets

    def list(self, bucket, prefix=""):
        for key, data in sorted(self.buckets[bucket].items()):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(data), hashlib.md5(data).hexdigest(), datetime.now(UTC))

    def open(self, bucket, key):
        try:
            return io.BytesIO(self.buckets[bucket][key])
        except KeyError as error:
            raise NoSuchObject(f"s3://{bucket}/{key}") from error

    def path(self, bucket, key):
        path = self.folder / hashlib.md5(f"{bucket}/{key}".encode()).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.open(bucket, key).read())
        return path

    def put_file(self, bucket, key, path, content_type=None, metadata=None):
        self.put_bytes(bucket, key, Path(path).read_bytes())

    def put_bytes(self, bucket, key, data, content_type=None, metadata=None):
        if bucket not in self.buckets:
            raise NoSuchObject(f"s3://{bucket}")
        self.buckets[bucket][key] = data

    def upload_tree(self, src, bucket, prefix):
        files = [p for p in sorted(Path(src).rglob("*")) if p.is_file() and not p.is_symlink()]
        for path in files:
            self.put_file(bucket, f"{prefix}/{path.relative_to(src)}", path)
        return len(files)


class FakeSupervisor:
    """Runs jobs as subprocesses; `stop` sends SIGTERM. Remembers the jobs it was given."""

    def __init__(self) -> None:
        self.jobs: dict = {}
        self.processes: dict = {}
        self.reasons: dict = {}
        self.attached: list = []
        self.watched: set = set()

    def start(self, job, on_exit, on_line=None):
        if job.id in self.watched:
            raise ValueError(f"job {job.id} is already running")
        self.jobs[job.id] = job
        process = subprocess.Popen(
            job.argv, cwd=job.cwd, env={**os.environ, **job.env}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.processes[job.id] = process
        threading.Thread(target=self._watch, args=(job, process, on_exit, on_line), daemon=True).start()

    def _watch(self, job, process, on_exit, on_line):
        if job.timeout_seconds is not None:
            threading.Timer(job.timeout_seconds, self._end, (job.id, "timed_out")).start()
        last = ""
        for line in process.stdout:
            line = line.rstrip("\n").replace("\t", "#011")
            last = line or last
            if on_line:
                on_line(line)
        code = process.wait()
        on_exit(Exit(code, self.reasons.get(job.id, "exited"), last))

    def _end(self, job_id, reason):
        process = self.processes.get(job_id)
        if process and process.poll() is None:
            self.reasons[job_id] = reason
            process.terminate()

    def stop(self, job_id):
        self._end(job_id, "stopped")

    def is_running(self, job_id):
        process = self.processes.get(job_id)
        return job_id in self.watched or (process is not None and process.poll() is None)

    def attach(self, job_id, on_exit, on_line=None):
        """As the real one: it lets go of the job's name when on_exit has returned."""
        self.attached.append(job_id)
        self.watched.add(job_id)
        on_exit(Exit(None, "lost", ""))
        self.watched.remove(job_id)


class FakeState:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.commits = 0

    def lock(self, service):
        return self._lock

    def commit(self, service):
        self.commits += 1


class Api:
    """The service's operations as a client's methods: `api.create_model(ModelName=...)`."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, operation: str, **request):
        with self.service.lock:
            return operations.COMPUTED[operation](self.service, request)

    def wait(self, operation: str, status: str, done: tuple[str, ...], seconds: float = 30, **request):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self(operation, **request)
            if answer[status] in done:
                return answer
            threading.Event().wait(0.02)
        raise AssertionError(f"{request} is still {answer[status]}: {answer}")


@pytest.fixture
def service(tmp_path):
    context: Any = SimpleNamespace(
        data_dir=tmp_path / "data",
        region="us-east-1",
        account="123456789012",
        port=1,
        runtime_port=1,
        jobs_python=Path(sys.executable),
        supervisor=FakeSupervisor(),
        objects=FakeObjects(tmp_path / "blobs"),
        state=FakeState(),
        logs=None,
        clock=lambda: datetime.now(UTC),
        pace=Pace(),
    )
    return Service(context, SageMakerBackend("us-east-1", "123456789012"))


@pytest.fixture
def api(service):
    return Api(service)


@pytest.fixture
def objects(service):
    return service.context.objects.buckets["bucket"]


@pytest.fixture
def role():
    return ROLE
