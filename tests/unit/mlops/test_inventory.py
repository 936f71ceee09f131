"""What the reaper finds and leaves, and what a teardown deletes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from config import load
from mlops import housekeeping, inventory
from mlops.inventory import Thing
from tests.unit.mlops.fakes import error

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OURS = {"project": "mlops", "environment": "local", "pipeline": "churn_training"}


class FakeSageMaker:
    """Endpoints, configurations and models with tags."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, str]] = {}
        self.deleted: list[str] = []

    def add(self, kind: str, name: str, **tags: str) -> None:
        self.tags[f"arn:{kind}/{name}"] = {**OURS, **tags}

    def get_paginator(self, operation: str) -> Any:
        fake = self

        class Pages:
            def paginate(self, ResourceArn: str = "") -> list[dict[str, Any]]:
                if operation == "list_tags":
                    tags = fake.tags[ResourceArn]
                    return [{"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
                kind = operation.removeprefix("list_").removesuffix("s").replace("_", "-")
                word = inventory.KINDS[kind]
                names = [arn.split("/")[1] for arn in fake.tags if arn.startswith(f"arn:{kind}/")]
                return [
                    {
                        f"{word}s": [
                            {
                                f"{word}Name": name,
                                f"{word}Arn": f"arn:{kind}/{name}",
                                "CreationTime": NOW - timedelta(days=30),
                            }
                        ]
                    }
                    for name in names
                ]

        return Pages()

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        return {"EndpointConfigName": f"{EndpointName}-config"}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": EndpointConfigName.replace("-config", "-model")}]}

    def delete_endpoint(self, EndpointName: str) -> None:
        self._delete("endpoint", EndpointName)

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:
        self._delete("endpoint-config", EndpointConfigName)

    def delete_model(self, ModelName: str) -> None:
        self._delete("model", ModelName)

    def _delete(self, kind: str, name: str) -> None:
        if self.tags.pop(f"arn:{kind}/{name}", None) is None:
            raise error("ValidationException", f'Could not find {kind} "{name}".')
        self.deleted.append(f"{kind} {name}")

    def get_waiter(self, _: str) -> Any:
        class Waiter:
            def wait(self, **_: Any) -> None: ...

        return Waiter()


class FakeCloudWatch:
    """Invocations of the last hour, by endpoint."""

    def __init__(self, **used: float) -> None:
        self.used = used

    def get_metric_statistics(self, Dimensions: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        count = self.used.get(Dimensions[0]["Value"], 0)
        return {"Datapoints": [{"Timestamp": NOW, "Sum": count}]}


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> FakeSageMaker:
    fake = FakeSageMaker()
    for name in ("busy", "idle"):
        for kind, suffix in (("endpoint", ""), ("endpoint-config", "-config"), ("model", "-model")):
            fake.add(kind, name + suffix)
    fake.add("model", "left")
    fake.add("endpoint", "foreign", project="another")
    clients = {"sagemaker": fake, "cloudwatch": FakeCloudWatch(busy=3)}
    monkeypatch.setattr(housekeeping, "client", clients.__getitem__)
    monkeypatch.setattr(housekeeping, "load", lambda: load("local"))
    return fake


def thing(kind: str = "endpoint", days: int = 30, **tags: str) -> Thing:
    return Thing(kind, "x", (NOW - timedelta(days=days)).isoformat(), tags)


@pytest.mark.parametrize(
    ("found", "used", "last", "reason"),
    [
        (thing(), False, None, "not invoked for 72 hours"),
        (thing(), False, NOW, None),
        (thing(days=2), False, None, None),  # too young to be idle
        (thing("model"), True, None, None),
        (thing("model"), False, None, "no endpoint uses it"),
        (thing("endpoint-config", days=1), False, None, None),
        (thing(expires="2026-11-20"), True, NOW, "expired on 2026-11-20"),
        (thing(expires="2026-11-21"), False, None, None),
    ],
)
def test_what_could_go(found: Thing, used: bool, last: datetime | None, reason: str | None) -> None:
    assert inventory.judge(found, NOW, 72, used, last) == reason


def test_a_tag_that_is_no_date_is_named() -> None:
    with pytest.raises(ValueError, match="endpoint x: tag expires=soon is no date"):
        inventory.judge(thing(expires="soon"), NOW, 72, False, None)


def test_the_reaper_reports_and_removes_only_when_told_to(sagemaker: FakeSageMaker) -> None:
    found = housekeeping.find({"idle_hours": 72})
    assert [(one["kind"], one["name"], one["reason"]) for one in found] == [
        ("endpoint", "idle", "not invoked for 72 hours"),
        ("model", "left", "no endpoint uses it"),
    ]
    assert housekeeping.remove(found, {"remove": False}) == []
    assert sagemaker.deleted == []
    assert housekeeping.remove(found, {"remove": True}) == ["endpoint idle", "model left"]
    assert housekeeping.remove(found, {"remove": True}) == []  # a retry finds them gone
    # What the endpoint served with is left over now, and goes in the next round.
    names = [one["name"] for one in housekeeping.find({"idle_hours": 72})]
    assert names == ["idle-config", "idle-model"]


def test_a_misspelt_parameter_is_no_silent_default(sagemaker: FakeSageMaker) -> None:
    with pytest.raises(
        AirflowFailException, match="unknown parameter idle_hour: there are remove, idle_hours"
    ):
        housekeeping.find({"idle_hour": 1, "remove": False, "idle_hours": 72})
    with pytest.raises(
        AirflowFailException, match="unknown parameter name: there are deployment, experiment"
    ):
        housekeeping.plan({"name": "x", "deployment": "churn", "confirm": "x"})


def test_a_teardown_wants_the_name_once_more(sagemaker: FakeSageMaker) -> None:
    params = {"deployment": "churn", "experiment": None, "confirm": "churn"}
    with pytest.raises(AirflowFailException, match="to delete churn-local and what belongs to it"):
        housekeeping.plan(params)
    with pytest.raises(AirflowFailException, match="experiment 'No!' is not an id"):
        housekeeping.plan({"deployment": "bandit", "experiment": "No!", "confirm": "x"})
    assert sagemaker.deleted == []


def test_a_teardown_deletes_the_deployment_and_nothing_else(
    sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker.add("endpoint", "bandit", pipeline="bandit_learning")
    monkeypatch.setattr("mlops.monitoring.schedules.stop", lambda *_: ["churn-local-bias"])
    planned = housekeeping.plan({"deployment": "churn", "experiment": None, "confirm": "churn-local"})
    done = housekeeping.tear_down(planned)
    assert done[0] == "schedule churn-local-bias: stopped"
    assert {line.split()[0] for line in done[1:]} == {"endpoint", "endpoint-config", "model"}
    assert sorted(sagemaker.tags) == ["arn:endpoint/bandit", "arn:endpoint/foreign"]
