"""MWAA: environments whose REST API is the running Airflow's.

`InvokeRestApi`, `CreateCliToken` and `CreateWebLoginToken` go to the Airflow that `serve --airflow-url`
names, whichever environment is asked. Creating or updating an environment checks what it names in S3 and,
with `--airflow-dags`, publishes the DAG files there. plugins.zip, requirements.txt, the start-up script,
network and class are checked and stored: nothing is installed. Both tokens are Airflow's own JWT, good for
its REST API; MWAA's `/aws_mwaa/...` pages, which would exchange them, are not served.
"""

from __future__ import annotations

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.mwaa.backend import BUSY, Backend, mwaa_backends
from local_aws.services.mwaa.responses import Responses

PATHS = (
    "environments", "environments/(?P<Name>[^/]+)", "clitoken/(?P<Name>[^/]+)", "webtoken/(?P<Name>[^/]+)",
    "restapi/(?P<Name>[^/]+)", "tags/(?P<ResourceArn>.+)",
)  # fmt: skip


def install(context: Context) -> None:
    Backend.context = context
    moto_hooks.add_service("mwaa", "airflow", PATHS, Responses, mwaa_backends)
    moto_hooks.not_supported("mwaa", "PublishMetrics")


def resume(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    for _, _, backend in mwaa_backends.iter_backends():
        for record in backend.environments.values():
            if record["Status"] in BUSY:
                backend.start(record)
