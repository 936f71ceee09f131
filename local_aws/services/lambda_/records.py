"""moto's functions and layers, with their code as packages on disk and in a form that can be stored."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

from moto.awslambda import models
from moto.awslambda.exceptions import ValidationException

from local_aws.services.lambda_.errors import InvalidParameterValueException, Unsupported
from local_aws.services.lambda_.packages import Packages

RUNTIMES = ("python3.11", "python3.12")
STORED_PARAMETERS = frozenset(  # beside those that are acted upon: kept and shown, without effect here
    ("Architectures", "KMSKeyArn", "TracingConfig", "VpcConfig", "Tags", "EphemeralStorage")
)
PARAMETERS = STORED_PARAMETERS | {
    "Code",
    "DeadLetterConfig",
    "Description",
    "Environment",
    "FunctionName",
    "Handler",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "Publish",
    "ReservedConcurrentExecutions",  # CloudFormation's; the API has an operation for it
    "RevisionId",
    "Role",
    "Runtime",
    "SnapStart",
    "Timeout",
}
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
RESERVED_VARIABLES = frozenset(
    (
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
    )
)  # fmt: skip
DESTINATIONS = re.compile(r"arn:[a-z-]+:(sqs|sns|lambda|events):")
# AWS publishes Powertools as layers of this account; here the runtime's environment holds it.
POWERTOOLS_LAYER = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:017000801446:layer:AWSLambdaPowertoolsPythonV3-[a-z0-9-_]+:\d+"
)


class PublishedLayer(NamedTuple):
    """A layer of AWS's own whose content the runtime's environment already has."""

    arn: str
    code_size: int = 0


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raises Unsupported, InvalidParameterValueException, ValidationException."""
    # An empty value of an optional structure asks for nothing.
    if unknown := {name for name, value in parameters.items() if value} - PARAMETERS:
        raise Unsupported(f"{', '.join(sorted(unknown))} of a Lambda function")
    if parameters.get("PackageType", "Zip") != "Zip" or "ImageUri" in parameters.get("Code", {}):
        raise Unsupported("Lambda functions from container images; give a zip package")
    if parameters.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise Unsupported("SnapStart")
    if parameters.get("LoggingConfig", {}).get("LogFormat", "Text") != "Text":
        raise Unsupported("LoggingConfig with LogFormat JSON")
    if "Runtime" in parameters and parameters["Runtime"] not in RUNTIMES:
        raise InvalidParameterValueException(
            f"Value {parameters['Runtime']} at 'runtime' failed to satisfy constraint: "
            f"local AWS runs {', '.join(RUNTIMES)}"
        )
    for name, least, most in (("Timeout", 1, 900), ("MemorySize", 128, 10240)):
        value = int(parameters.get(name, least))
        if not least <= value <= most:
            constraint = f"Member must have value between {least} and {most}"
            raise ValidationException(str(value), name[0].lower() + name[1:], constraint)
    reserved = RESERVED_VARIABLES & parameters.get("Environment", {}).get("Variables", {}).keys()
    if reserved:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment variables you "
            "have provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(sorted(reserved))}"
        )
    target = parameters.get("DeadLetterConfig", {}).get("TargetArn")
    if target and not re.match(r"arn:[a-z-]+:(sqs|sns):", target):
        raise InvalidParameterValueException(f"The dead-letter target {target} is no SQS queue or SNS topic")


class Function(models.LambdaFunction):
    """A function, or one published version of it."""

    packages: ClassVar[Packages]  # set once, by install()

    def __init__(
        self, account_id: str, spec: dict[str, Any], region: str, version: str | int = "$LATEST"
    ) -> None:
        check_parameters(spec)
        super().__init__(account_id, spec, region, version)
        # moto's reference to every log group, which copies of a function would copy.
        del self.logs_backend
        self.dead_letter_arn: str | None = None
        self._configure(spec)

    @property
    def code_bytes(self) -> bytes:
        return self.packages.archive(self.code_digest).read_bytes()

    @property
    def qualified_arn(self) -> str:
        """The ARN with a version, as destinations and logs name a function."""
        return f"{self.unqualified_arn}:{self.version}"

    @property
    def unqualified_arn(self) -> str:
        return ":".join(self.function_arn.split(":")[:7])

    def _get_layers_data(self, layers_versions_arns: list[str]) -> Any:
        """Keeps the packages of the layers, in the order of the configuration: a function goes on with a
        layer that was deleted. Those of PublishedLayer have none."""
        backend = models.lambda_backends[self.account_id][self.region]
        found = [backend.layers_versions_by_arn(arn) for arn in layers_versions_arns]
        self.layer_digests = [layer.code_digest for layer in found if isinstance(layer, LayerVersion)]
        return super()._get_layers_data(layers_versions_arns)

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        configuration = super().get_configuration(on_create)
        if self.dead_letter_arn:
            configuration["DeadLetterConfig"] = {"TargetArn": self.dead_letter_arn}
        configuration["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": self.logs_group_name}
        return {name: value for name, value in configuration.items() if value is not None}

    def get_code(self) -> dict[str, Any]:
        """The location is the package itself: what AWS signs an address for lies on this machine."""
        found = super().get_code()
        found["Code"] = {
            "RepositoryType": "S3",
            "Location": self.packages.archive(self.code_digest).as_uri(),
        }
        return found

    def update_configuration(self, config_updates: dict[str, Any]) -> dict[str, Any]:
        check_parameters(config_updates)
        super().update_configuration(config_updates)
        self._configure(config_updates)
        self._modified()
        return self.get_configuration()

    def update_function_code(self, updated_spec: dict[str, Any]) -> dict[str, Any]:
        self._set_function_code(updated_spec)
        self.code_or_config_updated = True
        self._modified()
        return self.get_configuration()

    def invoke(self, body: Any, request_headers: Any, response_headers: Any) -> str:  # noqa: ARG002
        """How moto's other services (log subscriptions, bucket notifications) call a function: they do not
        wait for it, so it is accepted as an asynchronous invocation."""
        from local_aws.services import lambda_

        payload = body if isinstance(body, bytes) else str(body).encode()
        lambda_.accept(self.qualified_arn, payload, source="moto")
        return ""

    def _set_function_code(self, updated_spec: dict[str, Any]) -> None:
        if updated_spec.get("DryRun"):
            return
        archive = self.packages.read(updated_spec)
        self.code_digest = self.packages.put(archive)
        self.code_size = len(archive)
        self.code_sha_256 = base64.b64encode(bytes.fromhex(self.code_digest)).decode()
        self.code = {"S3Key": f"{self.function_name}-{self.code_digest}"}

    def _configure(self, spec: dict[str, Any]) -> None:
        """What moto leaves out."""
        if "DeadLetterConfig" in spec:
            self.dead_letter_arn = spec["DeadLetterConfig"].get("TargetArn") or None
        if "LoggingConfig" in spec:
            self.logs_group_name = (
                spec["LoggingConfig"].get("LogGroup") or f"/aws/lambda/{self.function_name}"
            )
        if "KMSKeyArn" in spec:
            self.kms_key_arn = spec["KMSKeyArn"]
        if "TracingConfig" in spec:
            self.tracing_config = spec["TracingConfig"]
        if "EphemeralStorage" in spec:
            self.ephemeral_storage = int(spec["EphemeralStorage"]["Size"])
        if "Timeout" in spec:
            self.timeout: int = int(spec["Timeout"])  # a template may give them as text
        if "MemorySize" in spec:
            self.memory_size: int = int(spec["MemorySize"])

    def _modified(self) -> None:
        self.last_modified = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


class LayerVersion(models.LayerVersion):
    packages: ClassVar[Packages]  # set once, by install()

    def __init__(self, spec: dict[str, Any], account_id: str, region: str) -> None:
        archive = self.packages.read(spec["Content"])
        packed = {**spec, "Content": {"ZipFile": base64.b64encode(archive).decode()}}
        super().__init__(packed, account_id, region)
        self.content: dict[str, Any] = {}

    @property
    def code_bytes(self) -> bytes:
        return self.packages.archive(self.code_digest).read_bytes()

    @code_bytes.setter
    def code_bytes(self, archive: bytes) -> None:
        self.packages.put(archive)

    def get_layer_version(self) -> dict[str, Any]:
        found = super().get_layer_version()
        found["Content"]["Location"] = self.packages.archive(self.code_digest).as_uri()
        return found


class Functions(models.LambdaStorage):
    """moto's table of functions, in types that can be pickled."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._arns: Any = {}
        self._aliases: Any = defaultdict(dict)


class Layers(models.LayerStorage):
    def __init__(self) -> None:
        super().__init__()
        self._arns: Any = {}
