"""Firehose to S3: acknowledged records are on disk, objects appear by size and by time as on AWS.

`spool` keeps the records, `prefixes` names the objects, `backend` is moto's API over both, `deliveries` the
thread that stores objects.
"""

from __future__ import annotations

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.firehose.backend import Backend, Responses
from local_aws.services.firehose.deliveries import Deliveries
from local_aws.services.firehose.spool import Spool


def install(context: Context) -> None:
    Backend.context = context
    Backend.spool = Spool(context.data_dir / "firehose.sqlite")
    moto_hooks.replace_backend("firehose", Backend)
    moto_hooks.replace_responses("firehose", Responses)
    for operation in ("StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption"):
        moto_hooks.not_supported("firehose", operation)


def resume(context: Context) -> None:
    """Deliver what an earlier server left, and go on."""
    Deliveries(context, Backend.spool).start()
