"""Capture records byte for byte, where they are written, and what survives."""

import base64
import json
import resource
import threading
from datetime import UTC, datetime, timedelta

import pytest

from local_aws.images.xgboost.payload import Answer
from local_aws.serving import desired
from local_aws.serving.capture import Capture, Event, _Open, json_line
from local_aws.serving.hosts import Request

NOW = datetime(2022, 4, 18, 0, 20, 48, 871_000, tzinfo=UTC)
SETTINGS = desired.Capture(
    100, "s3://bucket/capture", ("Input", "Output"), ("text/csv",), ("application/json",)
)
TIME = "2022-04-18T00:20:48Z"
EVENT = Event("churn", "7f2f0c2e-5f0c-4b6f-9f3c-0e9a2f6f8d11", None, 0.0)
REQUEST = Request(b"1,2\n3,4\n", "text/csv", "")
ANSWER = Answer(200, "text/csv; charset=utf-8", b"0.036\n")
EXCHANGE = (EVENT, "AllTraffic", REQUEST, ANSWER)


class Store:
    def __init__(self):
        self.objects, self.away = {}, False

    def put_object(self, *, Bucket, Key, Body, ContentType):
        if self.away:
            raise ConnectionError("S3 is away")
        self.objects[f"{Bucket}/{Key}"] = Body.read()


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now.timestamp()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def capture(tmp_path, store, clock):
    return Capture(tmp_path / "spool", store, clock=clock, draw=lambda: 0.5)


def test_the_record_is_aws_own_byte_for_byte():
    assert json_line(SETTINGS, EXCHANGE, TIME) == (
        b'{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT",'
        b'"data":"1,2\\n3,4\\n","encoding":"CSV"},"endpointOutput":{"observedContentType":'
        b'"text/csv; charset=utf-8","mode":"OUTPUT","data":"0.036\\n","encoding":"CSV"}},'
        b'"eventMetadata":{"eventId":"7f2f0c2e-5f0c-4b6f-9f3c-0e9a2f6f8d11",'
        b'"inferenceTime":"2022-04-18T00:20:48Z"},"eventVersion":"0"}\n'
    )


def test_inference_id_and_custom_attributes_have_their_places():
    event, request = EVENT._replace(inference_id='say "hi"'), REQUEST._replace(custom_attributes="a=b")
    record = json.loads(json_line(SETTINGS, (event, "AllTraffic", request, ANSWER), TIME))
    assert list(record["eventMetadata"]) == ["eventId", "inferenceId", "customAttributes", "inferenceTime"]
    assert record["eventMetadata"]["inferenceId"] == 'say "hi"'
    assert record["eventMetadata"]["customAttributes"] == ["a=b"]


@pytest.mark.parametrize(
    ("content_type", "body", "encoding", "data"),
    [
        ("text/csv; charset=utf-8", b"1,\xc3\xa9", "CSV", "1,é"),
        ("APPLICATION/JSON", b'{"a": "b"}', "JSON", '{"a": "b"}'),
        ("application/jsonlines", b"{}", "BASE64", base64.b64encode(b"{}").decode()),
        ("text/csv", b"\xff\x00", "BASE64", base64.b64encode(b"\xff\x00").decode()),
        ("", b"1,2", "BASE64", base64.b64encode(b"1,2").decode()),
    ],
)
def test_encoding_follows_the_content_type_lists(content_type, body, encoding, data):
    request = REQUEST._replace(body=body, content_type=content_type)
    line = json_line(SETTINGS, (EVENT, "AllTraffic", request, ANSWER), TIME)
    side = json.loads(line)["captureData"]["endpointInput"]
    assert (side["encoding"], side["data"]) == (encoding, data)
    assert side["observedContentType"] == content_type


def test_modes():
    only_input = desired.Capture(100, "s3://b/c", ("Input",), ("text/csv",), ())
    assert list(json.loads(json_line(only_input, EXCHANGE, TIME))["captureData"]) == ["endpointInput"]


def test_one_file_a_minute_named_for_its_start(capture, store, clock):
    capture.record(SETTINGS, EXCHANGE)
    capture.commit()
    clock.now = NOW + timedelta(seconds=59)
    capture.record(SETTINGS, EXCHANGE)
    assert capture.flush(due_only=True) == 0
    clock.now = NOW + timedelta(seconds=60)
    assert capture.flush(due_only=True) == 1
    capture.record(SETTINGS, EXCHANGE)
    assert capture.flush() == 1
    first, second = sorted(store.objects)
    folder = "bucket/capture/churn/AllTraffic/2022/04/18/00/"
    assert first.startswith(folder + "20-48-871-")
    assert first.endswith(".jsonl")
    assert second.startswith(folder + "21-48-871-")
    assert [store.objects[key].count(b"\n") for key in (first, second)] == [2, 1]
    assert capture.pending() == 0
    assert list(capture.spool.iterdir()) == []


def test_a_new_hour_is_a_new_folder_even_within_a_minute(capture, store, clock):
    clock.now = datetime(2022, 4, 18, 0, 59, 50, tzinfo=UTC)
    capture.record(SETTINGS, EXCHANGE)
    capture.commit()
    clock.now += timedelta(seconds=20)
    capture.record(SETTINGS, EXCHANGE)
    capture.flush()
    assert [key.split("/")[-2] for key in sorted(store.objects)] == ["00", "01"]


def test_a_slash_at_the_end_of_the_destination_gives_no_empty_folder():
    value = {"percentage": 1, "destination": "s3://b/c/", "modes": []}
    settings = desired._capture(value)
    assert settings is not None
    assert settings.destination == "s3://b/c"


def test_sampling_keeps_input_and_output_together(tmp_path, store):
    draws = iter([0.19, 0.2, 0.99, 0.0])
    capture = Capture(tmp_path, store, draw=lambda: next(draws))
    settings = desired.Capture(20, "s3://b/c", ("Input", "Output"), ("text/csv",), ())
    assert [capture.record(settings, EXCHANGE) for _ in range(4)] == [True, False, False, True]
    capture.flush()
    (body,) = store.objects.values()
    assert [set(json.loads(line)["captureData"]) for line in body.splitlines()] == [
        {"endpointInput", "endpointOutput"}
    ] * 2


def test_nothing_is_kept_without_settings_and_of_a_request_that_failed(capture):
    assert not capture.record(None, EXCHANGE)
    assert not capture.record(SETTINGS, (*EXCHANGE[:3], Answer(400, "text/plain", b"no")))
    assert capture.flush() == 0


def test_flush_of_one_endpoint_leaves_the_others_open(capture, store):
    capture.record(SETTINGS, EXCHANGE)
    capture.record(SETTINGS, (EVENT._replace(endpoint="other"), *EXCHANGE[1:]))
    assert capture.flush(endpoint="churn") == 1
    assert capture.pending() == 1


def test_what_s3_refuses_is_kept_and_written_later(capture, store, caplog):
    capture.record(SETTINGS, EXCHANGE)
    store.away = True
    assert capture.flush() == 0
    assert "cannot be written yet: S3 is away" in caplog.text
    assert capture.pending() == 1
    store.away = False
    assert capture.flush() == 1


def test_a_file_that_s3_refused_is_not_read_again_every_second(capture, store, clock, caplog):
    capture.record(SETTINGS, EXCHANGE)
    store.away = True
    assert capture.flush() == 0
    store.away = False
    for seconds, objects in ((1, 0), (9, 0), (10, 1)):
        clock.now = NOW + timedelta(seconds=seconds)
        assert capture.flush(due_only=True) == objects
    assert caplog.text.count("cannot be written yet") == 1


def test_what_the_disk_does_not_take_is_said_and_leaves_whole_records(capture, store, caplog):
    capture.record(SETTINGS, EXCHANGE)
    capture.commit()
    (part,) = capture.spool.rglob("*.part")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (part.stat().st_size + 100, hard))
    try:
        for _ in range(2):
            assert capture.record(SETTINGS, EXCHANGE)
        capture.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capture.lost == 2
    assert "2 captured requests are lost, 2 since the start: [Errno" in caplog.text
    capture.record(SETTINGS, EXCHANGE)
    capture.flush()
    (body,) = store.objects.values()
    assert body == json_line(SETTINGS, EXCHANGE, TIME) * 2


def test_a_commit_waits_for_what_another_thread_is_writing(capture, monkeypatch):
    begun, free, done = threading.Event(), threading.Event(), threading.Event()
    write = _Open.write

    def slow(self, lines):
        begun.set()
        assert free.wait(20)
        write(self, lines)

    monkeypatch.setattr(_Open, "write", slow)
    capture.record(SETTINGS, EXCHANGE)
    uploader = threading.Thread(target=capture.flush)
    uploader.start()
    assert begun.wait(20)

    def answer():
        capture.commit()
        done.set()

    answering = threading.Thread(target=answer)
    answering.start()
    assert not done.wait(0.2)
    free.set()
    assert done.wait(20)
    uploader.join()


def test_a_killed_process_leaves_whole_records_to_the_next_one(capture, store, clock, tmp_path):
    capture.record(SETTINGS, EXCHANGE)
    capture.commit()
    (part,) = capture.spool.rglob("*.part")
    with part.open("ab") as file:
        file.write(b'{"captureData":{"endpo')  # the kill came in the middle of a write
    later = Capture(capture.spool, store, clock=clock)
    assert later.flush() == 1
    (body,) = store.objects.values()
    assert body == json_line(SETTINGS, EXCHANGE, TIME)
