"""Traffic with inference ids, and their labels: late, twice, for nobody."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from clients import labels, traffic

ENCODER = {"numeric": ["day_mins"], "categorical": {"intl_plan": ["no", "yes"]}}
RAW = "Day Mins,Int'l Plan,Churn?\n" + "".join(
    f"{number},{'yes' if number % 4 == 0 else 'no'},{'True.' if number % 3 == 0 else 'False.'}\n"
    for number in range(100)
)
NOW = datetime(2026, 11, 21, 9, 59, 30, tzinfo=UTC)


class Runtime:
    """An endpoint that answers with the first feature, divided by 1000."""

    def __init__(self):
        self.asked = []
        self.lock = threading.Lock()

    def invoke_endpoint(self, **request):
        with self.lock:
            self.asked.append(request)
        return {"Body": io.BytesIO(str(float(request["Body"].split(",")[0]) / 1000).encode())}


class S3:
    def __init__(self):
        self.objects = {}

    def put_object(self, Bucket, Key, Body):
        self.objects[f"s3://{Bucket}/{Key}"] = Body.decode().splitlines()


@pytest.fixture
def aws(monkeypatch):
    clients = {"sagemaker-runtime": Runtime(), "s3": S3()}
    boto3 = SimpleNamespace(client=lambda name, **_: clients[name])
    monkeypatch.setattr(traffic, "boto3", boto3)
    monkeypatch.setattr(labels, "boto3", boto3)
    return clients


@pytest.fixture
def ledger(tmp_path, aws):
    """Customers 10 to 69 of the file, asked about in two calls."""
    (tmp_path / "customers.csv").write_text(RAW)
    (tmp_path / "encoder.json").write_text(json.dumps(ENCODER))
    path = tmp_path / "asked.jsonl"
    for first in ("10", "40"):
        files = ["--customers", str(tmp_path / "customers.csv"), "--encoder", str(tmp_path / "encoder.json")]
        rows = ["--first", first, "--rows", "30", "--ledger", str(path)]
        assert traffic.main(["--endpoint", "churn", *files, *rows]) == 0
    return path


def test_every_request_has_an_id_of_its_own_and_its_line_in_the_ledger(ledger, aws):
    asked = {request["InferenceId"]: request for request in aws["sagemaker-runtime"].asked}
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert len(asked) == len(entries) == 60
    for number, entry in enumerate(entries, start=10):
        request = asked[entry["inference_id"]]
        assert request["Body"] == f"{number},{'0,1' if number % 4 == 0 else '1,0'}"
        assert entry["probability"] == number / 1000
        assert entry["label"] == (number % 3 == 0)


def test_labels_arrive_once_each_in_the_hour_of_their_delivery(ledger):
    s3 = S3()
    entries = labels.read_ledger(ledger)
    uri = labels.deliver(s3, "s3://b/truth/churn/", labels.records(entries), NOW)
    assert uri is not None
    assert uri.startswith("s3://b/truth/churn/2026/11/21/09/5930-")
    found = [json.loads(line) for line in s3.objects[uri]]
    assert {r["eventMetadata"]["eventId"]: r["groundTruthData"]["data"] for r in found} == {
        entry["inference_id"]: str(entry["label"]) for entry in entries
    }
    assert len(found) == 60
    assert [r["eventMetadata"]["eventId"] for r in found] != [entry["inference_id"] for entry in entries]


def test_imperfections_are_of_the_size_asked_for(ledger):
    entries = labels.read_ledger(ledger)
    wrong = labels.Imperfections(repeated=0.5, withheld=0.2, unknown=4)
    ids = [record["eventMetadata"]["eventId"] for record in labels.records(entries, wrong)]
    known = {entry["inference_id"] for entry in entries}
    assert len([one for one in ids if one not in known]) == 4
    assert 38 <= len(set(ids) & known) <= 56
    assert 10 <= len(ids) - len(set(ids)) <= 35
    assert ids == [record["eventMetadata"]["eventId"] for record in labels.records(entries, wrong)]


def test_a_label_waits_for_its_delay(ledger, aws, monkeypatch):
    entries = labels.read_ledger(ledger)
    clock = SimpleNamespace(now=datetime.fromisoformat(entries[0]["sent"]), slept=[])

    def sleep(seconds):
        clock.slept.append(seconds)
        clock.now = datetime.fromtimestamp(clock.now.timestamp() + seconds + 1, UTC)

    monkeypatch.setattr(labels, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(
        labels, "datetime", SimpleNamespace(now=lambda _: clock.now, fromisoformat=datetime.fromisoformat)
    )
    arguments = ["--ledger", str(ledger), "--destination", "s3://b/truth", "--delay", "3600"]
    assert labels.main(arguments) == 0
    assert clock.slept[0] == 3600
    assert sum(map(len, aws["s3"].objects.values())) == 60
    hour = f"{datetime.fromtimestamp(clock.now.timestamp(), UTC):%Y/%m/%d/%H}"
    assert any(hour in uri for uri in aws["s3"].objects)


def test_a_ledger_that_is_none_is_named_by_its_line(tmp_path, capsys):
    path = tmp_path / "asked.jsonl"
    path.write_text('{"inference_id": "a", "sent": "2026-11-21T09:00:00Z", "label": 1}\n{"label": 1}\n')
    assert labels.main(["--ledger", str(path), "--destination", "s3://b/truth"]) == 1
    assert f"labels: {path} line 2 is no entry of a ledger" in capsys.readouterr().err


def test_a_file_that_is_used_up_is_said(tmp_path, aws, capsys):
    (tmp_path / "customers.csv").write_text(RAW)
    (tmp_path / "encoder.json").write_text(json.dumps(ENCODER))
    arguments = ["--endpoint", "churn", "--customers", str(tmp_path / "customers.csv"), "--first", "100"]
    assert traffic.main([*arguments, "--encoder", str(tmp_path / "encoder.json")]) == 1
    assert "has no customer beyond the first 100" in capsys.readouterr().err
    assert aws["sagemaker-runtime"].asked == []
