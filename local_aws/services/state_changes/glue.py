"""Glue's events: the end of job runs, the start and end of crawls.

docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

JOB_RUN = "Glue Job State Change"
CRAWLER = "Glue Crawler State Change"
SEVERITIES = {"SUCCEEDED": "INFO", "STOPPED": "INFO", "TIMEOUT": "WARN", "FAILED": "ERROR"}
CRAWLS = {"COMPLETED": "Succeeded", "FAILED": "Failed", "RUNNING": "Started"}
MESSAGES = {
    "SUCCEEDED": "Job run succeeded",
    "STOPPED": "Job run stopped",
    "TIMEOUT": "Job run timed out",
}


def changes(backend: Any) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    for job in backend.jobs.values():
        for run in job.job_runs:
            if run.state in SEVERITIES and _news(run, run.state):
                yield JOB_RUN, [], job_run_detail(run)
    for crawler in backend.crawlers.values():
        for crawl in crawler.crawls:
            if crawl.state in CRAWLS and _news(crawl, crawl.state):
                yield CRAWLER, [], crawl_detail(backend.account_id, crawler, crawl)


def job_run_detail(run: Any) -> dict[str, Any]:
    failed = (
        f"JobName:{run.job_name} and JobRunId:{run.job_run_id} failed to execute with exception {run.error}"
    )
    return {
        "jobName": run.job_name,
        "severity": SEVERITIES[run.state],
        "state": run.state,
        "jobRunId": run.job_run_id,
        "message": MESSAGES.get(run.state, failed),
    }


def crawl_detail(account: str, crawler: Any, crawl: Any) -> dict[str, Any]:
    detail = {"accountId": account, "crawlerName": crawler.name, "state": CRAWLS[crawl.state]}
    if crawl.state == "RUNNING":
        return detail | {"startTime": _time(crawl.started), "message": "Crawler Started"}
    if crawl.state == "FAILED":
        return detail | {"errorMessage": crawl.error or "", "message": crawl.error or ""}
    return detail | {
        "tablesCreated": str(crawl.counts["created"]),
        "tablesUpdated": str(crawl.counts["updated"]),
        "tablesDeleted": str(crawl.counts["deleted"]),
        "runningTime (sec)": str(int((crawl.ended - crawl.started).total_seconds())),
        "completionDate": _time(crawl.ended),
        "warningMessage": "N/A",
        "message": "Crawler Succeeded",
    }


def _news(what: Any, state: str) -> bool:
    """Whether this state has not been told; now it counts as told."""
    if getattr(what, "told", None) == state:
        return False
    what.told = state
    return True


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
