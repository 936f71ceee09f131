"""Puts local AWS together: state, S3, logs, supervisor, services, front door; starts and stops it."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cheroot.wsgi

from local_aws import moto_speed, services
from local_aws.airflow import Airflow
from local_aws.context import Context
from local_aws.environment import client_environment
from local_aws.front_door import PortTaken, make_server
from local_aws.images import registry
from local_aws.pace import Pace
from local_aws.processes import Supervisor
from local_aws.server import Application
from local_aws.services import logs, s3
from local_aws.state import Blobs, Database, Snapshots, UnreadableState, log_events, snapshots

log = logging.getLogger(__name__)

ACCOUNT = os.environ["MOTO_ACCOUNT_ID"]  # 123456789012 unless the user has set it; see local_aws


class CannotStart(RuntimeError):
    """The message says why and what to do."""


@dataclass
class LocalAws:
    context: Context
    databases: list[Database]
    server: cheroot.wsgi.Server
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self.server.serve, name="front door", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Jobs first, while the API still answers them; then the front door; then the files."""
        self.context.supervisor.shutdown()
        self.server.stop()
        self.thread.join(timeout=10)
        for database in self.databases:
            database.close()


def build(
    data_dir: Path,
    region: str,
    port: int,
    runtime_port: int,
    jobs_python: Path,
    images: Path | None = None,
    airflow: Airflow | None = None,
    pace: Pace = Pace(),  # noqa: B008  # immutable
) -> LocalAws:
    """Everything, ready to start. images: the table of the user's own. airflow: behind MWAA's environments.
    Raises CannotStart."""
    if not jobs_python.exists():
        raise CannotStart(
            f"there is no {jobs_python}, the interpreter that jobs run in; name it by --jobs-python"
        )
    try:
        own_images = registry.add_own(images) if images else ()
    except registry.UnknownImage as error:
        raise CannotStart(str(error)) from error
    for name in own_images:
        log.info("image %s runs what %s says", name, images)
    moto_speed.make_fit_for_a_long_life()
    blobs = Blobs(data_dir / "objects")
    database = _open(data_dir / "state.sqlite", snapshots.SCHEMA + s3.SCHEMA)
    events = _open(data_dir / "logs.sqlite", log_events.SCHEMA)
    state = Snapshots(database)
    objects = s3.prepare(ACCOUNT, database, blobs, state)
    sink = logs.prepare(log_events.LogEvents(events), ACCOUNT, region, state)
    supervisor = Supervisor(data_dir / "jobs", sink, client_environment(port, runtime_port, region))
    context = Context(
        data_dir=data_dir,
        region=region,
        account=ACCOUNT,
        port=port,
        runtime_port=runtime_port,
        jobs_python=jobs_python,
        images=images,
        supervisor=supervisor,
        objects=objects,
        state=state,
        logs=sink,
        clock=lambda: datetime.now(UTC),
        airflow=airflow,
        pace=pace,
    )
    try:
        application = Application(context, state, blobs)
        server = make_server(application, port)
    except PortTaken as error:
        raise CannotStart(str(error)) from error
    try:
        application.before_first_request = services.install(context, state)
    except UnreadableState as error:
        server.stop()  # its threads would keep the process alive, doing nothing
        raise CannotStart(str(error)) from error
    return LocalAws(context, [database, events], server)


def _open(path: Path, schema: str) -> Database:
    try:
        return Database(path, schema)
    except sqlite3.DatabaseError as error:
        raise CannotStart(
            f"{path} cannot be read: {error}. Name another --data-dir, or remove this one."
        ) from error
