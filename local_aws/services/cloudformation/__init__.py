"""CloudFormation: the resource types that moto lacks, and a refusal of those that nobody here has.

moto owns the templates, stacks, events and most types. A type that it does not know it skips with a warning,
so that the stack is "complete" without the resource; here that is the error AWS gives for an unknown type.
"""

from __future__ import annotations

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.cloudformation import (
    airflow,
    buckets,
    functions,
    identities,
    log_groups,
    networks,
    queues,
    rules,
    streams,
    tables,
    types,
    updates,
)
from local_aws.services.cloudformation.change_sets import Backend

# moto finds the types once their modules are imported.
__all__ = [
    "airflow",
    "buckets",
    "functions",
    "identities",
    "install",
    "log_groups",
    "networks",
    "queues",
    "streams",
    "tables",
    "types",
]


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    moto_hooks.replace_backend("cloudformation", Backend)
    moto_hooks.refuse_unknown_resource_types()
    networks.install()
    rules.install()
    updates.install()
