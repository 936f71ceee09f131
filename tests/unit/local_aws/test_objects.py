"""S3 from inside, without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from local_aws.context import NoSuchObject
from local_aws.services import s3
from local_aws.services.s3.objects import BackendObjects
from local_aws.state import Blobs, Database, Snapshots, snapshots

ACCOUNT = "123456789012"


@pytest.fixture
def open_objects(tmp_path: Path) -> Callable[[], BackendObjects]:
    """Opens the same state again, as a restart does."""

    def build() -> BackendObjects:
        database = Database(tmp_path / "state.sqlite", snapshots.SCHEMA + s3.SCHEMA)
        return s3.prepare(ACCOUNT, database, Blobs(tmp_path / "objects"), Snapshots(database))

    return build


@pytest.fixture
def objects(open_objects: Callable[[], BackendObjects]) -> BackendObjects:
    found = open_objects()
    s3_backends[ACCOUNT]["aws"].create_bucket("data", "us-east-1")
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_put_can_be_listed_opened_and_found_on_disk(objects: BackendObjects, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    objects.put_bytes("data", "a/1", b"bytes", "text/csv", {"Run_Id": "1"})
    objects.put_file("data", "a/2", file)
    objects.put_bytes("data", "b", b"")
    assert [(info.key, info.size) for info in objects.list("data", "a/")] == [("a/1", 5), ("a/2", 11)]
    assert next(objects.list("data", "a/1")).last_modified.tzinfo is not None
    assert objects.path("data", "a/2").read_bytes() == b"from a file"
    with objects.open("data", "a/1") as stream:
        objects.delete("data", "a/1")
        assert stream.read() == b"bytes"
    assert objects.exists_bucket("data")
    assert not objects.exists_bucket("other")


@pytest.mark.parametrize(("bucket", "key"), [("data", "none"), ("other", "k")])
def test_what_is_not_there_is_named(objects: BackendObjects, bucket: str, key: str) -> None:
    with pytest.raises(NoSuchObject) as error:
        objects.open(bucket, key)
    assert str(error.value) == f"s3://{bucket}/{key}"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("in/", {"a.csv": b"1", "deep/b.csv": b"2"}),
        ("in", {"a.csv": b"1", "deep/b.csv": b"2", "in-2.csv": b"3"}),
        ("in/a.csv", {"a.csv": b"1"}),
        ("in/deep", {"b.csv": b"2"}),
        ("none/", {}),
    ],
)
def test_a_prefix_is_copied_below_a_folder(
    objects: BackendObjects, tmp_path: Path, prefix: str, expected: dict[str, bytes]
) -> None:
    for key, body in (("in/a.csv", b"1"), ("in/deep/b.csv", b"2"), ("in-2.csv", b"3"), ("in/deep/", b"")):
        objects.put_bytes("data", key, body)
    dest = tmp_path / "dest"
    assert objects.download_prefix("data", prefix, dest) == len(expected)
    assert tree(dest) == expected


def test_a_job_that_changes_its_copy_changes_no_object(objects: BackendObjects, tmp_path: Path) -> None:
    objects.put_bytes("data", "in/a", b"stored")
    objects.download_prefix("data", "in/", tmp_path / "dest")
    (tmp_path / "dest" / "a").write_bytes(b"changed")
    assert objects.path("data", "in/a").read_bytes() == b"stored"


@pytest.mark.parametrize("key", ["in/../../evil", "in/..", "in/x\0y"])
def test_a_key_that_would_leave_the_folder_is_refused_by_name(
    objects: BackendObjects, tmp_path: Path, key: str
) -> None:
    objects.put_bytes("data", key, b"")
    with pytest.raises(ValueError, match="would leave the folder") as error:
        objects.download_prefix("data", "in/", tmp_path / "dest")
    assert key in str(error.value)


def test_a_key_that_is_a_file_and_a_folder_is_refused(objects: BackendObjects, tmp_path: Path) -> None:
    objects.put_bytes("data", "in/a", b"")
    objects.put_bytes("data", "in/a/b", b"")
    with pytest.raises(ValueError, match="s3://data/in/a/b"):
        objects.download_prefix("data", "in/", tmp_path / "dest")


def test_a_tree_is_stored_without_its_links(objects: BackendObjects, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_bytes(b"1")
    (source / "deep" / "b").write_bytes(b"2")
    (source / "secret").symlink_to("/etc/passwd")
    (source / "folder").symlink_to("/etc")
    assert objects.upload_tree(source, "data", "out/") == 2
    assert [info.key for info in objects.list("data")] == ["out/a", "out/deep/b"]


def test_the_state_is_read_back(objects: BackendObjects, open_objects: Callable[[], BackendObjects]) -> None:
    objects.put_bytes("data", "k", b"old")
    objects.put_bytes("data", "k", b"new", "text/csv", {"a": "1"})
    again = open_objects()
    assert again.path("data", "k").read_bytes() == b"new"
    key = s3_backends[ACCOUNT]["aws"].get_object("data", "k")
    assert key is not None
    assert (key.metadata["content-type"], key.metadata["x-amz-meta-a"]) == ("text/csv", "1")


def test_a_write_that_cannot_be_recorded_is_as_if_it_had_not_been(
    objects: BackendObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put_bytes("data", "k", b"old")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("local_aws.services.s3.journal.pickle.dumps", disk_full)
        for key in ("k", "other"):
            with pytest.raises(OSError, match="No space"):
                objects.put_bytes("data", key, b"new")
    assert objects.path("data", "k").read_bytes() == b"old"
    assert [info.key for info in objects.list("data")] == ["k"]
    objects.put_bytes("data", "k", b"newer")
    assert objects.path("data", "k").read_bytes() == b"newer"
