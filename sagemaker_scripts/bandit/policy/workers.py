"""Which model each worker of an endpoint serves: in a folder of the instance, and in a DynamoDB table."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)

Status = Literal["serving", "loading", "rolled_back"]
EXPIRES_SECONDS = 60  # DynamoDB's TTL removes what a killed instance left behind


class Register:
    """This worker's entry. A report that cannot be delivered is logged: answering goes on without."""

    def __init__(self, folder: Path, experiment_id: str, table: str | None, client: Any) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.worker_id = f"{socket.gethostname()}:{os.getpid()}"
        self._experiment_id = experiment_id
        self._table = table
        self._client = client

    def report(self, entry: Mapping[str, str | None], now: float) -> None:
        """entry: model_id, status, and of a swap target_model_id and reason. now: epoch seconds."""
        content = {"worker": self.worker_id, "pid": os.getpid(), "seen_at": now, **entry}
        path = self.folder / f"{os.getpid()}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)
        if self._table:
            texts = {key: {"S": value} for key, value in entry.items() if value}
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        **self._key,
                        **texts,
                        "seen_at": {"N": f"{now:.3f}"},
                        "expires_at": {"N": str(int(now) + EXPIRES_SECONDS)},
                    },
                )
            except Exception as error:  # noqa: BLE001  # the next report comes within seconds
                log.warning("worker %s cannot report to table %s: %s", self.worker_id, self._table, error)

    def all(self) -> list[dict[str, Any]]:
        """Entries of this instance's living workers, by worker."""
        entries = []
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError):
                entry = json.loads(path.read_text(encoding="utf-8"))
                if _lives(entry.pop("pid")):
                    entries.append(entry)
                else:
                    path.unlink(missing_ok=True)
        return entries

    def leave(self) -> None:
        """This worker ends."""
        (self.folder / f"{os.getpid()}.json").unlink(missing_ok=True)
        if self._table:
            try:
                self._client.delete_item(TableName=self._table, Key=self._key)
            except Exception as error:  # noqa: BLE001  # it expires by itself
                log.warning("worker %s cannot leave table %s: %s", self.worker_id, self._table, error)

    @property
    def _key(self) -> dict[str, dict[str, str]]:
        return {"experiment_id": {"S": self._experiment_id}, "worker_id": {"S": self.worker_id}}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
