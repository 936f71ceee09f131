"""Snapshots of moto's backends, the database below them, and who refers to whom."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from moto.core.base_backend import BackendDict, BaseBackend
from moto.glue.models import glue_backends
from moto.iam.models import iam_backends
from moto.kinesis.models import kinesis_backends

from local_aws.state import Database, Snapshots, UnreadableState, snapshots

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture(autouse=True)
def fresh() -> None:
    for backend_dict in (glue_backends, iam_backends, kinesis_backends):
        BackendDict.clear(backend_dict)


def open_state(path: Path) -> Snapshots:
    return Snapshots(Database(path / "state.sqlite", snapshots.SCHEMA))


def forget() -> None:
    glue_backends.clear()


def test_a_service_is_read_back_as_it_was_committed(tmp_path: Path) -> None:
    glue_backends[ACCOUNT][REGION].create_database("kept", {"Name": "kept"})
    state = open_state(tmp_path)
    state.commit("glue")
    glue_backends[ACCOUNT][REGION].create_database("not-committed", {"Name": "not-committed"})
    forget()
    open_state(tmp_path).restore()
    assert list(glue_backends[ACCOUNT][REGION].databases) == ["kept"]


def test_what_belongs_to_another_service_is_found_there_again(tmp_path: Path) -> None:
    iam = iam_backends[ACCOUNT]["aws"]
    glue: Any = glue_backends[ACCOUNT][REGION]
    glue.friend, glue.guard = iam, threading.RLock()
    state = open_state(tmp_path)
    state.commit("glue")
    forget()
    open_state(tmp_path).restore()
    restored: Any = glue_backends[ACCOUNT][REGION]
    assert restored.friend is iam
    with restored.guard:
        assert isinstance(restored, BaseBackend)


def test_an_unchanged_service_is_not_written_again(tmp_path: Path) -> None:
    glue_backends[ACCOUNT][REGION].create_database("one", {"Name": "one"})
    state = open_state(tmp_path)
    state.commit("glue")
    before = (tmp_path / "state.sqlite-wal").stat().st_size
    state.commit("glue")
    assert (tmp_path / "state.sqlite-wal").stat().st_size == before


def test_a_service_that_cannot_be_stored_says_so_once_unless_it_is_promised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backends: Any = {"kinesis": kinesis_backends[ACCOUNT][REGION], "glue": glue_backends[ACCOUNT][REGION]}
    for backend in backends.values():
        backend.thread = threading.Thread(target=print)
    state = open_state(tmp_path)
    state.commit("kinesis")
    state.commit("kinesis")
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "kinesis is not durable, a restart forgets it"
    ]
    with pytest.raises(TypeError, match="cannot pickle"):
        state.commit("glue")


def test_state_of_another_version_is_named(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite", snapshots.SCHEMA)
    with database.transaction() as connection:
        connection.execute("INSERT INTO snapshots VALUES ('glue', '4.0', ?)", (b"\x80\x05cno\nsuch\n.",))
    with pytest.raises(UnreadableState, match=r"state of glue, written with moto 4\.0, cannot be read"):
        Snapshots(database).restore()


def test_a_transaction_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "test.sqlite", "CREATE TABLE t (x INTEGER)")

    def fail_half_way() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            with database.transaction() as inner:
                inner.execute("INSERT INTO t VALUES (2)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (3)")
    rows = sqlite3.connect(tmp_path / "test.sqlite").execute("SELECT x FROM t").fetchall()
    assert rows == [(3,)]
