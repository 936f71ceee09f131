"""Checkpoints of training jobs: restored before the job starts, published while it runs.

As on AWS, what a job writes below CheckpointConfig.LocalPath goes to S3 continuously, so that a job that is
interrupted can be run again from there; a new job of the same S3Uri finds them in its folder.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from local_aws.images import registry

from . import inputs
from .backend import Record, Service

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
DEFAULT_PATH = "/opt/ml/checkpoints"

Seen = dict[Path, tuple[int, int]]  # file -> (size, time of its last change)


def local_path(record: Record, base: Path) -> Path:
    """The folder that the job writes its checkpoints to."""
    return Path(registry.rebase(record["CheckpointConfig"].get("LocalPath", DEFAULT_PATH), base))


def restore(service: Service, record: Record, base: Path) -> None:
    uri, folder = record["CheckpointConfig"]["S3Uri"], local_path(record, base)
    folder.mkdir(parents=True, exist_ok=True)
    bucket, prefix = inputs.split_uri(uri.rstrip("/") + "/")
    if next(iter(service.context.objects.list(bucket, prefix)), None) is not None:
        inputs.download(service, inputs.Source(uri.rstrip("/") + "/"), folder)


def follow(service: Service, record: Record, base: Path, ended: threading.Event) -> None:
    """Publish checkpoints until `ended` is set. A file counts as whole when it has not changed for a look."""
    folder = local_path(record, base)
    published: Seen = _look(folder)  # what was restored is in S3 already
    before: Seen = {}
    while not ended.wait(LOOK_SECONDS):
        now = _look(folder)
        for file, state in now.items():
            if before.get(file) == state != published.get(file) and _publish(service, record, folder, file):
                published[file] = state
        before = now


def publish_all(service: Service, record: Record, base: Path) -> None:
    """When the job has ended, everything it left is whole."""
    folder = local_path(record, base)
    bucket, prefix = inputs.split_uri(record["CheckpointConfig"]["S3Uri"])
    if folder.is_dir():
        service.context.objects.upload_tree(folder, bucket, prefix.rstrip("/"))


def _publish(service: Service, record: Record, folder: Path, file: Path) -> bool:
    bucket, prefix = inputs.split_uri(record["CheckpointConfig"]["S3Uri"])
    try:
        key = inputs.join_uri(prefix, str(file.relative_to(folder))).lstrip("/")
        service.context.objects.put_file(bucket, key, file)
    except (OSError, KeyError) as error:  # gone meanwhile, or no bucket: the job goes on
        log.warning("checkpoint %s of %s is not published: %s", file, record["TrainingJobName"], error)
        return False
    return True


def _look(folder: Path) -> Seen:
    found: Seen = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                state = path.stat()
                found[path] = (state.st_size, state.st_mtime_ns)
        except OSError:
            continue  # removed while we looked
    return found
