"""The provider's training and processing operators, made restartable.

The provider's operators create the job. Around that these add a name that derives from the run, and adoption
of the job that an earlier try started; `waiting` adds the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerBaseOperator,
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
)

from mlops.jobs import KINDS, Claim, claim, processing_input, signed
from mlops.links import PageLink
from mlops.naming import job_name, run_key
from mlops.operators.waiting import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ARGUMENT_LENGTH = 256  # SageMaker's limit for one argument of a container


class _SageMakerJobOperator(JobOperator, SageMakerBaseOperator):
    """What both operators share; mixed in before the provider's class, whose `execute` creates the job.

    :param step: the job's place in its name, `<dag>-<run key>-<step>-<attempt>`
    """

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(print_log=False, multiple_outputs=True, **kwargs)
        self.step = step

    def request(self) -> dict[str, Any]:
        """What the job is asked to do, without its name."""
        return dict(self.config)

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        return {"job_name": job[self.kind.name_field]}

    def execute(self, context: Context) -> Any:
        run = context["dag_run"]
        pipeline, key = run.dag_id.replace("_", "-"), run_key(run.run_id)
        request = signed(self.request())

        def name_of(attempt: int) -> str:
            return job_name(pipeline, key, self.step, attempt)

        found = claim(self.kind, self.hook.get_conn(), request, name_of)
        if found.job is None:
            found = self._create(context, request, found, name_of)
        else:
            status = found.job[self.kind.status_field]
            self.log.info("Adopting %s job %s of this run: it is %s", self.kind.noun, found.name, status)
        return self.wait(found.name, found.job)

    def _create(
        self, context: Context, request: dict[str, Any], found: Claim, name_of: Callable[[int], str]
    ) -> Claim:
        from botocore.exceptions import ClientError

        self.config = {**request, self.kind.name_field: found.name}
        try:
            super().execute(context)
        except ClientError as error:
            # Another try of this task, presumed dead, came first: then its job is ours.
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise
            return claim(self.kind, self.hook.get_conn(), request, name_of)
        return found


class TrainingOperator(_SageMakerJobOperator, SageMakerTrainingOperator):
    """Trains. Returns `job_name`, `model` (S3 URI of model.tar.gz) and `metrics` (final value by name)."""

    kind = KINDS["training"]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(check_if_job_exists=False, **kwargs)

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super().result(job),
            "model": job["ModelArtifacts"]["S3ModelArtifacts"],
            "metrics": {item["MetricName"]: item["Value"] for item in job.get("FinalMetricDataList", [])},
        }


class ProcessingOperator(_SageMakerJobOperator, SageMakerProcessingOperator):
    """Runs a script as a processing job. Returns `job_name` and `outputs` (S3 URI by output name).

    :param inputs: further inputs, name -> S3 URI, each under /opt/ml/processing/input/<name>; those whose URI
        is not known before other tasks have run (templated)
    :param arguments: further arguments, option -> value; a value that is not text is passed as JSON, without
        the entries that are None, and in pieces where it is long, which the script is to join (templated)
    :param page: file name of an HTML page among the outputs: the task gets a link to it
    """

    kind = KINDS["processing"]
    template_fields: Sequence[str] = (*SageMakerProcessingOperator.template_fields, "inputs", "arguments")

    def __init__(
        self,
        *,
        inputs: dict[str, str] | None = None,
        arguments: dict[str, Any] | None = None,
        page: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs = inputs or {}
        self.arguments = arguments or {}
        self.page = page
        if page:
            self.operator_extra_links = (PageLink(),)

    def request(self) -> dict[str, Any]:
        request = super().request()
        application = request["AppSpecification"]
        more: list[str] = []
        for option, value in self.arguments.items():
            more += [option, *pieces(value if isinstance(value, str) else _json(value))]
        return {
            **request,
            "AppSpecification": {
                **application,
                "ContainerArguments": [*application.get("ContainerArguments", []), *more],
            },
            "ProcessingInputs": [
                *request.get("ProcessingInputs", []),
                *(processing_input(name, uri) for name, uri in self.inputs.items()),
            ],
        }

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        outputs = job.get("ProcessingOutputConfig", {}).get("Outputs", [])
        return {
            **super().result(job),
            "outputs": {item["OutputName"]: item["S3Output"]["S3Uri"] for item in outputs},
        }


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if item is not None}
    return json.dumps(value, sort_keys=True)


def pieces(text: str, length: int = ARGUMENT_LENGTH) -> list[str]:
    """The text as arguments that SageMaker takes; none but the first begins with a dash, as options do."""
    found = []
    while len(text) > length:
        end = length
        while text[end] == "-":
            end -= 1
        found.append(text[:end])
        text = text[end:]
    return [*found, text]
