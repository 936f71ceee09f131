"""Endpoints and deployments against a stand-in for the data plane that reports what it was told to serve."""

import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from moto.core.exceptions import ServiceException

from local_aws.services.sagemaker import deployments

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
SETTLED = ("InService", "Failed")


class DataPlane:
    """Answers /-/status from endpoints.json: Failed for a model folder with a file `broken`. Keeps every
    state it was told, so that a test can see that no step left an endpoint without a ready fleet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history: list[dict] = []
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(plane.status())

            def do_POST(self):
                plane.history.append(json.loads(plane.path.read_text())["endpoints"])
                self.answer(plane.status())

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def status(self):
        def state(variant):
            broken = (Path(variant["model_dir"]) / "broken").exists()
            return {"state": "Failed", "reason": "no model"} if broken else {"state": "Ready", "reason": None}

        endpoints = json.loads(self.path.read_text())["endpoints"]
        return {
            "version": 1,
            "endpoints": {
                name: {
                    "fleets": {
                        fleet["id"]: {"variants": {v["name"]: state(v) for v in fleet["variants"]}}
                        for fleet in endpoint["fleets"]
                    }
                }
                for name, endpoint in endpoints.items()
            },
        }

    def weights(self, endpoint):
        """The distinct fleet weights over time: [{"config": weight, ...}, ...]."""
        steps: list[dict[str, float]] = []
        for state in self.history:
            fleets = {fleet["id"]: fleet["weight"] for fleet in state.get(endpoint, {}).get("fleets", ())}
            if not steps or steps[-1] != fleets:
                steps.append(fleets)
        return steps


@pytest.fixture
def plane(service):
    plane = DataPlane(service.context.data_dir / "serving" / "endpoints.json")
    service.context.runtime_port = plane.server.server_address[1]
    yield plane
    plane.server.shutdown()


@pytest.fixture
def alarms(monkeypatch):
    """alarm name -> state value."""
    states: dict[str, str] = {}
    monkeypatch.setattr(
        deployments, "_alarms", lambda service: {k: SimpleNamespace(state_value=v) for k, v in states.items()}
    )
    monkeypatch.setattr(deployments, "ALARM_POLL_SECONDS", 0.02)
    return states


def archive(*names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return data.getvalue()


@pytest.fixture
def make(api, objects, role, plane):
    """make("v1") -> a model, and an endpoint configuration of the same name."""

    def make(name, *files, capture=False, weight=1.0):
        objects[f"{name}/model.tar.gz"] = archive(*(files or ("xgboost-model",)))
        api(
            "CreateModel",
            ModelName=name,
            ExecutionRoleArn=role,
            PrimaryContainer={"Image": XGBOOST, "ModelDataUrl": f"s3://bucket/{name}/model.tar.gz"},
        )
        more = {}
        if capture:
            more["DataCaptureConfig"] = {
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": "s3://bucket/capture",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            }
        api(
            "CreateEndpointConfig",
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "InitialVariantWeight": weight,
                }
            ],
            **more,
        )

    return make


@pytest.fixture
def settled(api):
    return lambda: api.wait("DescribeEndpoint", "EndpointStatus", SETTLED, EndpointName="churn")


def canary(wait=0, alarms=(), type="CANARY"):
    routing = {"Type": type, "WaitIntervalInSeconds": wait}
    size = {"Type": "CAPACITY_PERCENT", "Value": 10 if type == "CANARY" else 50}
    routing["CanarySize" if type == "CANARY" else "LinearStepSize"] = size
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def test_an_endpoint_is_created_with_capture(api, make, settled, service):
    make("v1", capture=True)
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="v1")
    endpoint = settled()
    assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
    assert endpoint["EndpointConfigName"] == "v1"
    [variant] = endpoint["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentWeight"], variant["DesiredInstanceCount"]) == (
        "AllTraffic",
        1.0,
        1,
    )
    assert endpoint["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/capture",
        "KmsKeyId": "",
    }
    state = json.loads((service.context.data_dir / "serving/endpoints.json").read_text())
    served = state["endpoints"]["churn"]
    assert served["capture"] == {
        "percentage": 100,
        "destination": "s3://bucket/capture",
        "modes": ["Input", "Output"],
        "csv_content_types": ["text/csv"],
        "json_content_types": [],
    }
    [fleet] = served["fleets"]
    assert (fleet["id"], fleet["weight"]) == ("v1", 1.0)
    assert fleet["variants"][0]["image"] == "sagemaker-xgboost:3.2-0"
    assert [p.name for p in Path(fleet["variants"][0]["model_dir"]).iterdir()] == ["xgboost-model"]


def test_a_first_deployment_that_cannot_load_fails(api, make, settled, service):
    make("bad", "broken")
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="bad")
    endpoint = settled()
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"] == "The container of variant AllTraffic did not load its model: no model"
    with pytest.raises(ServiceException, match="in status Failed: delete it"):
        api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="bad")
    api("DeleteEndpoint", EndpointName="churn")


def test_an_archive_that_leaves_its_folder_is_refused(api, make, settled):
    make("evil", "../../evil")
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="evil")
    endpoint = settled()
    assert endpoint["EndpointStatus"] == "Failed"
    assert (
        "s3://bucket/evil/model.tar.gz holds a member that may not be extracted" in endpoint["FailureReason"]
    )


@pytest.fixture
def deployed(api, make, settled):
    make("v1")
    make("v2")
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="v1")
    assert settled()["EndpointStatus"] == "InService"


def test_a_canary_moves_the_traffic_in_steps(api, deployed, settled, plane):
    api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="v2", DeploymentConfig=canary())
    endpoint = settled()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "v2")
    assert endpoint["LastDeploymentConfig"] == canary()
    assert "PendingDeploymentSummary" not in endpoint
    assert plane.weights("churn") == [
        {"v1": 1.0},
        {"v1": 1.0, "v2": 0.0},
        {"v1": 0.9, "v2": 0.1},
        {"v1": 0.0, "v2": 1.0},
        {"v2": 1.0},
    ]


def test_a_linear_deployment(api, deployed, settled, plane):
    api(
        "UpdateEndpoint",
        EndpointName="churn",
        EndpointConfigName="v2",
        DeploymentConfig=canary(type="LINEAR"),
    )
    assert settled()["EndpointConfigName"] == "v2"
    assert [step.get("v2") for step in plane.weights("churn")] == [None, 0.0, 0.5, 1.0, 1.0]


def test_an_alarm_during_the_bake_rolls_back(api, deployed, settled, plane, alarms):
    alarms["errors"] = "OK"
    api(
        "UpdateEndpoint",
        EndpointName="churn",
        EndpointConfigName="v2",
        DeploymentConfig=canary(wait=60, alarms=["errors"]),
    )
    pending = api.wait("DescribeEndpoint", "EndpointStatus", ("Updating",), EndpointName="churn")
    assert pending["PendingDeploymentSummary"]["EndpointConfigName"] == "v2"
    assert pending["EndpointConfigName"] == "v1"
    while plane.weights("churn")[-1] != {"v1": 0.9, "v2": 0.1}:
        pass
    with pytest.raises(ServiceException, match='Cannot update in-progress endpoint "arn:aws:sagemaker'):
        api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="v2")
    alarms["errors"] = "ALARM"
    endpoint = settled()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "v1")
    assert "alarms are in the ALARM state: errors" in endpoint["FailureReason"]
    assert plane.weights("churn")[-1] == {"v1": 1.0}


def test_a_new_fleet_that_cannot_load_rolls_back_and_never_gets_traffic(api, make, deployed, settled, plane):
    make("bad", "broken")
    api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="bad")
    endpoint = settled()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "v1")
    assert "did not load its model" in endpoint["FailureReason"]
    assert plane.weights("churn") == [{"v1": 1.0}, {"v1": 1.0, "bad": 0.0}, {"v1": 1.0}]


def test_an_alarm_that_does_not_exist_is_refused(api, deployed, alarms):
    with pytest.raises(ServiceException, match="alarms that do not exist: typo"):
        api(
            "UpdateEndpoint",
            EndpointName="churn",
            EndpointConfigName="v2",
            DeploymentConfig=canary(alarms=["typo"]),
        )


def test_an_update_to_the_same_configuration_is_a_deployment_too(api, deployed, settled, plane):
    for fleet in ("v1.next", "v1"):
        api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="v1")
        assert settled()["EndpointConfigName"] == "v1"
        assert plane.weights("churn")[-1] == {fleet: 1.0}


def test_an_interrupted_canary_carries_on_after_a_restart(api, deployed, settled, plane, service, alarms):
    alarms["errors"] = "OK"
    with service.lock:
        config = service.find("endpoint-config", "v2")
        record = service.find("endpoint", "churn")
        spawned, deployments_spawn = [], deployments._spawn
        deployments._spawn = lambda service, record: spawned.append(record)  # the server dies here
        try:
            deployments.begin_update(service, record, dict(config), canary(alarms=["errors"]))
        finally:
            deployments._spawn = deployments_spawn
    assert spawned
    deployments.resume(service)
    assert settled()["EndpointConfigName"] == "v2"


def test_an_interrupted_creation_carries_on_with_one_fleet(api, make, settled, plane, service):
    make("v1")
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="v1")
    settled()
    with service.lock:
        record = service.find("endpoint", "churn")
        record["EndpointStatus"] = "Creating"
        record["_deployment"] = {"kind": "create", "fleet": "v1"}
    deployments.resume(service)
    assert settled()["EndpointStatus"] == "InService"
    assert plane.weights("churn") == [{"v1": 1.0}]


def test_weights_are_changed(api, objects, role, make, settled, plane):
    make("v1")
    make("v2")
    variants = [
        {"VariantName": name, "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        for name in ("v1", "v2")
    ]
    api("CreateEndpointConfig", EndpointConfigName="two", ProductionVariants=variants)
    api("CreateEndpoint", EndpointName="churn", EndpointConfigName="two")
    settled()
    api(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="churn",
        DesiredWeightsAndCapacities=[{"VariantName": "v2", "DesiredWeight": 3.0}],
    )
    endpoint = settled()
    assert {v["VariantName"]: v["CurrentWeight"] for v in endpoint["ProductionVariants"]} == {
        "v1": 1.0,
        "v2": 3.0,
    }
    [fleet] = plane.history[-1]["churn"]["fleets"]
    assert {v["name"]: v["weight"] for v in fleet["variants"]} == {"v1": 1.0, "v2": 3.0}
    with pytest.raises(ServiceException, match='"v9" is/are not present'):
        api(
            "UpdateEndpointWeightsAndCapacities",
            EndpointName="churn",
            DesiredWeightsAndCapacities=[{"VariantName": "v9", "DesiredWeight": 3.0}],
        )


def test_delete_and_what_is_not_there(api, deployed, plane):
    with pytest.raises(ServiceException, match='Cannot create already existing endpoint "arn:aws:sagemaker'):
        api("CreateEndpoint", EndpointName="churn", EndpointConfigName="v1")
    api("DeleteEndpoint", EndpointName="churn")
    missing = 'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/churn"'
    with pytest.raises(ServiceException, match=missing):
        api.wait("DescribeEndpoint", "EndpointStatus", (), EndpointName="churn")
    assert plane.history[-1] == {}
    with pytest.raises(ServiceException, match="Could not find endpoint configuration"):
        api("CreateEndpoint", EndpointName="churn", EndpointConfigName="none")


def test_artefacts_that_nothing_serves_are_removed(api, deployed, settled, make, service):
    models = service.context.data_dir / "serving" / "models"
    api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="v2")
    settled()
    make("v3")
    api("UpdateEndpoint", EndpointName="churn", EndpointConfigName="v3")
    settled()
    assert {path.name.split("-")[0] for path in models.iterdir()} == {"v2", "v3"}
