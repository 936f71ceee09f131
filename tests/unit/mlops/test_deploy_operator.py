"""The deploy operator against an endpoint that behaves, rolls back, fails, or is already being deployed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from mlops import aws
from mlops.operators import DeployEndpointOperator
from tests.unit.mlops import fakes


class FakeEndpoints:
    """One endpoint. `after` is what becomes of it when somebody waits: the fields that change."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self) -> None:
        self.endpoint: dict[str, Any] | None = None
        self.after: list[dict[str, Any]] = []
        self.models: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.calls: list[str] = []
        self.alarms: list[dict[str, str]] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        if self.endpoint is None:
            raise fakes.error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return self.endpoint

    def create_endpoint(self, EndpointName: str, EndpointConfigName: str, Tags: Any) -> None:
        self.calls.append("create")
        self.endpoint = {
            "EndpointName": EndpointName,
            "EndpointConfigName": EndpointConfigName,
            "EndpointStatus": "Creating",
        }

    def update_endpoint(self, EndpointName: str, EndpointConfigName: str, DeploymentConfig: Any) -> None:
        assert self.endpoint
        self.calls.append("update")
        self.endpoint |= {
            "EndpointStatus": "Updating",
            "PendingDeploymentSummary": {"EndpointConfigName": EndpointConfigName},
        }

    def delete_endpoint(self, EndpointName: str) -> None:
        self.calls.append("delete")
        self.endpoint = None

    def describe_model(self, ModelName: str) -> Any:
        return self._get(self.models, ModelName, "model")

    def create_model(self, **request: Any) -> None:
        self.calls.append("model")
        self.models[request["ModelName"]] = request

    def describe_endpoint_config(self, EndpointConfigName: str) -> Any:
        return self._get(self.configs, EndpointConfigName, "endpoint configuration")

    def create_endpoint_config(self, **request: Any) -> None:
        self.calls.append("config")
        self.configs[request["EndpointConfigName"]] = request

    def _get(self, found: dict[str, Any], name: str, noun: str) -> Any:
        if name not in found:
            raise fakes.error("ValidationException", f'Could not find {noun} "{name}".')
        return found[name]

    def get_waiter(self, name: str) -> Any:
        def wait(EndpointName: str, WaiterConfig: dict[str, int]) -> None:
            self.calls.append(f"wait {name}")
            if self.endpoint is not None and self.after:
                self.endpoint |= self.after.pop(0)

        return SimpleNamespace(wait=wait)

    def describe_alarms(self, AlarmNames: list[str], StateValue: str) -> Any:
        return {"MetricAlarms": self.alarms}


IN_SERVICE = {"EndpointStatus": "InService", "PendingDeploymentSummary": None}
DONE = {"endpoint": "churn-local", "config": "new", "model": "new"}


@pytest.fixture
def endpoints(monkeypatch: Any) -> FakeEndpoints:
    fake = FakeEndpoints()
    monkeypatch.setattr(aws, "client", lambda service: fake)
    return fake


def deploy(endpoints: FakeEndpoints, deferrable: bool = False) -> DeployEndpointOperator:
    operator = DeployEndpointOperator(
        task_id="deploy",
        endpoint="churn-local",
        model={"ModelName": "new", "PrimaryContainer": {"ModelPackageName": "arn"}},
        endpoint_config={"EndpointConfigName": "new", "ProductionVariants": []},
        deployment={"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "latency"}]}},
        poll_interval=1,
        deferrable=deferrable,
    )
    operator.__dict__["hook"] = fakes.FakeHook(endpoints)
    return operator


def serving_old(endpoints: FakeEndpoints) -> None:
    endpoints.endpoint = {
        "EndpointName": "churn-local",
        "EndpointConfigName": "old",
        "EndpointStatus": "InService",
    }


def test_the_first_deployment_creates(endpoints: FakeEndpoints) -> None:
    endpoints.after = [IN_SERVICE]
    assert deploy(endpoints).execute({}) == DONE
    assert endpoints.calls == ["model", "config", "create", "wait endpoint_in_service"]


def test_a_later_deployment_updates_the_same_endpoint(endpoints: FakeEndpoints) -> None:
    serving_old(endpoints)
    endpoints.after = [IN_SERVICE | {"EndpointConfigName": "new"}]
    assert deploy(endpoints).execute({}) == DONE
    assert endpoints.calls == ["model", "config", "update", "wait endpoint_in_service"]


def test_a_retry_after_success_changes_nothing(endpoints: FakeEndpoints) -> None:
    test_the_first_deployment_creates(endpoints)
    endpoints.calls.clear()
    assert deploy(endpoints).execute({}) == DONE
    assert endpoints.calls == []


def test_a_rolled_back_update_fails_and_says_so(endpoints: FakeEndpoints) -> None:
    serving_old(endpoints)
    endpoints.after = [IN_SERVICE | {"FailureReason": "an alarm went off"}]
    endpoints.alarms = [{"AlarmName": "latency", "StateReason": "2 s > 0.5 s"}]
    with pytest.raises(AirflowFailException) as failed:
        deploy(endpoints).execute({})
    assert str(failed.value) == (
        "the deployment of new was rolled back: endpoint churn-local still serves old. "
        "Reason: an alarm went off Alarm latency: 2 s > 0.5 s."
    )


def test_a_retry_joins_the_deployment_under_way_and_sees_it_rolled_back(endpoints: FakeEndpoints) -> None:
    serving_old(endpoints)
    with pytest.raises(TaskDeferred):
        deploy(endpoints, deferrable=True).execute({})
    with pytest.raises(TaskDeferred) as deferred:  # the worker died; this is the next try
        deploy(endpoints, deferrable=True).execute({})
    assert endpoints.calls == ["model", "config", "update"]
    assert endpoints.endpoint
    endpoints.endpoint |= IN_SERVICE
    with pytest.raises(AirflowFailException, match="was rolled back"):
        deploy(endpoints).execute_complete({}, {"status": "success"}, **deferred.value.kwargs)


def test_a_foreign_deployment_is_waited_for_then_replaced(endpoints: FakeEndpoints) -> None:
    serving_old(endpoints)
    assert endpoints.endpoint
    endpoints.endpoint |= {
        "EndpointStatus": "Updating",
        "PendingDeploymentSummary": {"EndpointConfigName": "foreign"},
    }
    endpoints.after = [
        IN_SERVICE | {"EndpointConfigName": "foreign"},
        IN_SERVICE | {"EndpointConfigName": "new"},
    ]
    assert deploy(endpoints).execute({}) == DONE
    assert endpoints.calls[2:] == ["wait endpoint_in_service", "update", "wait endpoint_in_service"]


def test_an_endpoint_that_never_served_is_made_anew(endpoints: FakeEndpoints) -> None:
    serving_old(endpoints)
    assert endpoints.endpoint
    endpoints.endpoint["EndpointStatus"] = "Failed"
    endpoints.after = [IN_SERVICE]
    assert deploy(endpoints).execute({}) == DONE
    assert endpoints.calls[2:] == [
        "delete", "wait endpoint_deleted", "create", "wait endpoint_in_service"
    ]  # fmt: skip


def test_a_first_deployment_that_fails_says_why(endpoints: FakeEndpoints) -> None:
    endpoints.after = [{"EndpointStatus": "Failed", "FailureReason": "the model did not load"}]
    with pytest.raises(AirflowFailException, match="churn-local with new is Failed: the model did not load"):
        deploy(endpoints).execute({})


def test_a_refusal_of_a_describe_is_not_taken_for_absence(endpoints: FakeEndpoints, monkeypatch: Any) -> None:
    def denied(**_: Any) -> None:
        raise fakes.error("AccessDeniedException", "no")

    monkeypatch.setattr(endpoints, "describe_model", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        deploy(endpoints).execute({})
    assert endpoints.calls == []
