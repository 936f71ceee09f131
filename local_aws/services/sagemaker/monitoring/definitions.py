"""Job definitions of the four kinds of monitors: what a schedule runs.

A definition is stored as it was asked for. The API names its members after its kind (DataQualityJobInput,
ModelBiasJobInput ...); `of_record` reads them all into one `Definition`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local_aws.images import registry
from local_aws.services.sagemaker import errors, listing
from local_aws.services.sagemaker.backend import Record, Service

Operation = Callable[[Service, dict[str, Any]], dict[str, Any]]
TYPES = ("DataQuality", "ModelQuality", "ModelBias", "ModelExplainability")
# As in the ARN, and as CreateMonitoringSchedule's MonitoringType names it.
KINDS = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}
INLINE_PREFIX = "model-monitoring"


@dataclass(frozen=True)
class Definition:
    """What an execution needs to know, however the schedule was defined.

    source: the EndpointInput. output: an S3Output. ground_truth: an S3 prefix, where there is one.
    baseline: the members BaseliningJobName, ConstraintsResource and StatisticsResource, as far as given.
    """

    type: str
    job_prefix: str
    app: dict[str, Any]
    source: dict[str, Any]
    output: dict[str, Any]
    cluster: dict[str, Any]
    role: str
    environment: dict[str, str] = field(default_factory=dict)
    baseline: dict[str, Any] = field(default_factory=dict)
    ground_truth: str = ""
    more: dict[str, Any] = field(default_factory=dict)  # members of CreateProcessingJob, passed on

    @property
    def endpoint(self) -> str:
        name: str = self.source["EndpointName"]
        return name


def operations() -> dict[str, Operation]:
    """Create, Describe, Delete and List of the four kinds, by their names in the API."""
    found: dict[str, Operation] = {}
    for type_ in TYPES:
        found[f"Create{type_}JobDefinition"] = _creating(type_)
        found[f"Describe{type_}JobDefinition"] = _describing(type_)
        found[f"Delete{type_}JobDefinition"] = _deleting(type_)
        found[f"List{type_}JobDefinitions"] = _listing(type_)
    return found


def get(service: Service, type_: str, name: str) -> Record:
    record = service.find(KINDS[type_], name)
    if record is None:
        raise errors.not_found(f"Could not find the {KINDS[type_]} {service.arn(KINDS[type_], name)}.")
    return record


def of_record(type_: str, record: Record) -> Definition:
    """A stored job definition (`record`: a Create request) as one form for all kinds."""
    given = record[f"{type_}JobInput"]
    app = record[f"{type_}AppSpecification"]
    return Definition(
        type=type_,
        job_prefix={
            "DataQuality": "data-quality-monitoring",
            "ModelQuality": "model-quality-monitoring",
            "ModelBias": "model-bias-monitoring",
            "ModelExplainability": "model-explainability-monitoring",
        }[type_],
        app=app,
        source=_endpoint_input(given),
        output=record[f"{type_}JobOutputConfig"]["MonitoringOutputs"][0]["S3Output"],
        cluster=record["JobResources"],
        role=record["RoleArn"],
        environment=app.get("Environment") or {},
        baseline=record.get(f"{type_}BaselineConfig") or {},
        ground_truth=(given.get("GroundTruthS3Input") or {}).get("S3Uri", ""),
        more={key: record[key] for key in ("NetworkConfig", "StoppingCondition") if record.get(key)},
    )


def of_inline(given: dict[str, Any]) -> Definition:
    """A schedule's own MonitoringJobDefinition: data quality, or a container of the user's."""
    return Definition(
        type="DataQuality",
        job_prefix=INLINE_PREFIX,
        app=given["MonitoringAppSpecification"],
        source=_endpoint_input(given["MonitoringInputs"][0]),
        output=given["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"],
        cluster=given["MonitoringResources"],
        role=given["RoleArn"],
        environment=given.get("Environment") or {},
        baseline=given.get("BaselineConfig") or {},
        more={key: given[key] for key in ("NetworkConfig", "StoppingCondition") if given.get(key)},
    )


def check(definition: Definition) -> None:
    """Refuse what could never run here, when it is asked for and not an hour later."""
    app = definition.app
    try:
        registry.resolve(app["ImageUri"], "processing", entrypoint=app.get("ContainerEntrypoint"))
    except registry.UnknownImage as error:
        raise errors.validation(str(error)) from error
    if definition.cluster["ClusterConfig"]["InstanceCount"] > 1:
        raise errors.unsupported("A monitoring job on more than one instance (InstanceCount)")


def _endpoint_input(given: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(given, "BatchTransformInput")
    source: dict[str, Any] | None = given.get("EndpointInput")
    if not source:
        raise errors.validation("A monitoring job needs an EndpointInput.")
    return source


def _creating(type_: str) -> Operation:
    def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
        name, kind = request["JobDefinitionName"], KINDS[type_]
        if service.find(kind, name):
            raise errors.in_use(
                f"A job definition with this name already exists ({service.arn(kind, name)})."
            )
        record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
        definition = of_record(type_, record)
        check(definition)
        arn = service.arn(kind, name)
        # The List answers call these members by longer names than the Describe answers.
        record |= {"JobDefinitionArn": arn, "MonitoringJobDefinitionArn": arn}
        record |= {"MonitoringJobDefinitionName": name, "EndpointName": definition.endpoint}
        record["CreationTime"] = service.now()
        service.add(kind, name, record, request.get("Tags"))
        return {"JobDefinitionArn": arn}

    return create


def _describing(type_: str) -> Operation:
    return lambda service, request: get(service, type_, request["JobDefinitionName"])


def _deleting(type_: str) -> Operation:
    def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
        name = request["JobDefinitionName"]
        get(service, type_, name)
        users = [
            schedule["MonitoringScheduleName"]
            for schedule in service.records("monitoring-schedule").values()
            if schedule["MonitoringScheduleConfig"].get("MonitoringJobDefinitionName") == name
            and schedule["MonitoringType"] == type_
        ]
        if users:
            raise errors.in_use(f"The job definition {name} is used by the schedule {', '.join(users)}.")
        del service.records(KINDS[type_])[name]
        return {}

    return delete


def _listing(type_: str) -> Operation:
    summary = listing.Listing(KINDS[type_], "JobDefinitionSummaries")

    def list_(service: Service, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = request.get("EndpointName")
        found = [
            record
            for record in service.records(KINDS[type_]).values()
            if endpoint in (None, record["EndpointName"])
        ]
        return listing.cut(found, summary, "JobDefinitionName", request)

    return list_
