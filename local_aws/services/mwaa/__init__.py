"""MWAA: environments whose REST API is the running Airflow's.

`InvokeRestApi`, `CreateCliToken` and `CreateWebLoginToken` go to the Airflow that `serve --airflow-url`
names, whichever environment is asked. Creating or updating an environment checks what it names in S3. With
`--airflow-dags` its DAG files are published there, then and every few seconds, as MWAA does it. plugins.zip,
requirements.txt, the start-up script, network and class are checked and stored: nothing is installed. Both
tokens are Airflow's own JWT, good for its REST API; MWAA's `/aws_mwaa/...` pages, which would exchange them,
are not served.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.mwaa import publish
from local_aws.services.mwaa.backend import BUSY, Backend, mwaa_backends
from local_aws.services.mwaa.responses import Responses

log = logging.getLogger(__name__)

SYNCHRONIZE_SECONDS = 3.0  # MWAA: 30
PATHS = (
    "environments", "environments/(?P<Name>[^/]+)", "clitoken/(?P<Name>[^/]+)", "webtoken/(?P<Name>[^/]+)",
    "restapi/(?P<Name>[^/]+)", "tags/(?P<ResourceArn>.+)",
)  # fmt: skip


def install(context: Context) -> None:
    Backend.context = context
    moto_hooks.add_service("mwaa", "airflow", PATHS, Responses, mwaa_backends)
    moto_hooks.not_supported("mwaa", "PublishMetrics")


def resume(context: Context) -> None:
    for _, _, backend in mwaa_backends.iter_backends():
        for record in backend.environments.values():
            if record["Status"] in BUSY:
                backend.start(record)
    if context.airflow is not None and context.airflow.dags is not None:
        threading.Thread(
            target=_synchronize, args=(context, context.airflow.dags), name="mwaa DAGs", daemon=True
        ).start()


def _synchronize(context: Context, folder: Path) -> None:
    stopped = threading.Event()
    while not stopped.wait(SYNCHRONIZE_SECONDS):
        for _, _, backend in list(mwaa_backends.iter_backends()):
            for record in list(backend.environments.values()):
                if record["Status"] != "AVAILABLE":
                    continue
                try:
                    publish.publish_dags(context, record, folder)
                except (OSError, KeyError, ValueError):
                    log.exception("MWAA environment %s", record["Name"])
