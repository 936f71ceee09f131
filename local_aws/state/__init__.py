"""Durable state: a stop, a kill and a start lose nothing that was acknowledged."""

from local_aws.state.blobs import Blob, Blobs
from local_aws.state.database import Database
from local_aws.state.snapshots import Snapshots, UnreadableState

__all__ = ["Blob", "Blobs", "Database", "Snapshots", "UnreadableState"]
