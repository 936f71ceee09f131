"""AWS Glue: moto's data catalog as it is, jobs whose scripts really run (Spark and Python shell),
and crawlers that read what they crawl."""

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.glue import crawlers, runs
from local_aws.services.glue.backend import GlueBackend
from local_aws.services.glue.responses import GlueResponse

# moto answers these without doing anything.
_REFUSED = (
    "StartCrawlerSchedule",
    "StopCrawlerSchedule",
    "UpdateCrawlerSchedule",
    "CreateClassifier",
    "CreateTrigger",
    "StartTrigger",
    "StartWorkflowRun",
    "CreateSession",
    "RunStatement",
    "CreateDevEndpoint",
    "CreateMLTransform",
)


def install(context: Context) -> None:
    """Register the service."""
    runs.use(context)
    crawlers.use(context)
    moto_hooks.replace_backend("glue", GlueBackend)
    moto_hooks.replace_responses("glue", GlueResponse)
    for operation in _REFUSED:
        moto_hooks.not_supported("glue", operation)


def resume(context: Context) -> None:
    """Take over the runs and crawls of an earlier server, once the stored state is loaded."""
    runs.resume(context)
    crawlers.resume(context)
