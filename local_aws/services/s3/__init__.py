"""S3: moto's API over immutable files and a journal; constant cost a request, nothing lost in a restart."""

from __future__ import annotations

from moto.s3 import models
from moto.s3.models import s3_backends

from local_aws import moto_hooks
from local_aws.services import notifications
from local_aws.services.s3 import direct
from local_aws.services.s3.backend import DurableS3Backend, DurableS3Response
from local_aws.services.s3.journal import SCHEMA, Journal
from local_aws.services.s3.keys import BlobKey, BlobUpload
from local_aws.services.s3.objects import BackendObjects
from local_aws.state import Blobs, Database, Snapshots


def prepare(account: str, database: Database, blobs: Blobs, state: Snapshots) -> BackendObjects:
    """Install S3 and fill it from disk. It comes before the other services, whose objects are in it."""
    models.FakeKey = BlobKey
    models.FakeMultipart = BlobUpload
    BlobKey.blobs = blobs
    DurableS3Backend.journal = Journal(database, blobs)
    moto_hooks.replace_backend("s3", DurableS3Backend)
    moto_hooks.replace_responses("s3", DurableS3Response)
    moto_hooks.leave_conditional_bucket_statements()
    s3_backends.bucket_accounts.clear()
    backend = s3_backends[account]["aws"]
    DurableS3Backend.journal.restore(backend)

    def commit() -> None:
        try:
            DurableS3Backend.journal.commit(backend)
        except BaseException:
            notifications.forget()
            raise
        notifications.tell()

    state.register("s3", commit)
    return BackendObjects(account, blobs, state)


__all__ = ["SCHEMA", "direct", "prepare"]
