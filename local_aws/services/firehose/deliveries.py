"""The thread that closes buffers when their time is over and stores what was closed."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import tempfile
import threading
from pathlib import Path

from moto.firehose.models import firehose_backends

from local_aws.context import Context, NoSuchObject
from local_aws.services.firehose.backend import Backend
from local_aws.services.firehose.spool import Delivery, Spool

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
RETRY_SECONDS = (1, 2, 5, 10, 30, 60)  # the last one for ever after
GIVE_UP_SECONDS = 24 * 3600  # as AWS: after a day without success the data is lost


class Deliveries:
    def __init__(self, context: Context, spool: Spool) -> None:
        self._context = context
        self._spool = spool
        self._folder = context.data_dir / "firehose"
        shutil.rmtree(self._folder, ignore_errors=True)  # left by a delivery that was cut off
        self._folder.mkdir()
        self._failures: dict[int, tuple[int, float]] = {}  # delivery id -> how often, when to try again
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="firehose", daemon=True).start()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("firehose deliveries")

    def look(self) -> None:
        """One round: close what is due, store what is closed."""
        now = self._context.clock().timestamp()
        with self._context.state.lock("firehose"):
            for _, _, backend in firehose_backends.iter_backends():
                assert isinstance(backend, Backend)
                backend.close_due_buffers(now)
        for delivery in self._spool.pending():
            if self._failures.get(delivery.id, (0, 0.0))[1] <= now:
                self._deliver(delivery, now)

    def _deliver(self, delivery: Delivery, now: float) -> None:
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder) as file:
                path = Path(file.name)
                with gzip.open(path, "wb") if delivery.gzip else path.open("wb") as target:
                    for data in self._spool.records(delivery):
                        target.write(data)
                self._context.objects.put_file(
                    delivery.bucket, delivery.key, path, content_type="application/octet-stream"
                )
        except NoSuchObject:
            self._failed(delivery, now, "S3.NoSuchBucket", f"There is no bucket {delivery.bucket}.")
        except OSError as error:
            self._failed(delivery, now, "S3.InternalError", str(error))
        else:
            self._spool.done(delivery)
            self._failures.pop(delivery.id, None)

    def _failed(self, delivery: Delivery, now: float, code: str, reason: str) -> None:
        """Said in the log that the stream names, as AWS does; tried again until it is a day old."""
        count, _ = self._failures.get(delivery.id, (0, 0.0))
        self._failures[delivery.id] = (count + 1, now + RETRY_SECONDS[min(count, len(RETRY_SECONDS) - 1)])
        lost = now - delivery.opened > GIVE_UP_SECONDS
        message = f"{reason} Correct the destination of {delivery.stream}. " + (
            "The data is lost." if lost else "The delivery is tried again for 24 hours."
        )
        log.warning("firehose: %s: %s", delivery.key, message)
        if lost:
            self._spool.done(delivery)
            self._failures.pop(delivery.id, None)
        if delivery.log_group and delivery.log_stream:
            line = json.dumps(
                {
                    "deliveryStreamARN": delivery.stream,
                    "destination": f"arn:aws:s3:::{delivery.bucket}",
                    "message": message,
                    "errorCode": code,
                }
            )
            self._context.logs.append(delivery.log_group, delivery.log_stream, [(round(now * 1000), line)])
