"""Batch transform's driver against small model servers, and its filters."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from local_aws.images.batch import driver
from local_aws.images.batch.filters import FilterError, parse

# A model server: answers the sum of each CSV row. `die` ends it; a row `bad` is 415; `flaky` fails once.
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
seen = open('requests', 'a')
failed = []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == '/ping' else 404, b'')
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length'])).decode()
        print(repr((self.headers['Content-Type'], self.headers['Accept'], body)), file=seen, flush=True)
        if 'bad' in body:
            return self.answer(415, b'cannot read bad')
        if 'flaky' in body and not failed:
            failed.append(1)
            return self.answer(503, b'try again')
        rows = [r.split(',') for r in body.replace('flaky', '0').split('\\n')]
        self.answer(200, '\\n'.join(str(sum(map(float, r))) for r in rows).encode())
    def answer(self, status, body):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
assert os.environ['SAGEMAKER_BATCH'] == 'true'
if 'die' in sys.argv:
    sys.exit(7)
HTTPServer(('127.0.0.1', int(os.environ['SAGEMAKER_BIND_TO_PORT'])), Handler).serve_forever()
"""


@pytest.fixture
def transform(tmp_path):
    """transform({"a.csv": text}, **plan) -> (exit status, {name: text} of the outputs)."""

    def run(objects: dict[str, str], *arguments: str, **changes):
        for name, text in objects.items():
            path = tmp_path / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "output").mkdir()
        plan = {
            "server": {
                "argv": [sys.executable, "-c", SERVER, *arguments],
                "env": {"SAGEMAKER_BATCH": "true"},
            },
            "content_type": "text/csv",
            "accept": "text/csv",
            "split": "Line",
            "assemble": "Line",
            "strategy": None,
            "max_payload_mb": None,
            "concurrent": None,
            "timeout_seconds": 10,
            "retries": 1,
            "data_processing": {},
            **changes,
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        status = driver.main(tmp_path)
        found = sorted(path for path in (tmp_path / "output").rglob("*") if path.is_file())
        return status, {str(path.relative_to(tmp_path / "output")): path.read_text() for path in found}

    return run


def requests(tmp_path: Path) -> list[tuple[str, str, str]]:
    return [ast.literal_eval(line) for line in (tmp_path / "requests").read_text().splitlines()]


def test_records_of_one_object_share_requests_up_to_the_payload(transform, tmp_path):
    rows = "".join(f"{number},1\n" for number in range(300_000))
    status, found = transform({"a.csv": rows, "deep/b.csv": "5,5\n\n7,7"}, max_payload_mb=1)
    assert status == 0
    assert found["deep/b.csv.out"] == "10.0\n14.0\n"
    assert [float(line) for line in found["a.csv.out"].split()] == [number + 1 for number in range(300_000)]
    bodies = [body for _, _, body in requests(tmp_path)]
    assert len(bodies) == 4  # 2.6 MB in three, and the small object by itself
    assert max(map(len, bodies)) <= 1024 * 1024


def test_single_records_keep_their_order_when_sent_side_by_side(transform, tmp_path):
    rows = "".join(f"{number}\n" for number in range(50))
    status, found = transform({"a.csv": rows}, strategy="SingleRecord", concurrent=4)
    assert status == 0
    assert [float(line) for line in found["a.csv.out"].split()] == list(range(50))
    assert len(requests(tmp_path)) == 50


def test_an_object_that_fails_has_no_output_and_the_others_do(transform, tmp_path):
    status, found = transform({"a.csv": "1\nbad\n", "b.csv": "2\n"})
    assert status == 1
    assert found == {"b.csv.out": "2.0\n"}
    assert (tmp_path / "failure").read_text() == "a.csv: the model answered 415: cannot read bad"
    assert len([body for _, _, body in requests(tmp_path) if "bad" in body]) == 1, "a 4xx is not tried again"


def test_a_server_error_is_tried_again(transform, tmp_path):
    status, found = transform({"a.csv": "flaky\n"})
    assert (status, found) == (0, {"a.csv.out": "0.0\n"})
    assert len(requests(tmp_path)) == 2


def test_a_server_that_does_not_start_fails_the_job(transform, tmp_path):
    status, found = transform({"a.csv": "1\n"}, "die")
    assert (status, found) == (1, {})
    assert (
        tmp_path / "failure"
    ).read_text() == "The model server ended with status 7 before it answered /ping."


def test_without_split_the_object_goes_as_it_is(transform, tmp_path):
    status, found = transform({"a.csv": "1\n2"}, split="None", assemble="None")
    assert (status, found) == (0, {"a.csv.out": "1.0\n2.0"})
    [(content_type, accept, body)] = requests(tmp_path)
    assert (content_type, accept, body) == ("text/csv", "text/csv", "1\n2")


def test_a_record_larger_than_the_payload_is_named(transform, tmp_path):
    status, _ = transform({"a.csv": "1" * 1_200_000}, max_payload_mb=1)
    assert status == 1
    assert "a record of 1200000 bytes is larger than MaxPayloadInMB" in (tmp_path / "failure").read_text()


def test_filters_and_join_on_csv(transform, tmp_path):
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    status, found = transform({"a.csv": "id1,1,2\nid2,3,4\n"}, data_processing=processing)
    assert (status, found) == (0, {"a.csv.out": "id1,3.0\nid2,7.0\n"})
    assert requests(tmp_path)[0][2] == "1,2\n3,4"


def test_a_filter_that_does_not_fit_names_itself_and_the_record(transform, tmp_path):
    status, _ = transform({"a.csv": "1,2\n"}, data_processing={"InputFilter": "$[9]"})
    assert status == 1
    assert "The filter '$[9]' does not fit the record" in (tmp_path / "failure").read_text()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", {"a": [1, 2, 3, 4, 5, 6, 7], "b": {"c d": "x"}}),
        ("$.a", [1, 2, 3, 4, 5, 6, 7]),
        ("$['b']['c d']", "x"),
        ("$.a[-1]", 7),
        ("$.a[0,5:]", [1, 6, 7]),
        ("$.a[1:3]", [2, 3]),
        ("$.a[::3]", [1, 4, 7]),
        ("$.b.*", ["x"]),
        ("$['a','b']", [[1, 2, 3, 4, 5, 6, 7], {"c d": "x"}]),
        ("$.a[*]", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_subset_of_jsonpath(path, expected):
    assert parse(path)({"a": [1, 2, 3, 4, 5, 6, 7], "b": {"c d": "x"}}) == expected


@pytest.mark.parametrize("path", ["a", "$..a", "$[?(@.x)]", "$[]", "$.a[1", "$[1 2]"])
def test_what_is_outside_the_subset_is_refused(path):
    with pytest.raises(FilterError, match="The filter"):
        parse(path)
