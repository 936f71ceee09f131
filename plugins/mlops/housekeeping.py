"""The tasks of the DAGs `reaper` and `teardown`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from config import load
from mlops import inventory
from mlops.aws import client
from mlops.inventory import Finding

if TYPE_CHECKING:
    from airflow.sdk import Param

log = logging.getLogger(__name__)


def find(params: dict[str, Any]) -> list[dict[str, str]]:
    """What is idle, expired or left over; each line is in the log. Nothing is changed."""
    _require_known(params, reaper_params())
    settings, now = load(), datetime.now(UTC)
    sagemaker, cloudwatch = client("sagemaker"), client("cloudwatch")
    hours = int(params["idle_hours"])
    things = list(inventory.things(sagemaker, settings))
    endpoints = [thing.name for thing in things if thing.kind == "endpoint"]
    used = inventory.in_use(sagemaker, endpoints)
    found = []
    for thing in things:
        last = inventory.last_use(cloudwatch, thing.name, now, hours) if thing.kind == "endpoint" else None
        reason = inventory.judge(thing, now, hours, (thing.kind, thing.name) in used, last)
        log.info("%s %s: %s", thing.kind, thing.name, reason or "stays")
        if reason:
            found.append(Finding(thing.kind, thing.name, reason).as_dict())
    log.info("%d of %d could go", len(found), len(things))
    return found


def remove(found: list[dict[str, str]], params: dict[str, Any]) -> list[str]:
    """Delete what was found, when the run was told to; returns what was deleted."""
    if not params["remove"]:
        log.info("nothing is removed: start a run with remove=true")
        return []
    return _remove(found)


def plan(params: dict[str, Any]) -> list[dict[str, str]]:
    """What a teardown would delete; fails for a confirmation that does not name it."""
    _require_known(params, teardown_params())
    settings = load()
    if params["deployment"] == "churn":
        endpoint = settings.churn_endpoint
    else:
        from mlops.bandit.experiment import BadExperiment, Experiment

        try:
            endpoint = Experiment(settings, params["experiment"] or "").endpoint
        except BadExperiment as error:
            raise AirflowFailException(str(error)) from None
    if params["confirm"] != endpoint:
        raise AirflowFailException(
            f"confirm is {params['confirm']!r}; to delete {endpoint} and what belongs to it, give its name"
        )
    if params["deployment"] == "bandit":
        return [Finding("bandit", str(params["experiment"]), "the whole experiment").as_dict()]
    found = [
        Finding(thing.kind, thing.name, "belongs to the deployment").as_dict()
        for thing in inventory.things(client("sagemaker"), settings)
        if thing.tags.get("pipeline") == "churn_training"
    ]
    for one in found:
        log.info("%s %s", one["kind"], one["name"])
    return found


def tear_down(found: list[dict[str, str]]) -> list[str]:
    """Delete what was planned, and stop what watches it; returns what was deleted. Data and the registry's
    versions stay, so that a next run can deploy again."""
    settings = load()
    deleted = []
    for one in found:
        if one["kind"] == "bandit":
            from mlops.bandit.cleanup import clean
            from mlops.bandit.experiment import Experiment

            return clean(Experiment(settings, one["name"]), client)
    from mlops.monitoring import schedules

    deleted += [f"schedule {name}: stopped" for name in schedules.stop(client("sagemaker"), settings)]
    return [*deleted, *_remove(found)]


def _require_known(params: Mapping[str, Any], known: Mapping[str, Param]) -> None:
    from mlops.forms import UnknownParams, require_known

    try:
        require_known(params, known)
    except UnknownParams as error:
        raise AirflowFailException(str(error)) from None


def _remove(found: list[dict[str, str]]) -> list[str]:
    sagemaker = client("sagemaker")
    deleted = []
    for one in found:
        if inventory.remove(sagemaker, one["kind"], one["name"]):
            deleted.append(f"{one['kind']} {one['name']}")
            log.info("deleted %s %s", one["kind"], one["name"])
    return deleted


def reaper_params() -> Mapping[str, Param]:
    from airflow.sdk import Param

    return {
        "remove": Param(
            False,
            type="boolean",
            title="Remove",
            description="Delete what was found. Otherwise the run only reports.",
        ),
        "idle_hours": Param(
            72,
            type="integer",
            minimum=1,
            maximum=1440,
            title="Idle hours",
            description="An endpoint without an invocation for so long is idle.",
        ),
    }


def teardown_params() -> Mapping[str, Param]:
    from airflow.sdk import Param

    return {
        "deployment": Param(
            "churn",
            type="string",
            enum=["churn", "bandit"],
            title="What",
            description="The churn deployment, or one bandit experiment.",
        ),
        "experiment": Param(
            None, type=["null", "string"], maxLength=20, title="Experiment", description="A bandit's id."
        ),
        "confirm": Param(
            None,
            type="string",
            minLength=1,
            maxLength=63,
            title="Confirm",
            description="The endpoint's name, once more: nothing is deleted without it.",
        ),
    }
