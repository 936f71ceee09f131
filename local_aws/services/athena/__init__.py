"""Amazon Athena: queries over the Glue catalog that really run, in worker processes, on DuckDB through sqlglot."""

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.athena import queries
from local_aws.services.athena.backend import AthenaBackend
from local_aws.services.athena.responses import AthenaResponse


def install(context: Context) -> None:
    """Register the service."""
    queries.use(context)
    moto_hooks.replace_backend("athena", AthenaBackend)
    moto_hooks.replace_responses("athena", AthenaResponse)


def resume(context: Context) -> None:
    """End the queries that an earlier server left under way."""
    queries.resume(context)
