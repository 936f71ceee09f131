"""Environments of one region: records with the words of the API, and what makes them."""

from __future__ import annotations

import logging
import re
import threading
from typing import Any, ClassVar

from moto.core.base_backend import BackendDict, BaseBackend

from local_aws.airflow import Airflow
from local_aws.context import Context
from local_aws.services.mwaa import publish
from local_aws.services.mwaa.errors import (
    InternalServerException,
    ResourceNotFoundException,
    ValidationException,
)

log = logging.getLogger(__name__)

AIRFLOW_VERSIONS = ("2.10.3", "2.11.0", "2.11.2", "3.0.6", "3.2.1", "3.3.1")  # of published images
CLASSES = ("mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge")
DEFAULTS: dict[str, Any] = {
    "AirflowVersion": "3.3.1",
    "EnvironmentClass": "mw1.small",
    "MaxWorkers": 10,
    "MinWorkers": 1,
    "Schedulers": 2,
    "MinWebservers": 2,
    "MaxWebservers": 2,
    "WebserverAccessMode": "PRIVATE_ONLY",
    "EndpointManagement": "SERVICE",
    "WeeklyMaintenanceWindowStart": "SUN:03:00",
}
BUSY = ("CREATING", "UPDATING", "DELETING")
Record = dict[str, Any]


class Backend(BaseBackend):
    context: ClassVar[Context]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.environments: dict[str, Record] = {}

    def create(self, settings: Record) -> Record:
        name = settings["Name"]
        if name in self.environments:
            raise ValidationException(f"Environment with name {name} already exists.")
        network = settings["NetworkConfiguration"]
        if len(network.get("SubnetIds") or []) != 2:
            raise ValidationException("NetworkConfiguration.SubnetIds must name two subnets")
        self._check(settings)
        now = self.context.clock()
        record: Record = {
            **DEFAULTS,
            **settings,
            "Arn": f"arn:{self.partition}:airflow:{self.region_name}:{self.account_id}:environment/{name}",
            "CreatedAt": now,
            "Status": "CREATING",
            "ServiceRoleArn": f"arn:{self.partition}:iam::{self.account_id}:role/aws-service-role/"
            "airflow.amazonaws.com/AWSServiceRoleForAmazonMWAA",
            "WebserverUrl": self._airflow.host if self._airflow else "",
        }
        self.environments[name] = record
        self.start(record)
        return record

    def update(self, name: str, changes: Record) -> Record:
        record = self.environment(name)
        if record["Status"] in BUSY:
            raise ValidationException(
                f"Environment {name} is {record['Status']}: it can be updated once it is AVAILABLE"
            )
        self._check({**record, **changes})
        record |= changes
        record["Status"] = "UPDATING"
        record["LastUpdate"] = {
            "Status": "PENDING",
            "CreatedAt": self.context.clock(),
            "Source": "UpdateEnvironment",
        }
        self.start(record)
        return record

    def delete(self, name: str) -> None:
        record = self.environment(name)
        record["Status"] = "DELETING"
        self.start(record)

    def environment(self, name: str) -> Record:
        try:
            return self.environments[name]
        except KeyError:
            raise ResourceNotFoundException(f"Environment {name} not found.") from None

    def by_arn(self, arn: str) -> Record:
        return self.environment(arn.rpartition("/")[2])

    def airflow_of(self, name: str) -> Airflow:
        """The Airflow behind an environment that can be asked."""
        status = self.environment(name)["Status"]
        if status not in ("AVAILABLE", "UPDATING"):
            raise ValidationException(f"Environment {name} is {status}, not AVAILABLE")
        if self._airflow is None:
            raise InternalServerException(
                "no Airflow stands behind this environment: local AWS was started without --airflow-url"
            )
        return self._airflow

    def start(self, record: Record) -> None:
        """Bring a record in progress to its end, without the lock."""
        threading.Thread(
            target=self._finish, args=(record["Name"],), name=f"mwaa/{record['Name']}", daemon=True
        ).start()

    def _finish(self, name: str) -> None:
        state = self.context.state
        with state.lock("mwaa"):
            record = dict(self.environments[name])
        failure = None
        try:
            if record["Status"] != "DELETING" and self._airflow is not None and self._airflow.dags:
                count = publish.publish_dags(self.context, record, self._airflow.dags)
                log.info("MWAA environment %s: %d files in %s", name, count, self._airflow.dags)
        except Exception as error:
            log.exception("MWAA environment %s", name)
            failure = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": str(error)}
        with state.lock("mwaa"):
            if record["Status"] == "DELETING":
                self.environments.pop(name, None)
            else:
                self._settle(self.environments[name], failure)
            state.commit("mwaa")

    def _settle(self, record: Record, failure: dict[str, str] | None) -> None:
        """An environment that cannot be made has failed; an update that fails leaves what was there."""
        creating = record["Status"] == "CREATING"
        record["Status"] = "CREATE_FAILED" if creating and failure else "AVAILABLE"
        record["LastUpdate"] = {
            "Status": "FAILED" if failure else "SUCCESS",
            "CreatedAt": (record.get("LastUpdate") or record)["CreatedAt"],
            "Source": "CreateEnvironment" if creating else "UpdateEnvironment",
        } | ({"Error": failure} if failure else {})

    def _check(self, settings: Record) -> None:
        given = {**DEFAULTS, **settings}
        if not re.fullmatch(r"[a-zA-Z][0-9a-zA-Z_-]{0,79}", given["Name"]):
            raise ValidationException(f"Name {given['Name']!r} must match [a-zA-Z][0-9a-zA-Z-_]*, 80 at most")
        for field, allowed in (("AirflowVersion", AIRFLOW_VERSIONS), ("EnvironmentClass", CLASSES)):
            if given[field] not in allowed:
                raise ValidationException(f"{field} {given[field]} is none of {', '.join(allowed)}")
        for least, most in (("MinWorkers", "MaxWorkers"), ("MinWebservers", "MaxWebservers")):
            if given[least] > given[most]:
                raise ValidationException(f"{least} {given[least]} is more than {most} {given[most]}")
        publish.check(self.account_id, given)

    @property
    def _airflow(self) -> Airflow | None:
        return self.context.airflow


mwaa_backends = BackendDict(Backend, "mwaa")
