"""moto's Glue request handling with the operations on jobs and crawlers that run."""

from typing import Any

from moto.core.responses import ActionResult
from moto.glue import responses

from local_aws.services.glue import crawlers
from local_aws.services.glue.backend import GlueBackend
from local_aws.services.glue.errors import InvalidInput
from local_aws.services.glue.records import RUN_SETTINGS


class GlueResponse(responses.GlueResponse):
    """Operations on jobs and crawlers; the others are moto's."""

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

    def create_crawler(self) -> ActionResult:
        """CreateCrawler."""
        crawlers.define(self._jobs, self.parameters)
        return ActionResult({})

    def update_crawler(self) -> ActionResult:
        """UpdateCrawler."""
        crawlers.redefine(self._jobs, self.parameters)
        return ActionResult({})

    def start_crawler(self) -> ActionResult:
        """StartCrawler."""
        crawlers.start(self._jobs, self.parameters["Name"])
        return ActionResult({})

    def stop_crawler(self) -> ActionResult:
        """StopCrawler."""
        crawlers.stop(self._jobs, self.parameters["Name"])
        return ActionResult({})

    def delete_crawler(self) -> ActionResult:
        """DeleteCrawler."""
        crawlers.remove(self._jobs, self.parameters["Name"])
        return ActionResult({})

    def get_crawler(self) -> ActionResult:
        """GetCrawler."""
        return ActionResult({"Crawler": crawlers.find(self._jobs, self.parameters["Name"]).as_dict()})

    def get_crawler_metrics(self) -> ActionResult:
        """GetCrawlerMetrics: of all crawlers, or of those named."""
        names = self.parameters.get("CrawlerNameList") or list(self._jobs.crawlers)
        now = crawlers.now()
        found = [crawlers.find(self._jobs, name).metrics(now) for name in names]
        return ActionResult({"CrawlerMetricsList": found})

    def list_crawls(self) -> ActionResult:
        """ListCrawls."""
        name = self.parameters["CrawlerName"]
        if self.parameters.get("Filters"):
            raise InvalidInput("Filters of ListCrawls are not supported by local AWS")
        found = reversed(crawlers.find(self._jobs, name).crawls)
        return ActionResult({"Crawls": [crawl.as_dict(name) for crawl in found]})
