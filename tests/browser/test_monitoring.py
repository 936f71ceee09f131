"""The pages of an execution of the DAG monitoring, and the endpoint's own, in a browser without keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.ui import ARGUMENTS, find_chromium

HEADINGS = {
    "data_quality": ["Violations", "Drifted features", "All features"],
    "model_quality": ["History", "Metrics", "Curves"],
    "bias": ["Bias"],
    "attribution": ["Global attribution (SHAP)"],
    "endpoint": ["Executions"],
}
CHARTS = ("data_quality", "model_quality", "attribution")


@pytest.fixture(scope="module")
def addresses() -> dict[str, str]:
    """Address by page: tests/end_to_end/test_monitoring.py names those of a window with drift."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return dict(
        json.loads(os.environ.get("UI_MONITORING") or pytest.skip("no pages were named: UI_MONITORING"))
    )


@pytest.fixture(scope="module")
def browser(addresses: dict[str, str]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=list(HEADINGS))
def opened(
    request: pytest.FixtureRequest, browser: Browser, addresses: dict[str, str]
) -> Iterator[SimpleNamespace]:
    """An opened page; `asked`: every address it loaded; `complaints`: errors in its console."""
    address = addresses[request.param]
    page = browser.new_page(viewport={"width": 1160, "height": 930})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200
    yield SimpleNamespace(name=request.param, page=page, address=address, asked=asked, complaints=complaints)
    page.close()


def test_a_page_loads_nothing_else_and_its_console_is_silent(opened: SimpleNamespace) -> None:
    assert [url for url in opened.asked if not url.startswith("data:")] == [opened.address]
    assert opened.complaints == []


def test_every_section_is_there_and_every_chart_is_drawn(opened: SimpleNamespace) -> None:
    for heading in HEADINGS[opened.name]:
        expect(opened.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    drawings = opened.page.locator("svg")
    assert (drawings.count() > 0) == (opened.name in CHARTS)
    for number in range(drawings.count()):
        box = drawings.nth(number).bounding_box()
        assert box is not None
        assert (box["width"] > 150, box["height"] > 50) == (True, True), number


def test_nothing_sticks_out_on_a_narrow_screen(opened: SimpleNamespace) -> None:
    opened.page.set_viewport_size({"width": 400, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_endpoints_page_leads_to_every_report(browser: Browser, addresses: dict[str, str]) -> None:
    page = browser.new_page()
    page.goto(addresses["endpoint"])
    row = page.locator("tbody tr").first
    links = [link.get_attribute("href") or "" for link in row.get_by_role("link").all()]
    assert len(links) == 4
    for link in links:
        answer = page.goto(link)
        assert answer is not None
        assert answer.status == 200
        expect(page.locator("h1")).to_have_count(1)
    page.close()
