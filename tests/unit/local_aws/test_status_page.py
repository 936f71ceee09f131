"""The status page of a report: its values, and that what a job calls itself stays text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local_aws import status_page

REPORT: dict[str, Any] = {
    "version": "1.2",
    "now": "2026-01-02T05:00:00+00:00",
    "services": ["glue", "s3"],
    "data_dir": "/data",
    "server": {"pid": 7, "rss": 100e6, "seconds": 12.3, "started": "2026-01-02T03:59:55+00:00"},
    "jobs": [
        {
            "id": "training/<script>alert(1)</script>",
            "pid": 8,
            "cpu": 93.6,
            "rss": 250e6,
            "started": "2026-01-02T04:58:56+00:00",
            "log_group": "/aws/sagemaker/TrainingJobs",
            "log_stream": 'a" onmouseover="x',
        }
    ],
    "ended": [
        {
            "id": "glue/etl/jr_1",
            "reason": "exited",
            "code": 1,
            "last_line": "ValueError: no & such column",
            "ended": "2026-01-02T04:59:30+00:00",
            "log_group": "/aws-glue/jobs/error",
            "log_stream": "jr_1",
        },
        {
            "id": "serving",
            "reason": "exited",
            "code": 0,
            "last_line": "bye",
            "ended": "2026-01-02T04:00:00+00:00",
            "log_group": "g",
            "log_stream": "s",
        },
    ],
    "endpoints": [
        {
            "name": "churn",
            "status": "InService",
            "config": "churn-1",
            "region": "us-east-1",
            "since": "2026-01-02T04:00:00+00:00",
            "log_group": "/aws/sagemaker/Endpoints/churn",
        }
    ],
}


def cells(page: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", page)]


def test_the_values_of_every_table() -> None:
    page = status_page.page(REPORT, "us-east-1")
    job, endpoint, failed, done = cells(page)
    assert job[0] == "training"
    assert job[2:7] == ["1:04", "94 %", "250 MB", "8", "/aws/sagemaker/TrainingJobs"]
    assert endpoint == [
        "churn",
        "InService",
        "churn-1",
        "1:00:00",
        "us-east-1",
        "/aws/sagemaker/Endpoints/churn",
    ]
    assert failed == [
        "glue", "etl/jr_1", "0:30 ago", "exited, code 1", "ValueError: no &amp; such column",
        "/aws-glue/jobs/error", "jr_1",
    ]  # fmt: skip
    assert done == ["service", "serving", "1:00:00 ago", "succeeded", "", "g", "s"]
    assert "us-east-1, up for 1:00:05, state in /data" in page
    assert "process 7, 100 MB, 12 s of processor" in page
    assert "with all that runs 350 MB" in page


def test_names_stay_text_and_nothing_is_loaded() -> None:
    page = status_page.page(REPORT, "us-east-1")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'onmouseover="' not in page
    assert not re.search(r"(src|href)=\"(?!data:,\")", page)
    assert '<meta http-equiv="refresh" content="5">' in page


def test_what_failed_stands_out() -> None:
    page = status_page.page(REPORT, "us-east-1")
    assert '<td class="bad" data-name="how">exited, code 1</td>' in page
    assert '<td class="good" data-name="how">succeeded</td>' in page
    assert '<td class="good" data-name="status">InService</td>' in page
    updating = {**REPORT, "endpoints": [{**REPORT["endpoints"][0], "status": "Updating"}]}
    assert '<td class="" data-name="status">Updating</td>' in status_page.page(updating, "us-east-1")


def test_an_idle_server_says_so() -> None:
    page = status_page.page({**REPORT, "jobs": [], "ended": [], "endpoints": [], "services": []}, "eu-west-1")
    assert cells(page) == []
    assert "<p>Nothing runs.</p>" in page
    assert "<p>none yet</p>" in page


@pytest.mark.parametrize(
    ("since", "text"),
    [("04:59:59", "0:01"), ("04:00:01", "59:59"), ("03:59:58", "1:00:02"), ("05:00:01", "0:00")],
)
def test_ages(since: str, text: str) -> None:
    assert status_page.age(f"2026-01-02T{since}+00:00", REPORT["now"]) == text
