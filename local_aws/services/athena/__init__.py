"""Amazon Athena: queries over the Glue catalog, run in worker processes by DuckDB through sqlglot."""

from local_aws.context import Context

# Imports are inside the functions: a worker process imports `engine` through this package, and must not pay
# for moto (over a second) before its first query.


def install(context: Context) -> None:
    """Register the service."""
    from local_aws import moto_hooks
    from local_aws.services.athena import queries
    from local_aws.services.athena.backend import AthenaBackend
    from local_aws.services.athena.responses import AthenaResponse

    queries.use(context)
    moto_hooks.replace_backend("athena", AthenaBackend)
    moto_hooks.replace_responses("athena", AthenaResponse)


def resume(context: Context) -> None:
    """End the queries that an earlier server left under way."""
    from local_aws.services.athena import queries

    queries.resume(context)
