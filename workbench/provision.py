"""What the pipelines need in local AWS before their first run: infrastructure, and the jobs' code."""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from config import load
from workbench import deploy, release
from workbench.accounts import local_client as client
from workbench.calls import Calls
from workbench.programs import code_version
from workbench.settings import ROOT, Settings, WorkbenchError

ANSWER_SECONDS = 180.0  # on a machine that is busy with other things; a crash is noticed at once


def answers(settings: Settings) -> bool:
    """Whether local AWS takes calls."""
    try:
        return httpx.get(f"{settings.aws_url}/-/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def provision(settings: Settings, root: Path = ROOT) -> None:
    """Everything that `make deploy` would bring, from the same templates. The stack's own Airflow reads the
    checkout itself: the MWAA environment stands for it."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not answers(settings):
        if time.monotonic() > deadline:
            raise WorkbenchError(f"local AWS does not answer; see {settings.logs}/local-aws.log")
        time.sleep(0.2)
    target = _target(settings, root)
    try:
        deploy.put_everything(target, release.build(root))
        deploy.wait_for_environment(target)
    except (BotoCoreError, ClientError) as error:
        raise WorkbenchError(f"local AWS could not be provisioned: {error}") from error


def upload_code(settings: Settings, root: Path = ROOT) -> str:
    """Put the jobs' code at code/<version>/, unless that version is complete there; returns the version."""
    version = code_version(root)
    deploy.upload_code(_target(settings, root), version)
    return version


def _target(settings: Settings, root: Path) -> deploy.Target:
    return deploy.Target(Calls(cache(partial(client, settings))), load("local"), root)
