"""What S3 knows, in SQLite: one row a key (all its versions), an upload, a part, a bucket.

moto's in-memory objects are the truth while the server runs; each request writes the rows it has changed, so
a request costs the same whether the bucket holds ten keys or a million. Rows are pickles that only this
program writes and reads (see state/snapshots.py).
"""

from __future__ import annotations

import json
import pickle
import threading
from typing import Any

from moto.s3.models import FakeBucket, FakeMultipart, MultipartDict

from local_aws.services.s3.keys import BlobKey, JournaledKeys
from local_aws.state import Blobs, Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    bucket TEXT, key TEXT, data BLOB NOT NULL, blobs TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (bucket TEXT, id TEXT, data BLOB NOT NULL, PRIMARY KEY (bucket, id));
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT, number INTEGER, data BLOB NOT NULL, blobs TEXT NOT NULL, PRIMARY KEY (upload, number));
"""


class Journal:
    """changed, uploads, parts: what must be written at the next commit."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._bucket_rows: dict[str, bytes] = {}
        self.changed: set[tuple[str, str]] = set()
        self.uploads: set[tuple[str, str]] = set()
        self.parts: set[tuple[str, str, int]] = set()
        self.buckets_changed = False

    def commit(self, backend: Any) -> None:
        """Write what has changed. When that fails (disk full), memory is put back to what the disk says."""
        if not (self.changed or self.uploads or self.parts):
            self.buckets_changed = True  # a request about a bucket, or one that changed nothing
        unused: set[str] = set()
        try:
            with self._database.transaction() as connection:
                if self.buckets_changed:
                    self._write_buckets(connection, backend)
                for bucket, key in self.changed:
                    unused |= self._write_key(connection, backend, bucket, key)
                for bucket, upload in self.uploads:
                    unused |= self._write_upload(connection, backend, bucket, upload)
                for bucket, upload, number in self.parts:
                    unused |= self._write_part(connection, backend, bucket, upload, number)
        except BaseException:
            self._reload(backend)
            raise
        finally:
            self.changed.clear()
            self.uploads.clear()
            self.parts.clear()
            self.buckets_changed = False
        self._blobs.discard(unused)

    def _write_buckets(self, connection: Any, backend: Any) -> None:
        rows = {}
        for name, bucket in backend.buckets.items():
            state = {key: value for key, value in vars(bucket).items() if key not in ("keys", "multiparts")}
            rows[name] = pickle.dumps((state, backend.tagger.get_tag_dict_for_resource(bucket.arn)))
        for name, row in rows.items():
            if self._bucket_rows.get(name) != row:
                connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (name, row))
        for name in self._bucket_rows.keys() - rows.keys():
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
        self._bucket_rows = rows

    def _write_key(self, connection: Any, backend: Any, bucket: str, key: str) -> set[str]:
        before = _blobs_of(
            connection.execute("SELECT blobs FROM keys WHERE bucket = ? AND key = ?", (bucket, key))
        )
        home = backend.buckets.get(bucket)
        versions = home.keys.getlist(key) if home is not None else None
        if not versions:
            connection.execute("DELETE FROM keys WHERE bucket = ? AND key = ?", (bucket, key))
            return before
        stored = [version for version in versions if isinstance(version, BlobKey)]
        tags = {version.arn: backend.tagger.get_tag_dict_for_resource(version.arn) for version in stored}
        blobs = {version.blob.name for version in stored}
        connection.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)",
            (bucket, key, pickle.dumps((versions, tags)), json.dumps(sorted(blobs))),
        )
        return before - blobs

    def _write_upload(self, connection: Any, backend: Any, bucket: str, upload: str) -> set[str]:
        home = backend.buckets.get(bucket)
        found = home.multiparts.get(upload) if home is not None else None
        if found is not None:
            state = {**vars(found), "parts": {}, "partlist": []}
            row = pickle.dumps((type(found), state))
            connection.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?)", (bucket, upload, row))
            return set()
        unused = _blobs_of(connection.execute("SELECT blobs FROM parts WHERE upload = ?", (upload,)))
        connection.execute("DELETE FROM uploads WHERE bucket = ? AND id = ?", (bucket, upload))
        connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
        return unused

    def _write_part(self, connection: Any, backend: Any, bucket: str, upload: str, number: int) -> set[str]:
        part = backend.buckets[bucket].multiparts[upload].parts[number]
        before = _blobs_of(
            connection.execute("SELECT blobs FROM parts WHERE upload = ? AND number = ?", (upload, number))
        )
        row = (upload, number, pickle.dumps(part), json.dumps([part.blob.name]))
        connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", row)
        return before - {part.blob.name}

    def restore(self, backend: Any) -> None:
        """Fill an empty backend, then remove the files that nothing refers to."""
        with self._database.reading() as connection:
            for name, row in connection.execute("SELECT name, data FROM buckets"):
                self._load_bucket(backend, name, row)
            for bucket, key, row in connection.execute("SELECT bucket, key, data FROM keys"):
                self._load_key(backend, bucket, key, row)
            for bucket, upload, row in connection.execute("SELECT bucket, id, data FROM uploads"):
                kind, state = pickle.loads(row)  # noqa: S301
                found = kind.__new__(kind)
                vars(found).update(state)
                backend.buckets[bucket].multiparts.load(upload, found)
                for number, part in connection.execute(
                    "SELECT number, data FROM parts WHERE upload = ? ORDER BY number", (upload,)
                ):
                    found.parts[number] = pickle.loads(part)  # noqa: S301
                    found.partlist.append(number)
            used = _blobs_of(connection.execute("SELECT blobs FROM keys UNION ALL SELECT blobs FROM parts"))
        unused = self._blobs.unused(used)
        threading.Thread(target=self._blobs.remove, args=(unused,), daemon=True).start()

    def _load_bucket(self, backend: Any, name: str, row: bytes) -> None:
        state, tags = pickle.loads(row)  # noqa: S301
        bucket = FakeBucket.__new__(FakeBucket)
        vars(bucket).update(state)
        self.attach(bucket)
        backend.buckets[name] = bucket
        backend.know_bucket(bucket)
        self._bucket_rows[name] = row
        _load_tags(backend, {bucket.arn: tags})

    def _load_key(self, backend: Any, bucket: str, key: str, row: bytes) -> None:
        versions, tags = pickle.loads(row)  # noqa: S301
        backend.buckets[bucket].keys.load(key, versions)
        _load_tags(backend, tags)

    def attach(self, bucket: FakeBucket) -> None:
        """Make a bucket note its changes here."""
        bucket.keys = JournaledKeys(bucket.name, self.changed)
        bucket.multiparts = _Uploads(bucket.name, self.uploads)

    def _reload(self, backend: Any) -> None:
        with self._database.reading() as connection:
            for bucket, key in self.changed:
                row = connection.execute(
                    "SELECT data FROM keys WHERE bucket = ? AND key = ?", (bucket, key)
                ).fetchone()
                if row is not None:
                    self._load_key(backend, bucket, key, row[0])
                elif bucket in backend.buckets:
                    backend.buckets[bucket].keys.unload(key)


class _Uploads(MultipartDict):
    """A bucket's multipart uploads; notes which have begun or ended since the last commit."""

    def __init__(self, bucket: str, changed: set[tuple[str, str]]) -> None:
        super().__init__()
        self._bucket = bucket
        self._changed = changed

    def __setitem__(self, upload: str, value: FakeMultipart) -> None:
        self._changed.add((self._bucket, upload))
        super().__setitem__(upload, value)

    def __delitem__(self, upload: str) -> None:
        self._changed.add((self._bucket, upload))
        super().__delitem__(upload)

    def load(self, upload: str, value: FakeMultipart) -> None:
        dict.__setitem__(self, upload, value)


def _blobs_of(rows: Any) -> set[str]:
    return {name for (names,) in rows for name in json.loads(names)}


def _load_tags(backend: Any, tags_by_arn: dict[str, dict[str, str]]) -> None:
    for arn, tags in tags_by_arn.items():
        if tags:
            backend.tagger.tag_resource(arn, [{"Key": key, "Value": value} for key, value in tags.items()])
