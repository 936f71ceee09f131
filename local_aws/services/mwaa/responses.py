"""MWAA's operations, which moto has none of."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, BaseResponse, EmptyResult, PaginatedResult
from moto.core.utils import get_service_model

from local_aws.airflow import Airflow, Unreachable
from local_aws.services.mwaa.backend import Backend, mwaa_backends
from local_aws.services.mwaa.errors import InternalServerException, RestApiException, ValidationException

LONGEST_PATH = 64  # of InvokeRestApi, as published


class Responses(BaseResponse):
    def __init__(self) -> None:
        super().__init__(service_name="mwaa")
        self.automated_parameter_parsing = True

    @property
    def _backend(self) -> Backend:
        return mwaa_backends[self.current_account][self.region]

    def create_environment(self) -> ActionResult:
        return ActionResult({"Arn": self._backend.create(self._given("CreateEnvironment"))["Arn"]})

    def update_environment(self) -> ActionResult:
        changes = self._given("UpdateEnvironment")
        name = changes.pop("Name")
        return ActionResult({"Arn": self._backend.update(name, changes)["Arn"]})

    def delete_environment(self) -> ActionResult:
        self._backend.delete(self._get_param("Name"))
        return EmptyResult()

    def get_environment(self) -> ActionResult:
        return ActionResult({"Environment": self._backend.environment(self._get_param("Name"))})

    def list_environments(self) -> ActionResult:
        return PaginatedResult({"Environments": sorted(self._backend.environments)})

    def list_tags_for_resource(self) -> ActionResult:
        return ActionResult({"Tags": self._backend.by_arn(self._get_param("ResourceArn")).get("Tags") or {}})

    def tag_resource(self) -> ActionResult:
        record = self._backend.by_arn(self._get_param("ResourceArn"))
        record["Tags"] = {**(record.get("Tags") or {}), **self._get_param("Tags")}
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        record = self._backend.by_arn(self._get_param("ResourceArn"))
        gone = self._get_param("tagKeys") or []
        record["Tags"] = {key: value for key, value in (record.get("Tags") or {}).items() if key not in gone}
        return EmptyResult()

    def create_cli_token(self) -> ActionResult:
        airflow = self._airflow()
        return ActionResult({"CliToken": _token(airflow), "WebServerHostname": airflow.host})

    def create_web_login_token(self) -> ActionResult:
        airflow = self._airflow()
        return ActionResult(
            {
                "WebToken": _token(airflow),
                "WebServerHostname": airflow.host,
                "IamIdentity": self.access_key,
                "AirflowIdentity": airflow.user,
            }
        )

    def invoke_rest_api(self) -> ActionResult:
        """Called without the lock: what Airflow does with the call may need this server."""
        path = self._get_param("Path")
        if len(path) > LONGEST_PATH:
            raise ValidationException(
                f"Value '{path}' at 'path' failed to satisfy constraint: "
                f"Member must have length less than or equal to {LONGEST_PATH}"
            )
        airflow = self._airflow()
        try:
            status, answer = airflow.call(
                self._get_param("Method"),
                path if path.startswith("/") else f"/{path}",
                self._get_param("QueryParameters"),
                self._get_param("Body"),
            )
        except Unreachable as error:
            raise RestApiException(503, {"detail": str(error)}) from error
        if status >= 400:
            raise RestApiException(status, answer)
        return ActionResult({"RestApiStatusCode": status, "RestApiResponse": answer})

    def _airflow(self) -> Airflow:
        return self._backend.airflow_of(self._get_param("Name"))

    def _given(self, operation: str) -> dict[str, Any]:
        members = get_service_model("mwaa").operation_model(operation).input_shape.members
        found = {name: self._get_param(name) for name in members}
        return {name: value for name, value in found.items() if value is not None}


def _token(airflow: Airflow) -> str:
    try:
        return airflow.token()
    except Unreachable as error:
        raise InternalServerException(str(error)) from error
