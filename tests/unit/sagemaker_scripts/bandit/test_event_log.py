from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from policy import event_log
from policy.event_log import EventLog, RecordTooLarge, firehose_sender

from .conftest import SOURCE

SECONDS = 60.0


class Stream:
    """Takes records as Firehose does, and refuses some as Firehose does."""

    def __init__(self, refuse: Callable[[int, bytes], bool] = lambda _call, _record: False) -> None:
        self.records: list[dict[str, Any]] = []
        self.calls = 0
        self.largest = 0
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Condition()
        self._refuse = refuse

    def __call__(self, records: Sequence[bytes]) -> Sequence[bytes]:
        if not self.open.wait(SECONDS):
            raise TimeoutError
        self.calls += 1
        self.largest = max(self.largest, len(records))
        refused = [record for record in records if self._refuse(self.calls, record)]
        with self.arrived:
            self.records += [json.loads(record) for record in records if record not in refused]
            self.arrived.notify_all()
        return refused

    def wait_for(self, count: int) -> list[int]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.records) >= count, SECONDS), len(self.records)
            return [record["n"] for record in self.records]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "JOINED_BYTES", 0)  # a line a record, unless a test says otherwise
    monkeypatch.setattr(event_log, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(event_log, "LONGEST_PAUSE", 0.01)


def opened(folder: Path, stream: Stream) -> EventLog:
    return EventLog(folder, stream, pause=0.0)


def test_what_is_appended_arrives_in_order_and_nothing_stays(tmp_path: Path) -> None:
    stream = Stream()
    events = opened(tmp_path, stream)
    for n in range(1200):
        events.append({"n": n})
    assert events.close() == 0
    assert [record["n"] for record in stream.records] == list(range(1200))
    assert stream.largest <= 500
    assert (events.sent, events.retried) == (1200, 0)
    assert list(tmp_path.iterdir()) == []


def test_lines_are_joined_to_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "JOINED_BYTES", 24)
    lines = b"12345678901\n" * 5 + b"x" * 30 + b"\n" + b"1\n"
    assert event_log.joined(lines + b"no end yet") == [
        b"12345678901\n" * 2,
        b"12345678901\n" * 2,
        b"12345678901\n",
        b"x" * 30 + b"\n",
        b"1\n",
    ]
    received: list[bytes] = []
    refusals = iter([True, True])

    def send(records: Sequence[bytes]) -> Sequence[bytes]:
        refused = [records[0]] if next(refusals, False) else []
        received.extend(record for record in records if record not in refused)
        return refused

    events = EventLog(tmp_path, send, pause=0.0)
    for n in range(50):
        events.append({"n": n})
    assert events.close() == 0
    assert sorted(json.loads(line)["n"] for line in b"".join(received).splitlines()) == list(range(50))
    assert events.sent == 50
    assert events.retried >= 2


def test_what_comes_while_a_call_is_made_is_gathered_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "JOINED_BYTES", 1 << 16)
    events: list[EventLog] = []
    calls: list[bytes] = []
    begun, ended = threading.Event(), threading.Event()

    def send(records: Sequence[bytes]) -> Sequence[bytes]:
        assert begun.wait(SECONDS)
        calls.append(b"".join(records))
        if len(calls) == 1:
            for n in range(1, 50):
                events[0].append({"n": n})
        else:
            ended.set()
        return []

    events.append(EventLog(tmp_path, send, pause=0.0))
    events[0].append({"n": 0})
    begun.set()
    assert ended.wait(SECONDS)
    assert events[0].close() == 0
    assert [call.count(b"\n") for call in calls] == [1, 49]


def test_a_throttled_stream_gets_each_record_once(tmp_path: Path) -> None:
    # Every second record is refused in the first twenty calls.
    stream = Stream(lambda call, record: call <= 20 and json.loads(record)["n"] % 2 == call % 2)
    events = opened(tmp_path, stream)
    for n in range(300):
        events.append({"n": n})
    assert events.close() == 0
    assert sorted(record["n"] for record in stream.records) == list(range(300))
    assert events.retried > 0


def test_a_stream_that_fails_altogether_is_asked_again(tmp_path: Path) -> None:
    failures = iter([ConnectionError("no network")] * 5)

    def refuse(_call: int, _record: bytes) -> bool:
        for failure in failures:
            raise failure
        return False

    stream = Stream(refuse)
    events = opened(tmp_path, stream)
    events.append({"n": 1})
    assert stream.wait_for(1) == [1]
    assert events.close() == 0
    assert stream.calls == 6


def test_what_cannot_be_sent_before_the_end_stays_on_disk_for_the_next(tmp_path: Path) -> None:
    deaf = Stream(lambda _call, _record: True)
    events = opened(tmp_path, deaf)
    for n in range(10):
        events.append({"n": n})
    assert events.close(seconds=0.05) == 10
    stream = Stream()
    successor = opened(tmp_path, stream)
    successor.append({"n": 10})
    assert sorted(stream.wait_for(11)) == list(range(11))
    assert successor.close() == 0


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from policy.event_log import EventLog
def refuse(records): raise ConnectionError("throttled")
events = EventLog(Path({str(tmp_path)!r}), refuse, pause=0.0)
for n in range(500):
    events.append({{"n": n}})
print("answered", flush=True)
sys.stdin.read()
"""
    worker = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"answered\n"
    # While it lives its file is its own.
    stream = Stream()
    other = opened(tmp_path, stream)
    other.append({"n": 500})
    assert stream.wait_for(1) == [500]
    assert other.waiting >= 500
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    # Killed in the middle of a line, whose answer was never given.
    [file] = [path for path in tmp_path.glob("*.jsonl") if path.stat().st_size > 100]
    with file.open("ab") as half:
        half.write(b'{"n": 9')
    other.append({"n": 501})
    assert sorted(stream.wait_for(502)) == list(range(502))
    assert other.close() == 0
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_restart_goes_on_behind_what_was_sent(tmp_path: Path) -> None:
    lines = [json.dumps({"n": n}).encode() + b"\n" for n in range(4)]
    (tmp_path / "1-1.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "1-1.sent").write_text(str(len(lines[0]) + len(lines[1])))
    stream = Stream()
    stream.open.clear()
    events = opened(tmp_path, stream)
    assert events.waiting == 2
    stream.open.set()
    assert stream.wait_for(2) == [2, 3]
    assert events.close() == 0


def test_long_files_are_closed_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "SEGMENT_BYTES", 200)
    stream = Stream()
    stream.open.clear()
    events = opened(tmp_path, stream)
    for n in range(100):
        events.append({"n": n})
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    assert events.waiting == 100
    stream.open.set()
    assert sorted(stream.wait_for(100)) == list(range(100))
    assert events.close() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_firehose_never_takes_is_refused_at_once(tmp_path: Path) -> None:
    events = opened(tmp_path, Stream())
    with pytest.raises(RecordTooLarge, match="larger than Firehose takes"):
        events.append({"n": "x" * 1_100_000})
    assert events.close() == 0


def test_the_sender_gives_back_what_firehose_failed_to_put() -> None:
    class Client:
        def put_record_batch(self, **request: Any) -> dict[str, Any]:
            assert request["DeliveryStreamName"] == "actions"
            assert request["Records"] == [{"Data": b"1"}, {"Data": b"2"}, {"Data": b"3"}]
            throttled = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
            return {
                "FailedPutCount": 1,
                "RequestResponses": [{"RecordId": "a"}, throttled, {"RecordId": "b"}],
            }

    assert firehose_sender(Client(), "actions")([b"1", b"2", b"3"]) == [b"2"]
