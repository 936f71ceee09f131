"""moto's Glue request handling with the job operations that run."""

from typing import Any

from moto.core.responses import ActionResult
from moto.glue import responses

from local_aws.services.glue.backend import GlueBackend
from local_aws.services.glue.errors import InvalidInput
from local_aws.services.glue.records import RUN_SETTINGS


class GlueResponse(responses.GlueResponse):
    """Job operations; the others are moto's."""

    @property
    def _jobs(self) -> GlueBackend:
        return self.glue_backend

    def create_job(self) -> ActionResult:
        """CreateJob."""
        definition = dict(self.parameters)
        name = definition.pop("Name", None)
        tags = definition.pop("Tags", None)
        if not name:
            raise InvalidInput("Name is required")
        self._jobs.define_job(name, definition, tags)
        return ActionResult({"Name": name})

    def update_job(self) -> ActionResult:
        """UpdateJob."""
        name = self.parameters["JobName"]
        self._jobs.redefine_job(name, self.parameters["JobUpdate"])
        return ActionResult({"JobName": name})

    def start_job_run(self) -> ActionResult:
        """StartJobRun."""
        request: dict[str, Any] = self.parameters
        if request.get("AllocatedCapacity") and request.get("MaxCapacity"):
            raise InvalidInput("Please set only Allocated Capacity or Max Capacity")
        overrides = {name: request[name] for name in RUN_SETTINGS if name in request}
        run_id = self._jobs.start_run(
            request["JobName"], request.get("Arguments") or {}, overrides, request.get("JobRunId")
        )
        return ActionResult({"JobRunId": run_id})

    def batch_stop_job_run(self) -> ActionResult:
        """BatchStopJobRun."""
        stopped, errors = self._jobs.stop_runs(self.parameters["JobName"], self.parameters["JobRunIds"])
        return ActionResult({"SuccessfulSubmissions": stopped, "Errors": errors})
