"""DynamoDB: moto's API; items are stored one by one, and expire by their table's time to live."""

from __future__ import annotations

import logging
import threading

from moto.dynamodb import models
from moto.dynamodb.models import dynamodb_backends

from local_aws import moto_hooks
from local_aws.context import Context
from local_aws.services.dynamodb.expiry import expire
from local_aws.services.dynamodb.store import ItemStore
from local_aws.services.dynamodb.table import Backend, StoredTable

log = logging.getLogger(__name__)

EXPIRY_ROUND_SECONDS = 5.0  # AWS takes up to days

# moto answers these from threads of its own, which no restart would take up again.
REFUSED = ("ImportTable", "ExportTableToPointInTime")


def install(context: Context) -> None:
    StoredTable.store = ItemStore(context.data_dir / "dynamodb.sqlite")
    models.Table = StoredTable
    moto_hooks.replace_backend("dynamodb", Backend)
    for operation in REFUSED:
        moto_hooks.not_supported("dynamodb", operation)
    context.state.register("dynamodb", lambda: _commit(context))
    threading.Thread(target=_expire_for_ever, args=(context,), name="time to live", daemon=True).start()


def _commit(context: Context) -> None:
    """Items first: rows of a table that the snapshot does not know yet harm nobody."""
    tables = _tables()
    for table in tables:
        table.live = True  # a transaction that failed put back its copy
    StoredTable.store.write(change for table in tables for change in table.changes())
    context.state.snapshot("dynamodb")
    for gone in StoredTable.store.tables - {table.id for table in tables}:
        StoredTable.store.drop(gone)


def _tables() -> list[StoredTable]:
    return [
        table
        for _, _, backend in dynamodb_backends.iter_backends()
        for table in backend.tables.values()
        if isinstance(table, StoredTable)
    ]


def _expire_for_ever(context: Context) -> None:
    stopped = threading.Event()
    while not stopped.wait(EXPIRY_ROUND_SECONDS):
        try:
            with context.state.lock("dynamodb"):
                if sum(expire(table, context.clock()) for table in _tables()):
                    context.state.commit("dynamodb")
        except Exception:
            log.exception("time to live")
