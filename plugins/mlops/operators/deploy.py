"""Create or update one endpoint, and believe it only when it serves what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.triggers.sagemaker import SageMakerTrigger
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from mlops.aws import is_missing
from mlops.deployment import DeploymentFailed, is_ours_in_motion, next_step

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeployEndpointOperator(AwsBaseOperator[SageMakerHook]):
    """Brings an endpoint to a model: creates model and configuration, creates or updates the endpoint, waits.

    The provider's SageMakerEndpointOperator knows no deployment policy and takes a rolled-back update for a
    success. A retry joins the deployment that an earlier try began. A deployment that was rolled back fails
    without further tries: the alarm that stopped it would ring again.

    Returns `endpoint`, `config` and `model` (names).

    :param endpoint: the endpoint's name (templated)
    :param model: request of CreateModel; its name stands for its content (templated)
    :param endpoint_config: request of CreateEndpointConfig; its name stands for its content; its tags are
        the endpoint's, too (templated)
    :param deployment: DeploymentConfig of an update; empty for a serverless endpoint, which takes none
    :param poll_interval: seconds between two looks
    :param deferrable: wait in the triggerer instead of in the worker
    """

    aws_hook_class = SageMakerHook
    template_fields: Sequence[str] = aws_template_fields("endpoint", "model", "endpoint_config", "deployment")
    template_fields_renderers: ClassVar[dict] = {
        "model": "json",
        "endpoint_config": "json",
        "deployment": "json",
    }

    def __init__(
        self,
        *,
        endpoint: str,
        model: dict[str, Any],
        endpoint_config: dict[str, Any],
        deployment: dict[str, Any],
        poll_interval: float = 30,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint
        self.model = model
        self.endpoint_config = endpoint_config
        self.deployment = deployment
        self.poll_interval = poll_interval
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, str]:  # noqa: ARG002 the interface
        client = self.hook.get_conn()
        self._ensure(client.describe_model, client.create_model, "ModelName", self.model)
        self._ensure(
            client.describe_endpoint_config,
            client.create_endpoint_config,
            "EndpointConfigName",
            self.endpoint_config,
        )
        found = self._describe(client)
        return self._advance(client, requested=found is not None and is_ours_in_motion(found, self._wanted))

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 the interface
        event: dict[str, Any] | None = None,  # noqa: ARG002 says only that the endpoint rests
        requested: bool = True,
    ) -> dict[str, str]:
        """After the trigger: what the endpoint serves is what counts."""
        return self._advance(self.hook.get_conn(), requested=requested)

    @property
    def _wanted(self) -> str:
        return str(self.endpoint_config["EndpointConfigName"])

    def _advance(self, client: Any, requested: bool) -> dict[str, str]:
        while True:
            found = self._describe(client)
            try:
                step = next_step(found, self._wanted, requested)
            except DeploymentFailed as error:
                raise AirflowFailException(f"{error}{self._ringing()}") from None
            self.log.info(
                "Endpoint %s is %s: %s", self.endpoint, found["EndpointStatus"] if found else "missing", step
            )
            if step == "done":
                return {
                    "endpoint": self.endpoint,
                    "config": self._wanted,
                    "model": self.model["ModelName"],
                }
            if step == "create":
                client.create_endpoint(
                    EndpointName=self.endpoint,
                    EndpointConfigName=self._wanted,
                    Tags=self.endpoint_config.get("Tags", []),
                )
                requested = True
            elif step == "update":
                policy = {"DeploymentConfig": self.deployment} if self.deployment else {}
                client.update_endpoint(EndpointName=self.endpoint, EndpointConfigName=self._wanted, **policy)
                requested = True
            elif step == "delete":
                client.delete_endpoint(EndpointName=self.endpoint)
            self._wait(client, requested, gone=step == "delete")

    def _wait(self, client: Any, requested: bool, gone: bool) -> None:
        pace = {"Delay": self.poll_interval, "MaxAttempts": self._looks}
        if gone:
            client.get_waiter("endpoint_deleted").wait(EndpointName=self.endpoint, WaiterConfig=pace)
            return
        if self.deferrable:
            self.defer(
                trigger=SageMakerTrigger(
                    job_name=self.endpoint,
                    job_type="endpoint",
                    waiter_delay=self.poll_interval,
                    waiter_max_attempts=self._looks,
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                ),
                method_name="execute_complete",
                kwargs={"requested": requested},
                timeout=self.execution_timeout,
            )
        from botocore.exceptions import WaiterError

        try:
            client.get_waiter("endpoint_in_service").wait(EndpointName=self.endpoint, WaiterConfig=pace)
        except WaiterError as error:
            self.log.warning("Waiting ended with: %s", error)  # the next look says what it means

    @property
    def _looks(self) -> int:
        """Enough looks to fill the execution timeout; an hour without one."""
        seconds = self.execution_timeout.total_seconds() if self.execution_timeout else 3600
        return max(1, int(seconds // self.poll_interval))

    def _describe(self, client: Any) -> dict[str, Any] | None:
        try:
            return dict(client.describe_endpoint(EndpointName=self.endpoint))
        except client.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise

    def _ensure(self, describe: Any, create: Any, name_field: str, request: dict[str, Any]) -> None:
        try:
            describe(**{name_field: request[name_field]})
        except Exception as error:
            if not hasattr(error, "response") or not is_missing(error):
                raise
            create(**request)

    def _ringing(self) -> str:
        """The deployment's alarms that ring, for the message of a rollback."""
        names = [
            alarm["AlarmName"]
            for alarm in self.deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        ]
        if not names:
            return ""
        from mlops.aws import client as aws_client

        alarms = aws_client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM")[
            "MetricAlarms"
        ]
        return "".join(f" Alarm {alarm['AlarmName']}: {alarm.get('StateReason')}." for alarm in alarms)
