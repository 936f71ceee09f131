"""`make deploy|diff|destroy ENV=dev`: the checkout onto the account that config/<ENV>.toml names.

The account is reached through boto3's own configuration: a profile, a role of CI, AWS_ENDPOINT_URL; that of
`local` is the stack of `make up`. Order: the bucket, what is uploaded into it, the other stacks (MWAA takes
new plugins then), the DAGs, and at last Airflow's own word that it runs exactly these files.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from config import Settings, load
from config.settings import SettingsError
from workbench import accounts, packaging, release, stacks
from workbench.airflow_on_mwaa import AirflowOnMwaa
from workbench.calls import Calls
from workbench.programs import code_files
from workbench.progress import console, say
from workbench.release import Release
from workbench.settings import ROOT, WorkbenchError

ENVIRONMENT_SECONDS = 3600.0
DAGS_SECONDS = 900.0  # MWAA copies the files every half minute, and parses them some time later
CODE_PREFIX = "code"
FUNCTION_PREFIX = "functions"
SCRIPT_MODE = ("sagemaker_scripts/bandit",)  # folders that SageMaker takes as one archive


@dataclass(frozen=True)
class Target:
    """Where to: the account's calls and the environment's settings; from the checkout in `root`."""

    calls: Calls
    settings: Settings
    root: Path = ROOT


def deploy(target: Target) -> None:
    """Bring everything up to the checkout. Repeating it changes nothing."""
    built = release.build(target.root)
    release.check(built, target.settings.infrastructure.airflow_class)
    put_everything(target, built)
    wait_for_environment(target)
    airflow = AirflowOnMwaa(target.calls.client("mwaa"), target.settings.stem)
    earlier = {} if target.calls.dry_run else airflow.import_errors()
    upload_dags(target, built)
    if target.calls.dry_run:
        target.calls.say(
            f"then asks Airflow (mwaa.invoke_rest_api Name={target.settings.stem}) for import errors, until "
            f"it has read as uploaded: {', '.join(sorted(built.dag_ids))}"
        )
        target.calls.say(f"calls that would change something: {target.calls.summary()}; this was a dry run")
        return
    airflow.wait_for_dags(built, earlier, DAGS_SECONDS)
    target.calls.say(f"calls that changed something: {target.calls.summary()}")
    target.calls.say(
        f"Airflow runs {len(built.dag_ids)} DAGs with code {built.code_version}, no import error"
    )


def put_everything(target: Target, built: Release) -> None:
    """The stacks and all that is uploaded, up to the DAGs: the part that local AWS and AWS have in common."""
    calls, settings, root = target.calls, target.settings, target.root
    known = stacks.put(calls, settings, stacks.template(root, stacks.STORAGE), {})
    known |= {
        "FunctionKey": upload_function(target),
        "PluginsVersion": upload(target, release.PLUGINS, built.plugins),
        "RequirementsVersion": upload(target, release.REQUIREMENTS, built.requirements),
    }
    upload_code(target, built.code_version)
    for name in stacks.ORDER:
        if name != stacks.STORAGE:
            known |= stacks.put(calls, settings, stacks.template(root, name), known)


def upload(target: Target, key: str, content: bytes) -> str:
    """Put an object unless it is there with the same bytes; returns its version."""
    calls, bucket = target.calls, target.settings.bucket
    try:
        present = calls.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
            raise
        present = {}
    sha256 = release.digest(content)
    if present.get("Metadata", {}).get("sha256") == sha256:
        return str(present["VersionId"])
    answer = calls.change(
        "s3", "put_object", Bucket=bucket, Key=key, Body=content, Metadata={"sha256": sha256}
    )
    return str(answer.get("VersionId", f"<version of {key}>"))


def upload_code(target: Target, version: str) -> None:
    """The jobs' code at code/<version>/, unless that version is complete there."""
    root = target.root
    contents = {path.relative_to(root).as_posix(): path.read_bytes for path in code_files(root)}
    contents |= {f"{name}.tar.gz": partial(packaging.source, root / name) for name in SCRIPT_MODE}
    prefix = f"{CODE_PREFIX}/{version}"
    present = _keys(target, f"{prefix}/")
    for name, content in contents.items():
        if (key := f"{prefix}/{name}") not in present:
            target.calls.change("s3", "put_object", Bucket=target.settings.bucket, Key=key, Body=content())


def upload_function(target: Target) -> str:
    """The function trigger_dag, under a name of its content; returns its key."""
    package = packaging.function(target.root)
    key = f"{FUNCTION_PREFIX}/trigger_dag-{hashlib.sha256(package).hexdigest()[:12]}.zip"
    if key not in _keys(target, key):
        target.calls.change("s3", "put_object", Bucket=target.settings.bucket, Key=key, Body=package)
    return key


def upload_dags(target: Target, built: Release) -> None:
    """The DAG files, as they are; what is there and not in the checkout goes."""
    for name, content in built.dags.items():
        upload(target, f"{release.DAGS}/{name}", content)
    wanted = {f"{release.DAGS}/{name}" for name in built.dags}
    for key in sorted(_keys(target, f"{release.DAGS}/") - wanted):
        target.calls.change("s3", "delete_object", Bucket=target.settings.bucket, Key=key)


def wait_for_environment(target: Target) -> None:
    """Until MWAA is available; raises WorkbenchError with its reason when the last update failed."""
    mwaa, name = target.calls.client("mwaa"), target.settings.stem
    if target.calls.dry_run:
        target.calls.say(f"then waits until MWAA's environment {name} is AVAILABLE")
        return
    deadline, pause = time.monotonic() + ENVIRONMENT_SECONDS, 0.2
    while (environment := mwaa.get_environment(Name=name)["Environment"])["Status"] in (
        "CREATING", "UPDATING", "PENDING", "CREATING_SNAPSHOT", "ROLLING_BACK",
    ):  # fmt: skip
        if time.monotonic() > deadline:
            raise WorkbenchError(f"MWAA's environment {name} is {environment['Status']} for an hour")
        time.sleep(pause)
        pause = min(pause * 1.5, 15.0)
    last = environment.get("LastUpdate", {})
    if environment["Status"] != "AVAILABLE" or last.get("Status") == "FAILED":
        reason = last.get("Error", {}).get("ErrorMessage", "no reason given")
        raise WorkbenchError(f"MWAA's environment {name} is {environment['Status']}: {reason}")


def diff(target: Target) -> list[str]:
    """What a deployment would change, as lines; none when nothing."""
    calls, settings = target.calls, target.settings
    dry = Target(Calls(calls.client, dry_run=True), settings, target.root)
    lines = []
    cloudformation = calls.client("cloudformation")
    for name in stacks.ORDER:
        path = stacks.template(target.root, name)
        if stacks.outputs(calls, settings, name) is None:
            lines.append(f"+ stack {stacks.stack_name(settings, name)}")
            continue
        there = cloudformation.get_template(StackName=stacks.stack_name(settings, name))["TemplateBody"]
        lines += difflib.unified_diff(
            str(there).splitlines(),
            path.read_text().splitlines(),
            f"deployed/{path.name}",
            path.name,
            lineterm="",
            n=1,
        )
    built = release.build(target.root)
    if stacks.outputs(calls, settings, stacks.STORAGE) is not None:
        upload(dry, release.PLUGINS, built.plugins)
        upload(dry, release.REQUIREMENTS, built.requirements)
        upload_function(dry)
        upload_code(dry, built.code_version)
        upload_dags(dry, built)
    return [*lines, *(f"~ {call}" for call in dry.calls.made)]


def destroy(target: Target) -> None:
    """Delete every stack but the one that holds the data and their key, newest first."""
    for name in reversed(stacks.ORDER):
        if name != stacks.STORAGE:
            stacks.delete(target.calls, target.settings, name)


def stays(target: Target) -> list[str]:
    """What `destroy` leaves: the storage stack whole, and what other templates say to retain."""
    kept = [f"stack {stacks.stack_name(target.settings, stacks.STORAGE)}: bucket, key and all data"]
    for name in stacks.ORDER:
        if name != stacks.STORAGE:
            kept += stacks.retained(target.calls, target.settings, target.root, name)
    return kept


def _keys(target: Target, prefix: str) -> set[str]:
    pages = target.calls.client("s3").get_paginator("list_objects_v2")
    try:
        found = list(pages.paginate(Bucket=target.settings.bucket, Prefix=prefix))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":  # a dry run before the first deployment
            return set()
        raise
    return {item["Key"] for page in found for item in page.get("Contents", [])}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workbench.deploy", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["deploy", "diff", "destroy"])
    parser.add_argument("--environment", required=True, help="its name in config/")
    parser.add_argument("--dry-run", action="store_true", help="print every call that would change something")
    parser.add_argument("--yes", action="store_true", help="destroy without asking")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (WorkbenchError, SettingsError, BotoCoreError, ClientError) as error:
        console.print("error:", style="bold red", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        say("\nstopped by you; what was started on AWS goes on there")
        return 130


def _run(options: argparse.Namespace) -> int:
    settings = load(options.environment)
    client = accounts.of_environment(settings)
    accounts.require(settings, client)
    calls = Calls(
        client,
        lambda line: console.print(line, markup=False, soft_wrap=True, highlight=False),
        options.dry_run,
    )
    target = Target(calls, settings)
    if options.command == "deploy":
        deploy(target)
    elif options.command == "diff":
        lines = diff(target)
        for line in lines or ["nothing would change"]:
            calls.say(line)
    else:
        return _destroy(target, options.yes)
    return 0


def _destroy(target: Target, yes: bool) -> int:
    stem = target.settings.stem
    say(f"This deletes the stacks of {stem} in account {target.settings.account}.")
    for kept in stays(target):
        say(f"  stays: {kept}")
    say("  stays: endpoints and models that DAG runs made; the DAG `teardown` removes them, before this")
    if not (yes or target.calls.dry_run):
        try:
            answer = input(f"Type {stem} to go on: ")
        except EOFError:
            raise WorkbenchError("nobody can be asked (--yes goes on unasked); nothing was deleted") from None
        if answer != stem:
            say("nothing was deleted")
            return 1
    destroy(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
