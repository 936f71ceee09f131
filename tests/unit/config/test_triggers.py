"""infrastructure/triggers.yaml and the table of lambda_functions/trigger_dag say the same."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from config import Settings, load
from tests.unit.config.test_infrastructure import FOLDER, resources

TABLE = tomllib.loads((FOLDER.parent / "lambda_functions/trigger_dag/routes.toml").read_text())["routes"]
TEMPLATE = resources("triggers.yaml")


def filled(value: Any, settings: Settings) -> Any:
    """A piece of the template or of the table with its placeholders replaced."""
    known = {
        "Project": settings.project,
        "Environment": settings.environment,
        "AWS::Region": settings.region,
        "AWS::AccountId": settings.account,
        "AWS::Partition": settings.partition,
    }
    if isinstance(value, dict) and value.keys() == {"Sub"}:
        return re.sub(r"\$\{([\w:]+)\}", lambda match: known[match[1]], value["Sub"])
    if isinstance(value, dict):
        return {key: filled(item, settings) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, settings) for item in value]
    if isinstance(value, str) and (variable := re.fullmatch(r"\{env\.(\w+)\}", value)):
        return filled(TEMPLATE["Function"]["Properties"]["Environment"]["Variables"][variable[1]], settings)
    return value


@pytest.fixture(params=["local", "prod"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(request.param)


@pytest.mark.parametrize(
    ("route", "rule"), [("new_data", "NewData"), ("drift", "Drift"), ("approved_model", "ApprovedModel")]
)
def test_a_rule_passes_what_its_route_takes(route: str, rule: str, settings: Settings) -> None:
    pattern = filled(TEMPLATE[rule]["Properties"]["EventPattern"], settings)

    assert pattern == filled(TABLE[route]["pattern"], settings)


def test_every_route_has_a_rule_and_every_rule_the_queue() -> None:
    rules = {name: item for name, item in TEMPLATE.items() if item["Type"] == "AWS::Events::Rule"}

    assert len(rules) == len(TABLE)
    for rule in rules.values():
        assert rule["Properties"]["Targets"] == [{"Id": "queue", "Arn": {"GetAtt": "Queue.Arn"}}]


def test_the_rules_name_what_the_settings_name(settings: Settings) -> None:
    routes = filled(TABLE, settings)

    assert routes["new_data"]["pattern"]["detail"]["bucket"]["name"] == [settings.bucket]
    prefix = routes["new_data"]["pattern"]["detail"]["object"]["key"][0]["prefix"]
    assert prefix == settings.incoming_prefix
    assert routes["drift"]["pattern"]["detail"]["alarmName"] == [settings.drift_alarm]
    groups = routes["approved_model"]["pattern"]["detail"]["ModelPackageGroupName"]
    assert groups == [settings.churn_model_group]
    variables = filled(TEMPLATE["Function"]["Properties"]["Environment"]["Variables"], settings)
    assert variables["MWAA_ENVIRONMENT"] == settings.stem


def test_a_new_file_is_not_the_data_that_a_person_starts_a_run_on(settings: Settings) -> None:
    """Else each upload of a demonstration would start a second run."""
    assert not settings.incoming_prefix.startswith(settings.raw_prefix)
