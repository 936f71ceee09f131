"""Clients of an environment's account: for `local` the stack of `make up`, else the terminal's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

import config
from workbench import settings as workbench_settings
from workbench.settings import Settings, WorkbenchError


def of_environment(environment: config.Settings) -> Callable[[str], Any]:
    """boto3 clients by the names of their services. With AWS_ENDPOINT_URL `local` is what it says, too."""
    if environment.environment == "local" and "AWS_ENDPOINT_URL" not in os.environ:
        return cache(partial(local_client, workbench_settings.load()))
    session = boto3.Session(region_name=environment.region)
    retries = Config(retries={"mode": "standard", "max_attempts": 5})
    return cache(lambda service: session.client(service, config=retries))


def require(environment: config.Settings, client: Callable[[str], Any]) -> None:
    """Raises WorkbenchError: nobody is logged in, or to another account than the settings name."""
    place = f"config/{environment.environment}.toml"
    try:
        account = client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        if environment.environment == "local" and isinstance(error, EndpointConnectionError):
            raise WorkbenchError("the stack is not running: start it with `make up`") from error
        raise WorkbenchError(
            f"AWS does not say who you are ({error}). Log in to account {environment.account}, which {place} "
            "names: choose a profile (AWS_PROFILE), or renew its login"
        ) from error
    if account != environment.account:
        raise WorkbenchError(
            f"the credentials are of account {account}; {place} names {environment.account}. Choose another "
            "AWS_PROFILE, or correct `account` there"
        )


def local_client(settings: Settings, service: str) -> Any:
    """A stock boto3 client of local AWS, whatever profile the terminal has, or names in vain."""
    session = boto3.Session(
        botocore_session=botocore.session.Session({"profile": (None, None, None, None)}),
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - local AWS takes any
        region_name=settings.aws_environment()["AWS_DEFAULT_REGION"],
    )
    url = settings.runtime_url if service == "sagemaker-runtime" else settings.aws_url
    options = Config(
        retries={"mode": "standard", "max_attempts": 3},
        proxies={},
        s3={"addressing_style": "path"},
        inject_host_prefix=False,  # MWAA: there is no api.127.0.0.1
    )
    return session.client(service, endpoint_url=url, config=options)
