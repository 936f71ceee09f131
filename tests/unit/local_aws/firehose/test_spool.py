"""The spool: what is on disk at every moment of a delivery, and the allowance of a throttled stream."""

from __future__ import annotations

from pathlib import Path

from local_aws.services.firehose.spool import Buffer, Delivery, Spool
from local_aws.services.firehose.throttle import Allowance


def delivery(stream: str, opened: float) -> Delivery:
    return Delivery(0, stream, "bucket", f"{stream}/{opened}", gzip=False, opened=opened)


def test_open_buffers_are_found_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    spool.append("a", [b"12", b"345"], now=10.0)
    spool.append("b", [b"1"], now=11.0)
    spool.append("a", [b"6"], now=12.0)
    again = Spool(tmp_path / "spool.sqlite")
    assert again.buffers == {"a": Buffer(10.0, 6), "b": Buffer(11.0, 1)}


def test_a_closed_buffer_keeps_its_key_and_records_until_it_is_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    spool.append("a", [b"1", b"2"], now=10.0)
    spool.append("b", [b"other"], now=10.0)
    spool.close_buffer(delivery("a", 10.0))
    spool.append("a", [b"3"], now=20.0)

    again = Spool(tmp_path / "spool.sqlite")  # as after a kill between the upload and `done`
    (pending,) = again.pending()
    assert (pending.stream, pending.key, pending.opened) == ("a", "a/10.0", 10.0)
    assert list(again.records(pending)) == [b"1", b"2"]
    assert again.buffers == {"a": Buffer(20.0, 1), "b": Buffer(10.0, 5)}
    again.done(pending)
    assert again.pending() == []
    again.close_buffer(delivery("a", 20.0))
    assert list(again.records(again.pending()[0])) == [b"3"]


def test_an_allowance_refills_with_time() -> None:
    allowance = Allowance()
    assert allowance.take(8, 10, now=100.0) == 8
    assert allowance.take(8, 10, now=100.0) == 2
    assert allowance.take(1, 10, now=100.05) == 0
    assert allowance.take(8, 10, now=100.5) == 5
    assert allowance.take(50, 10, now=1000.0) == 10  # never more than a second's worth
    assert allowance.take(1, 10, now=999.0) == 0  # a clock that steps back gives nothing
