"""UpdateEndpoint with guardrails through boto3, under traffic: no request may fail, whatever happens."""

import io
import tarfile
import threading
import time

import pytest
from botocore.exceptions import ClientError


def canary(wait=0, alarms=()):
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": wait,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            },
            "TerminationWaitInSeconds": 0,
        }
    }
    if alarms:
        policy["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}
    return policy


@pytest.fixture
def endpoint(sm, deployable, cases, name):
    """An endpoint in service on configuration `<name>-1`, and a second configuration `<name>-2`."""
    for version in ("1", "2"):
        deployable(f"{name}-{version}")
    sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    sm.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=cases.fast)
    return name


@pytest.fixture
def traffic(local_aws, endpoint, trained, cases):
    """Two clients that ask without pause; `traffic()` stops them and gives (answers, errors)."""
    row, expected = cases.csv(trained.features[:1]), trained.scores[0]
    stop, answers, errors = threading.Event(), [], []

    def ask():
        client = local_aws.client("sagemaker-runtime")
        while not stop.is_set():
            try:
                body = client.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=row)["Body"]
                answers.append(abs(float(body.read()) - expected) < 1e-6)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a lost request
                errors.append(repr(error))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()

    def ended():
        stop.set()
        for client in clients:
            client.join()
        return answers, errors

    yield ended
    ended()


def test_a_canary_update_under_traffic_loses_no_request(sm, endpoint, traffic, cases):
    sm.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=f"{endpoint}-2", DeploymentConfig=canary(wait=1)
    )
    during = sm.describe_endpoint(EndpointName=endpoint)
    assert during["EndpointStatus"] == "Updating"
    assert during["EndpointConfigName"] == f"{endpoint}-1"
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == f"{endpoint}-2"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-2")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sm.delete_endpoint(EndpointName=endpoint)
    sm.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=cases.fast)
    after = sm.describe_endpoint(EndpointName=endpoint)
    assert after["EndpointConfigName"] == f"{endpoint}-2"
    assert after["LastDeploymentConfig"] == canary(wait=1)
    assert "PendingDeploymentSummary" not in after
    answers, errors = traffic()
    assert errors == []
    assert len(answers) > 20
    assert all(answers)


def test_an_alarm_in_the_bake_rolls_back_to_the_old_configuration(sm, local_aws, endpoint, traffic, cases):
    cloudwatch = local_aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=endpoint,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    sm.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=f"{endpoint}-2",
        DeploymentConfig=canary(wait=120, alarms=[endpoint]),
    )
    deadline = time.monotonic() + 60
    while True:
        pending = sm.describe_endpoint(EndpointName=endpoint)["PendingDeploymentSummary"][
            "ProductionVariants"
        ][0]
        if pending["VariantStatus"][0]["Status"] == "Baking":
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert pending["CurrentWeight"] == pytest.approx(0.1)
    # An evaluation of the alarm may set it back to OK: it stays in ALARM until the poll has seen it.
    while sm.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating":
        cloudwatch.set_alarm_state(AlarmName=endpoint, StateValue="ALARM", StateReason="a test")
        assert time.monotonic() < deadline
        time.sleep(0.2)
    after = sm.describe_endpoint(EndpointName=endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", f"{endpoint}-1")
    assert f"alarms are in the ALARM state: {endpoint}" in after["FailureReason"]
    answers, errors = traffic()
    assert errors == []
    assert all(answers)


def test_a_new_model_that_does_not_load_rolls_back_and_the_old_one_keeps_serving(
    sm, s3, bucket, endpoint, traffic, cases
):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz"):
        pass  # an archive without a model
    s3.put_object(Bucket=bucket, Key=f"{endpoint}/empty.tar.gz", Body=data.getvalue())
    bad = f"{endpoint}-bad"
    sm.create_model(
        ModelName=bad,
        ExecutionRoleArn=cases.role,
        PrimaryContainer={"Image": cases.image, "ModelDataUrl": f"s3://{bucket}/{endpoint}/empty.tar.gz"},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": bad,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sm.create_endpoint_config(EndpointConfigName=bad, ProductionVariants=[variant])
    sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=bad)
    after = cases.ended(sm.describe_endpoint, "EndpointStatus", EndpointName=endpoint)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", f"{endpoint}-1")
    assert "did not load its model" in after["FailureReason"]
    answers, errors = traffic()
    assert errors == []
    assert all(answers)


def test_policies_that_aws_refuses(sm, endpoint):
    def update(policy):
        sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=f"{endpoint}-2", DeploymentConfig=policy)

    with pytest.raises(ClientError, match="alarms that do not exist: no-such-alarm"):
        update(canary(alarms=["no-such-alarm"]))
    big = canary()
    big["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["CanarySize"]["Value"] = 80
    with pytest.raises(ClientError, match="CanarySize must be more than 0 and at most 50 percent"):
        update(big)
    with pytest.raises(ClientError, match="RollingUpdatePolicy is not supported by local AWS"):
        update(
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                    "WaitIntervalInSeconds": 0,
                }
            }
        )
    assert sm.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"
