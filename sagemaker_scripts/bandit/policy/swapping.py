"""The soft swap: a small object in S3 names the model to serve, and each worker takes it up by itself.

    {"model_id": "exp-7-m12", "model_uri": "s3://bucket/.../model.tar.gz"}

A worker looks at it every second, downloads, unpacks and checks a new model beside the one that serves, and
only then exchanges the two. What does not pass the check, or fails to answer afterwards, is put back,
reported with the reason, and not tried again until the object changes.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from . import model as models
from .errors import PolicyError, UnusableModel
from .model import Policy
from .workers import Register

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Pointer:
    """What the object says."""

    model_id: str
    model_uri: str

    @classmethod
    def parse(cls, body: bytes) -> Pointer:
        """Raises UnusableModel."""
        try:
            content = json.loads(body)
            pointer = cls(content["model_id"], content["model_uri"])
            bucket, _ = split(pointer.model_uri)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnusableModel(f"the pointer object is unusable: {type(error).__name__} {error}") from None
        if not (isinstance(pointer.model_id, str) and pointer.model_id and bucket):
            raise UnusableModel("the pointer object names no model")
        return pointer


class Hosted:
    """The model that answers, and how it is exchanged. `policy` may be read at any time."""

    def __init__(
        self,
        policy: Policy,
        register: Register,
        *,
        pointer: str | None = None,
        s3: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self._previous: Policy | None = None
        self._register = register
        self._pointer = pointer
        self._s3 = s3
        self._clock = clock
        self._etag = ""
        self._state: dict[str, str | None] = {"status": "serving"}
        self._reported = 0.0
        self._lock = threading.Lock()
        self._end = threading.Event()

    def watch(self, seconds: float) -> None:
        """Look at the pointer every so many seconds, on a thread, until `stop`."""
        threading.Thread(target=self._watch, args=(seconds,), name="swap", daemon=True).start()

    def stop(self) -> None:
        self._end.set()
        self._register.leave()

    def look(self) -> None:
        """Take up the model that the pointer names, if it is new; say that we live."""
        try:
            body = self._fetch()
        except Exception as error:  # noqa: BLE001  # S3 out of reach: go on serving, ask again
            log.warning("the pointer %s cannot be read: %s", self._pointer, error)
            body = None
        if body is not None:
            self._take(body)
        if self._clock() - self._reported >= HEARTBEAT_SECONDS:
            self._report()

    def put_back(self, failed: Policy, reason: str) -> bool:
        """Return to the model before `failed`; False when there is none."""
        with self._lock:
            if self.policy is not failed:
                return True  # done already
            if self._previous is None:
                return False
            self.policy, self._previous = self._previous, None
        self._say("rolled_back", failed.model_id, f"it failed to answer: {reason}")
        return True

    def _watch(self, seconds: float) -> None:
        while not self._end.wait(seconds):
            self.look()

    def _fetch(self) -> bytes | None:
        """The pointer's content when it has changed."""
        if not self._pointer:
            return None
        bucket, key = split(self._pointer)
        known = {"IfNoneMatch": self._etag} if self._etag else {}
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key, **known)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (304, 404):
                return None
            raise
        self._etag = answer["ETag"]
        content: bytes = answer["Body"].read()
        return content

    def _take(self, body: bytes) -> None:
        target = None
        try:
            pointer = Pointer.parse(body)
            target = pointer.model_id
            if target == self.policy.model_id:
                self._say("serving", None, None)
                return
            self._say("loading", target, None)
            policy = self._load(pointer)
        except PolicyError as error:
            self._say("rolled_back", target, str(error))
        except Exception as error:  # noqa: BLE001  # a download may fail in any way; the old model serves on
            self._say("rolled_back", target, f"{type(error).__name__}: {error}")
        else:
            with self._lock:
                self._previous, self.policy = self.policy, policy
            self._say("serving", None, None)

    def _load(self, pointer: Pointer) -> Policy:
        folder = Path(tempfile.mkdtemp(prefix="policy-"))
        try:
            bucket, key = split(pointer.model_uri)
            archive = folder / models.ARCHIVE
            self._s3.download_file(bucket, key, str(archive))
            policy = models.load(models.unpack(archive, folder / "model"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # the learner is in memory
        if policy.model_id != pointer.model_id:
            raise UnusableModel(f"{pointer.model_uri} holds {policy.model_id}, not {pointer.model_id}")
        if different := models.same_decision(self.policy.config, policy.config):
            raise UnusableModel(f"{policy.model_id} does not fit this endpoint: it has {different}")
        return policy

    def _say(self, status: str, target: str | None, reason: str | None) -> None:
        self._state = {"status": status, "target_model_id": target, "reason": reason}
        print(
            f"model {self.policy.model_id} {status}" + (f": {target}: {reason}" if reason else ""), flush=True
        )
        self._report()

    def _report(self) -> None:
        self._reported = self._clock()
        with suppress(OSError):
            self._register.report({"model_id": self.policy.model_id, **self._state}, self._reported)


def split(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` -> (bucket, key). Raises ValueError."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or len(parts.path) < 2:
        raise ValueError(f"{uri!r} is not s3://bucket/key")
    return parts.netloc, parts.path[1:]
