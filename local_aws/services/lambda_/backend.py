"""moto's Lambda backend with functions that run."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from moto.awslambda import models
from moto.sqs.models import sqs_backends

from local_aws.services.lambda_.errors import InvalidParameterValueException, ResourceConflict, Unsupported
from local_aws.services.lambda_.records import (
    DESTINATIONS,
    POWERTOOLS_LAYER,
    Function,
    Functions,
    Layers,
    LayerVersion,
    PublishedLayer,
)

MAPPING_PARAMETERS = frozenset(
    ("BatchSize", "Enabled", "EventSourceArn", "FunctionName", "FunctionResponseTypes",
     "MaximumBatchingWindowInSeconds", "ScalingConfig", "Tags", "RegionName", "AccountId", "FunctionArn")
)  # fmt: skip


class LambdaBackend(models.LambdaBackend):
    """Functions, layers and mappings are moto's records; code is kept, and runs."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._lambdas = Functions(region_name, account_id)
        self._layers = Layers()

    def create_function(self, spec: dict[str, Any]) -> Function:
        function = Function(self.account_id, spec, self.region_name)
        self._lambdas.put_function(function)
        if spec.get("Publish"):
            published = self.publish_version(function.function_name)
            function = copy.copy(function)
            function.version = published.version if published else function.version
        return function

    def update_function_code(
        self, function_name: str, qualifier: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        function = self.get_function(function_name, qualifier)
        configuration: dict[str, Any] = function.update_function_code(body)
        if body.get("Publish"):
            published = self.publish_version(function.function_name)
            configuration = published.get_configuration() if published else configuration
        return configuration

    def publish_layer_version(self, spec: dict[str, Any]) -> LayerVersion:
        for name in ("LayerName", "Content"):
            if not spec.get(name):
                raise InvalidParameterValueException(f"Missing {name}")
        layer = LayerVersion(spec, self.account_id, self.region_name)
        self._layers.put_layer_version(layer)
        return layer

    def layers_versions_by_arn(self, layer_version_arn: str) -> Any:
        if POWERTOOLS_LAYER.fullmatch(layer_version_arn):
            return PublishedLayer(layer_version_arn)
        return super().layers_versions_by_arn(layer_version_arn)

    def put_function_event_invoke_config(self, function_name: str, config: dict[str, Any]) -> dict[str, Any]:
        """Replaces; moto keeps the first one it was given."""
        for side in (config.get("DestinationConfig") or {}).values():
            if side.get("Destination") and not DESTINATIONS.match(side["Destination"]):
                raise Unsupported(f"the destination {side['Destination']}")
        self.get_function(function_name).event_invoke_config = []
        return super().put_function_event_invoke_config(function_name, config)

    def update_function_event_invoke_config(
        self, function_name: str, config: dict[str, Any]
    ) -> dict[str, Any]:
        """What is not named stays."""
        known = self.get_function_event_invoke_config(function_name)
        kept = {name: known[name] for name in known if name not in ("FunctionArn", "LastModified")}
        return self.put_function_event_invoke_config(function_name, {**kept, **config})

    def create_event_source_mapping(self, spec: dict[str, Any]) -> models.EventSourceMapping:
        """Our poller reads the queue; moto would call the function while a message is sent."""
        _check_mapping(spec)
        for name in ("EventSourceArn", "FunctionName"):
            if not spec.get(name):
                raise InvalidParameterValueException(f"Missing {name}")
        source = str(spec["EventSourceArn"])
        if source.split(":")[2] != "sqs":
            raise Unsupported(f"{source} as an event source; queues (SQS) are polled")
        function = self.get_function(spec["FunctionName"])
        self._check_queue(source, function)
        for mapping in self._event_source_mappings.values():
            if (mapping.event_source_arn, mapping.function_arn) == (source, function.function_arn):
                raise ResourceConflict(
                    f"The event source arn ({source}) and function ({function.function_name}) provided "
                    "mapping already exists. Please update or delete the existing mapping with UUID "
                    f"{mapping.uuid}"
                )
        known = {
            "RegionName": self.region_name,
            "AccountId": self.account_id,
            "FunctionArn": function.function_arn,
        }
        mapping = models.EventSourceMapping({**spec, **known})
        self._event_source_mappings[mapping.uuid] = mapping
        return mapping

    def update_event_source_mapping(
        self, uuid: str, spec: dict[str, Any]
    ) -> models.EventSourceMapping | None:
        _check_mapping(spec)
        return super().update_event_source_mapping(uuid, spec)

    def list_event_source_mappings(
        self, event_source_arn: str, function_name: str
    ) -> Iterable[models.EventSourceMapping]:
        """A function may be named or given by its ARN, whichever the mapping was made with."""
        wanted = self.get_function(function_name).function_arn if function_name else None
        return [
            mapping
            for mapping in self._event_source_mappings.values()
            if event_source_arn in (None, mapping.event_source_arn) and wanted in (None, mapping.function_arn)
        ]

    def add_permission(self, function_name: str, qualifier: str, raw: str) -> dict[str, Any]:
        function = self.get_function(function_name, qualifier)
        sid = json.loads(raw).get("StatementId")
        if any(statement.get("Sid") == sid for statement in function.policy.statements):
            raise ResourceConflict(
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, or "
                "remove the existing statement."
            )
        return super().add_permission(function_name, qualifier, raw)

    def digests(self) -> set[str]:
        """Of every package that a function, a version or a layer uses."""
        groups = self._lambdas._functions.values()
        functions = [function for group in groups for function in (group["latest"], *group["versions"])]
        layers = [
            version for layer in self._layers._layers.values() for version in layer.layer_versions.values()
        ]
        used = {item.code_digest for item in (*functions, *layers) if item is not None}
        return used.union(*(function.layer_digests for function in functions if function is not None))

    def _check_queue(self, arn: str, function: Function) -> None:
        _, _, _, region, account, name = arn.split(":", 5)
        queue = sqs_backends[account][region].queues.get(name)
        if queue is None:
            raise InvalidParameterValueException(
                "Error occurred while ReceiveMessage. SQS Error Code: "
                "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does "
                f"not exist: {arn}"
            )
        visibility = int(queue.visibility_timeout or 0)
        if visibility < function.timeout:
            raise InvalidParameterValueException(
                f"Queue visibility timeout: {visibility} seconds is less than Function timeout: "
                f"{function.timeout} seconds"
            )


def _check_mapping(spec: dict[str, Any]) -> None:
    if unknown := {name for name, value in spec.items() if value} - MAPPING_PARAMETERS:
        raise Unsupported(f"{', '.join(sorted(unknown))} of an event source mapping")
    batch, window = int(spec.get("BatchSize") or 1), int(spec.get("MaximumBatchingWindowInSeconds") or 0)
    if batch > 10 and not window:
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
