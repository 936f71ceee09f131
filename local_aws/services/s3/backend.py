"""S3: moto's backend and its requests, over blobs and a journal."""

from __future__ import annotations

import base64
import functools
from types import SimpleNamespace
from typing import Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import MissingKey, NoSuchUpload
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, FakeMultipart, S3Backend, s3_backends
from moto.s3.responses import S3Response

from local_aws import aws_errors
from local_aws.services import notifications
from local_aws.services.s3 import listing
from local_aws.services.s3.body import ENVIRON_KEY, Body
from local_aws.services.s3.journal import Journal
from local_aws.services.s3.keys import BlobKey, Reference

# Sub-resources that moto does not know: it would take such a request for one about the bucket or the object.
NOT_SUPPORTED = {
    "abac", "analytics", "annotation", "intelligent-tiering", "metadataAnnotationTable",
    "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics",
    "renameObject", "requestPayment", "session", "torrent",
}  # fmt: skip


class _Tokens(dict[str, str]):
    """Continuation tokens that say themselves where to go on: nothing to remember or to lose."""

    MARK = "local-"

    def get(self, token: str, default: Any = None) -> Any:
        if not token.startswith(self.MARK):
            return default
        return base64.urlsafe_b64decode(token.removeprefix(self.MARK)).decode()

    @classmethod
    def token(cls, key: str) -> str:
        return cls.MARK + base64.urlsafe_b64encode(key.encode()).decode()


class _Listing:
    """The part of a bucket that a listing sees."""

    def __init__(self, bucket: FakeBucket, prefix: str) -> None:
        self.keys = {
            name: versions[-1]
            for name, versions in dict.items(bucket.keys)
            if versions and name.startswith(prefix) and not isinstance(versions[-1], FakeDeleteMarker)
        }


class DurableS3Backend(S3Backend):
    journal: Journal  # set once, by prepare()

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._pagination_tokens = _Tokens()

    def _truncate_result(self, result_keys: Any, max_keys: int) -> Any:
        if max_keys == 0 or len(result_keys) <= max_keys:
            return result_keys if max_keys else [], False, None
        last = result_keys[max_keys - 1]
        return result_keys[:max_keys], True, _Tokens.token(last.name if isinstance(last, FakeKey) else last)

    def list_objects(self, bucket: Any, prefix: str | None, *args: Any, **kwargs: Any) -> Any:
        """As moto, without what is deleted: moto makes common prefixes of delete markers too, so that in a
        versioned bucket a folder whose every object is deleted would still be listed."""
        return super().list_objects(_Listing(bucket, prefix or ""), prefix, *args, **kwargs)

    def create_bucket(self, bucket_name: str, *args: Any, **kwargs: Any) -> FakeBucket:
        bucket = super().create_bucket(bucket_name, *args, **kwargs)
        self.journal.attach(bucket)
        self.journal.buckets_changed = True
        return bucket

    def delete_bucket(self, bucket_name: str) -> FakeBucket | None:
        self.journal.buckets_changed = True
        return super().delete_bucket(bucket_name)

    def know_bucket(self, bucket: FakeBucket) -> None:
        s3_backends.bucket_accounts[bucket.name] = (bucket.partition, bucket.account_id)

    def upload_part(self, bucket_name: str, multipart_id: str, part_id: int, value: Any) -> FakeKey:
        self._upload(bucket_name, multipart_id)
        self.journal.parts.add((bucket_name, multipart_id, part_id))
        return super().upload_part(bucket_name, multipart_id, part_id, value)

    def upload_part_copy(
        self,
        dest_bucket_name: str,
        multipart_id: str,
        part_id: int,
        src_bucket_name: str,
        src_key_name: str,
        src_version_id: str | None,
        start_byte: int | None,
        end_byte: int | None,
    ) -> FakeKey:
        source = self.get_object(src_bucket_name, src_key_name, version_id=src_version_id)
        if not isinstance(source, BlobKey):
            raise MissingKey(key=src_key_name)
        data: Reference = source.by_reference().value
        if start_byte is not None and end_byte is not None:
            data = data[start_byte : end_byte + 1]
        return self.upload_part(dest_bucket_name, multipart_id, part_id, data)

    def complete_multipart_upload(self, bucket_name: str, multipart_id: str, body: Any) -> FakeKey | None:
        self._upload(bucket_name, multipart_id)
        with notifications.completing():
            return super().complete_multipart_upload(bucket_name, multipart_id, body)

    def copy_object(self, src_key: FakeKey, *args: Any, **kwargs: Any) -> None:
        assert isinstance(src_key, BlobKey)
        super().copy_object(src_key.by_reference(), *args, **kwargs)

    def delete_object(
        self, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        """As moto, and S3's notifications are told of every version that goes and every marker that comes."""
        bucket = self.get_bucket(bucket_name)
        versions = [
            key
            for key in bucket.keys.getlist(key_name, [])
            if version_id is None or str(key.version_id) == str(version_id)
        ]
        done, answer = super().delete_object(bucket_name, key_name, version_id, bypass)
        marker = bucket.is_versioned and version_id is None
        gone = [bucket.keys[key_name]] if marker and done else versions[-1:]
        for key in gone if done else []:
            notifications.object_deleted(self.account_id, bucket, key, marker)
        return done, answer

    def put_bucket_notification_configuration(
        self, bucket_name: str, notification_config: dict[str, Any]
    ) -> None:
        if notification_config:
            notifications.check(
                self.account_id,
                self.get_bucket(bucket_name).region_name,
                notifications.configuration(notification_config),
            )
        super().put_bucket_notification_configuration(bucket_name, notification_config)

    def _upload(self, bucket_name: str, multipart_id: str) -> FakeMultipart:
        try:
            return self.get_bucket(bucket_name).multiparts[multipart_id]
        except KeyError:
            raise NoSuchUpload(upload_id=multipart_id) from None


class DurableS3Response(S3Response):
    _gives_object = False

    def setup_class(self, request: Any, full_url: str | None = None, headers: Any = None) -> None:
        super().setup_class(request, full_url, headers)
        self.received: Body | None = request.environ.get(ENVIRON_KEY)
        if self.received is not None:
            self.body = self.received

    @staticmethod
    def subdomain_based_buckets(request: Any) -> bool:
        """moto asks six times a request."""
        return _names_a_bucket(request.headers.get("host", ""))

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        status, response_headers, content = self._named(super().key_response, request, full_url, headers)
        if request.method not in ("GET", "HEAD"):
            # Tags, ACL, retention: changes that a key's store does not see.
            DurableS3Backend.journal.changed.add((self.bucket_name, self.parse_key_name()))
        if isinstance(content, Reference):
            content = content.open()
        return status, response_headers, content

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> Any:
        return self._named(super().bucket_response, request, full_url, headers)

    def serialized(self, action_result: ActionResult) -> Any:
        """Long listings: moto serializes one row, of which the others are copies."""
        result = action_result.result
        contents = result.get("Contents", []) if isinstance(result, dict) else []
        if len(contents) > 1:
            short = ActionResult({**result, "Contents": contents[:1]})
            status, headers, body = super().serialized(short)
            whole = listing.filled(str(body), contents)
            if whole is not None:
                return status, headers, whole
        return super().serialized(action_result)

    def get_bucket_notification(self) -> Any:
        """With EventBridgeConfiguration, which moto keeps and does not show."""
        answer = super().get_bucket_notification()
        configured = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configured is None or configured.event_bridge is None:
            return answer
        status, headers, body = answer
        mark = "</NotificationConfiguration>"
        return status, headers, body.replace(mark, f"<EventBridgeConfiguration/>{mark}")

    def get_object(self) -> Any:
        self._gives_object = True
        return super().get_object()

    def _get_key(self, validate_storage_class: bool = True) -> tuple[FakeKey, bool]:
        key, not_modified = super()._get_key(validate_storage_class)
        if self._gives_object and isinstance(key, BlobKey):
            key = key.by_reference()
        return key, not_modified

    def _get_checksum(self, response_headers: dict[str, Any]) -> tuple[str, str | None]:
        if self.received is None:
            return "", None
        if self.received.checksum is None:
            return "", None
        algorithm, value = self.received.checksum
        response_headers[f"x-amz-checksum-{algorithm.lower()}"] = value
        return algorithm, value

    def _named(self, respond: Any, request: Any, full_url: str, headers: Any) -> Any:
        """What moto has no code for is refused by name."""
        try:
            for name in NOT_SUPPORTED & set(request.args):
                raise NotImplementedError(f"?{name}")
            return respond(request, full_url, headers)
        except NotImplementedError as error:
            query = request.query_string.decode() or "object"
            raise aws_errors.unsupported("s3", f"{request.method} {query}", str(error)) from error


@functools.lru_cache(1000)
def _names_a_bucket(host: str) -> bool:
    request = SimpleNamespace(headers={"host": host}, url=f"http://{host}/")
    return bool(S3Response.subdomain_based_buckets(request))
