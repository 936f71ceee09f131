"""The report page behind the link of `evaluate`, in a browser that has no key to the bucket."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.ui import report_address

CHARTS = ["ROC curve", "Precision and recall", "Calibration", "Cost by threshold", "Scores of the challenger"]


@pytest.fixture(scope="module")
def report(page, airflow):
    """The opened page; `asked`: every address it loaded; `complaints`: errors in its console."""
    address = report_address(page, airflow)
    opened, asked, complaints = page.context.new_page(), [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    answer = opened.goto(address)
    yield SimpleNamespace(page=opened, address=address, answer=answer, asked=asked, complaints=complaints)
    opened.close()


def test_the_link_opens_the_page_and_is_signed(report):
    assert report.answer.status == 200
    assert report.answer.headers["content-type"].startswith("text/html")
    assert "Signature=" in report.address
    unsigned = report.page.context.request.get(urlsplit(report.address)._replace(query="").geturl())
    assert unsigned.status == 403


def test_the_page_loads_nothing_else_and_its_console_is_silent(report):
    assert [url for url in report.asked if not url.startswith("data:")] == [report.address]
    assert report.complaints == []


def test_every_chart_is_drawn(report):
    for title in CHARTS:
        card = report.page.locator(".card", has=report.page.get_by_role("heading", name=title, exact=True))
        box = card.locator("svg").bounding_box()
        assert box is not None, title
        assert (box["width"] > 250, box["height"] > 180) == (True, True), title
        assert card.locator("svg path").count() > 10, title
    assert report.page.locator("svg").count() == len(CHARTS)


def test_the_figures_are_those_of_evaluation_json(report, evaluation):
    challenger, tiles = evaluation["challenger"], report.page.locator(".tile")
    assert report.page.locator("h1").inner_text() == f"Churn model, run {evaluation['lineage']['run_key']}"
    assert tiles.locator("b").all_inner_texts() == [
        f"{challenger['auc']:.4f}",
        f"{challenger['accuracy']:.1%}",
        f"{challenger['log_loss']:.4f}",
        f"{challenger['recall']:.0%}",
        f"{challenger['cost_curve']['minimum']['cost']:,.0f}",
    ]
    cells = report.page.locator("table.confusion td").all_inner_texts()
    counts = [int(text.split()[0]) for text in cells]
    assert counts == [challenger["confusion"][name] for name in ("tn", "fp", "fn", "tp")]
    expect(report.page.locator("body")).to_contain_text(evaluation["lineage"]["training_job"])


def test_nothing_sticks_out_on_a_narrow_screen(report):
    report.page.set_viewport_size({"width": 400, "height": 800})
    assert report.page.evaluate("document.documentElement.scrollWidth") <= 400
