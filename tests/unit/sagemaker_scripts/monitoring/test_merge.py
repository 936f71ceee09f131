"""The ground-truth merge.

Late, twice, out of order, unknown. Nothing multiplies and nothing vanishes uncounted.
"""

import json

import pytest

from sagemaker_scripts.monitoring import jobs
from sagemaker_scripts.monitoring.merge import merge
from sagemaker_scripts.monitoring.sources import AnalysisError

PLACE = "churn/AllTraffic/2026/11/20/10"


@pytest.fixture
def folders(tmp_path):
    captures, labels = tmp_path / "captures", tmp_path / "labels"

    def write(capture_lines, label_lines, place=PLACE, label_hour="2026/11/20/11", name="0000.jsonl"):
        (captures / place).mkdir(parents=True, exist_ok=True)
        (captures / place / "a.jsonl").write_text("".join(capture_lines))
        (labels / label_hour).mkdir(parents=True, exist_ok=True)
        (labels / label_hour / name).write_text("".join(label_lines))
        return captures, labels, tmp_path / "merged"

    return write


def records(folder):
    return [
        json.loads(line) for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text().splitlines()
    ]


def test_record_form_and_place(folders, capture, label):
    captures, labels, out = folders([capture("1,2", "0.7", event="e1", inference="i1")], [label("i1", "1")])
    counts = merge(captures, labels, out)
    (file,) = out.rglob("*.jsonl")
    assert file.parent.relative_to(out).as_posix() == PLACE
    assert file.name.startswith("part-00000-")
    assert file.name.endswith(".c000.jsonl")
    (record,) = records(out)
    assert list(record) == ["eventVersion", "groundTruthData", "captureData", "eventMetadata"]
    assert record["groundTruthData"] == {"data": "1", "encoding": "CSV"}
    assert record["captureData"]["endpointOutput"]["data"] == "0.7"
    assert record["eventMetadata"]["eventId"] == "e1"
    assert record["eventMetadata"]["inferenceId"] == "i1"
    assert (counts.matched, counts.waiting) == (1, 0)


def test_inference_id_wins_over_event_id(folders, capture, label):
    captures, labels, out = folders(
        [capture("1", "0.1", event="a", inference="b"), capture("2", "0.2", event="c")],
        [label("a", "0"), label("b", "1"), label("c", "1")],
    )
    counts = merge(captures, labels, out)
    assert [(r["eventMetadata"]["eventId"], r["groundTruthData"]["data"]) for r in records(out)] == [
        ("a", "1"), ("c", "1"),
    ]  # fmt: skip
    assert counts.labels_without_capture == 1


def test_labels_late_twice_out_of_order_and_unknown(folders, capture, label):
    lines = [capture(str(i), "0.5", event=f"e{i}") for i in range(5)]
    captures, labels, out = folders(
        lines, [label("e3", "1"), label("e0", "0"), label("e0", "0"), label("zz", "1")]
    )
    folders(lines, [label("e1", "0"), label("e3", "0")], label_hour="2026/11/21/09")
    counts = merge(captures, labels, out)
    assert {r["eventMetadata"]["eventId"]: r["groundTruthData"]["data"] for r in records(out)} == {
        "e0": "0", "e1": "0", "e3": "0",
    }  # fmt: skip
    assert counts.to_json() == {
        "captures": 5, "labels": 6, "matched": 3, "waiting": 2, "repeated_labels": 1, "corrected_labels": 1,
        "repeated_captures": 0, "labels_without_capture": 1,
        "refused": {"total": 0, "reasons": {}, "examples": []},
    }  # fmt: skip


def test_every_capture_is_accounted_for_once(folders, capture, label):
    lines = [capture("1", "0.1", event="e1", inference="x")] * 3  # delivered three times
    lines += [capture("2", "0.1", event="e2", inference="y"), capture("3", "0.9", event="e3", inference="y")]
    lines += [capture("4", "0.1", event="e4"), "{\n", '{"captureData":{}}\n']
    captures, labels, out = folders(lines, [label("x", "1"), label("y", "1")])
    counts = merge(captures, labels, out)
    assert len(records(out)) == counts.matched == 1
    assert counts.repeated_captures == 2
    assert counts.waiting == 1
    assert counts.refused.counts == {
        "one id on different requests": 2, "truncated JSON": 1, "not a capture record": 1,
    }  # fmt: skip
    assert counts.captures == counts.matched + counts.waiting + counts.repeated_captures + 2
    assert {e["where"] for e in counts.refused.examples if e["reason"] == "truncated JSON"} == {
        f"{captures}/{PLACE}/a.jsonl line 7"
    }


def test_merging_an_hour_again_replaces_it(folders, capture, label):
    lines = [capture(str(i), "0.5", event=f"e{i}") for i in range(3)]
    captures, labels, out = folders(lines, [label("e0", "1")])
    merge(captures, labels, out)
    folders(lines, [label("e1", "1")], name="1000.jsonl")
    merge(captures, labels, out)
    assert [r["eventMetadata"]["eventId"] for r in records(out)] == ["e0", "e1"]
    assert len(list(out.rglob("*.jsonl"))) == 1


def test_bad_labels_are_refused_with_their_line(folders, capture, label):
    bad = [
        '{"groundTruthData":{"data":"1"}}\n',
        label("e0", " "),
        '["e0"]\n',
        label("e0", "1")[:40] + "\n",
        label("e0", "1"),
    ]
    captures, labels, out = folders([capture("1", "0.5", event="e0")], bad)
    counts = merge(captures, labels, out)
    assert counts.matched == 1
    assert dict(counts.refused.counts) == {
        "not a ground-truth record": 1, "empty label": 1, "not a record": 1, "truncated JSON": 1,
    }  # fmt: skip
    assert counts.refused.examples[0]["where"] == f"{labels}/2026/11/20/11/0000.jsonl line 1"


def test_no_labels_and_no_pair_fail(folders, capture, label, tmp_path):
    captures, labels, out = folders([capture("1", "0.5", event="e0")], [])
    with pytest.raises(AnalysisError, match="no ground truth to merge"):
        merge(captures, labels, out)
    with pytest.raises(AnalysisError, match=r"no ground truth \.jsonl file"):
        merge(captures, tmp_path / "none", out)
    captures, labels, out = folders([capture("1", "0.5", event="e0")], [label("other", "1")])
    with pytest.raises(AnalysisError, match="1 wait for one, 1 labels belong to no request"):
        merge(captures, labels, out)
    assert not out.exists()


def test_a_window_within_an_hour_joins_its_own_captures(folders, capture, label):
    lines = [capture("1", "0.5", event=f"e{i}", time=f"2026-11-20T10:{i}0:00Z") for i in range(4)]
    truths = [*(label(f"e{i}", "1") for i in range(4)), label("of-nobody", "1")]
    captures, labels, out = folders(lines, truths)
    counts = merge(captures, labels, out, window=("2026-11-20T10:10:00Z", "2026-11-20T10:30:00Z"))
    assert [record["eventMetadata"]["eventId"] for record in records(out)] == ["e1", "e2"]
    # The labels of requests beside the window are no orphans: their own window has them.
    assert (counts.captures, counts.matched, counts.labels_without_capture) == (2, 2, 1)
    counts = merge(captures, labels, out, window=("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"))
    assert counts.matched == 4


def test_container_contract(job, capture, label):
    hour = job.input(f"/opt/ml/processing/input_data/{PLACE}", f"s3://bucket/capture/{PLACE}")
    (hour / "a.jsonl").write_text(capture("1,2", "0.7", event="e1") + capture("1,3", "0.7", event="e2"))
    truth = job.input("/opt/ml/processing/groundtruth/2026/11/20/10", "s3://bucket/labels/2026/11/20/10")
    (truth / "0000.jsonl").write_text(label("e1", "1") + "{oops\n")
    env = job.env | {
        "dataset_source": "/opt/ml/processing/input_data",
        "ground_truth_source": "/opt/ml/processing/groundtruth",
    }
    assert jobs.main(["merger"], env) == 0
    assert job.message == (
        "Completed: 1 records matched, 1 wait for a label, 0 labels without a request, 0 repeated. "
        "1 record refused (truncated JSON: 1); first: s3://bucket/labels/2026/11/20/10/0000.jsonl line 2, "
        "truncated JSON 'Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'."
    )
    assert job.output("merge_report.json")["waiting"] == 1
