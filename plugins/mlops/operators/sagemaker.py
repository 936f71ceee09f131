"""The provider's training and processing operators, made restartable and talkative.

The provider's operators create the job. Around that these add: a name that derives from the run, adoption of
the job that an earlier try started, the job's log lines in the task's log, the job's own words in the
exception, and a stop when the task is killed, waiting or not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerBaseOperator,
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from mlops.jobs import (
    KINDS,
    Claim,
    JobKind,
    JobWatch,
    claim,
    failure,
    is_hopeless,
    processing_input,
    signed,
)
from mlops.links import PageLink
from mlops.naming import job_name, run_key
from mlops.triggers import SageMakerJobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

ARGUMENT_LENGTH = 256  # SageMaker's limit for one argument of a container


class _RestartableJob(SageMakerBaseOperator):
    """What both operators share; mixed in before the provider's class, whose `execute` creates the job.

    :param step: the job's place in its name, `<dag>-<run key>-<step>-<attempt>`
    :param poll_interval: seconds between two looks at the job
    :param deferrable: wait in the triggerer instead of in the worker
    """

    kind: JobKind

    def __init__(self, *, step: str, poll_interval: int, deferrable: bool, **kwargs: Any) -> None:
        # The provider's class only creates the job: the waiting is done here.
        super().__init__(
            wait_for_completion=False, print_log=False, deferrable=False, multiple_outputs=True, **kwargs
        )
        self.step = step
        self.poll_interval = poll_interval
        self.waits_in_triggerer = deferrable
        self._running: str | None = None

    def request(self) -> dict[str, Any]:
        """What the job is asked to do, without its name."""
        return dict(self.config)

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """What later tasks need to know of a completed job."""
        return {"job_name": job[self.kind.name_field]}

    def execute(self, context: Context) -> Any:
        found = self._adopt_or_create(context)
        self._running = found.name
        if self.waits_in_triggerer and (found.job is None or self.kind.is_running(found.job)):
            self.defer(
                trigger=SageMakerJobTrigger(
                    kind=self.kind.noun,
                    job_name=self._running,
                    poll_interval=self.poll_interval,
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                ),
                method_name="execute_complete",
                timeout=self.execution_timeout,
            )
        return self._finish(*self._wait(found.name))

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 the interface
        event: dict[str, Any] | None = None,
    ) -> Any:
        """After the trigger: the job has ended, one way or the other."""
        if not event:
            raise AirflowException("the trigger ended without an event")
        return self._finish(self.kind.describe(self._client, event["job_name"]), event["tail"])

    def on_kill(self) -> None:
        """The task was killed in Airflow: stop the job, so that it does not go on spending."""
        if self._running:
            self.kind.stop(self._client, self._running)

    def _adopt_or_create(self, context: Context) -> Claim:
        request = signed(self.request())
        dag_id, run_id = context["dag_run"].dag_id, context["dag_run"].run_id

        def name_of(attempt: int) -> str:
            return job_name(dag_id.replace("_", "-"), run_key(run_id), self.step, attempt)

        found = claim(self.kind, self._client, request, name_of)
        if found.job is None:
            found = self._create(context, request, found, name_of)
        else:
            self.log.info(
                "Adopting %s job %s of this run: it is %s", self.kind.noun, found.name,
                found.job[self.kind.status_field],
            )  # fmt: skip
        return found

    def _create(self, context: Context, request: dict[str, Any], found: Claim, name_of: Any) -> Claim:
        from botocore.exceptions import ClientError

        self.config = {**request, self.kind.name_field: found.name}
        try:
            super().execute(context)
        except ClientError as error:
            # Another try of this task, presumed dead, came first: then its job is ours.
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise
            return claim(self.kind, self._client, request, name_of)
        return found

    def _wait(self, name: str) -> tuple[dict[str, Any], list[str]]:
        logs = AwsLogsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        watch = JobWatch(self.kind, name, self._client, logs.get_conn())
        while True:
            job, lines = watch.look()
            for line in lines:
                self.log.info(line)
            if not self.kind.is_running(job):
                return job, list(watch.tail)
            time.sleep(self.poll_interval)

    def _finish(self, job: dict[str, Any], tail: list[str]) -> dict[str, Any]:
        if job[self.kind.status_field] != "Completed":
            error = AirflowFailException if is_hopeless(job) else AirflowException
            raise error(failure(self.kind, job, tail))
        self.log.info("%s job %s completed", self.kind.noun, job[self.kind.name_field])
        return self.result(job)

    @property
    def _client(self) -> Any:
        return self.hook.get_conn()


class TrainingOperator(_RestartableJob, SageMakerTrainingOperator):
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


class ProcessingOperator(_RestartableJob, SageMakerProcessingOperator):
    """Runs a script as a processing job. Returns `job_name` and `outputs` (S3 URI by output name).

    :param inputs: further inputs, name -> S3 URI, each under /opt/ml/processing/input/<name>; those whose URI
        is not known before other tasks have run (templated)
    :param arguments: further arguments, option -> value; a value that is not text is passed as JSON, without
        the entries that are None, and in pieces where it is long, which the script is to join (templated)
    :param page: file name of an HTML page among the outputs: the task gets a link to it
    """

    kind = KINDS["processing"]
    template_fields: Sequence[str] = (*SageMakerProcessingOperator.template_fields, "inputs", "arguments")
    operator_extra_links = (PageLink(),)

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
