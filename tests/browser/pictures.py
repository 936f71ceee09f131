"""Takes the pictures of the documentation: `python -m tests.browser.pictures FOLDER` (`make pictures`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.ui import (
    Airflow,
    airflow_of,
    find_chromium,
    logged_in,
    node,
    open_form,
    open_graph,
    open_log,
    open_section,
    report_address,
)

RUN_SECONDS = 300.0
SETTLING_MILLISECONDS = 1500  # animations of the graph: nothing tells their end
GRAPH = {"width": 1400, "height": 620}
LOG = {"width": 1400, "height": 590}
FORM = {"width": 1100, "height": 1120}
REPORT = {"width": 1160, "height": 930}


def main(folder: Path) -> None:
    """Follow the run that the environment names, from running to finished. Chromium must be there."""
    airflow = airflow_of()
    if airflow is None or find_chromium() is None:
        sys.exit("error: Chromium is not installed, or no run was named: use `make pictures`")
    folder.mkdir(parents=True, exist_ok=True)
    with logged_in(airflow) as page:
        graphs(page, airflow, folder)
        log(page, airflow, folder)
        form(page, folder)
        report(page, airflow, folder)


def graphs(page: Page, airflow: Airflow, folder: Path) -> None:
    page.set_viewport_size(GRAPH)
    open_graph(page, airflow)
    # A refused challenger ends its run, too: its release is skipped.
    ended = re.compile("success|skipped|failed")
    for task, state, name in (("train", "running", "running"), ("release.smoke_test", ended, "finished")):
        expect(node(page, task)).to_contain_text(state, timeout=RUN_SECONDS * 1000)
        page.get_by_role("button", name="Fit View").click()
        page.add_style_tag(content=".react-flow__minimap { display: none }")
        take(page, folder / f"graph-{name}.png")


def log(page: Page, airflow: Airflow, folder: Path) -> None:
    page.set_viewport_size(LOG)
    open_log(page, airflow, "train", r"is Completed")
    page.get_by_role("button", name="Show Grid").click()
    page.get_by_text("is Completed").last.wait_for()
    take(page, folder / "task-log.png")


def form(page: Page, folder: Path) -> None:
    page.set_viewport_size(FORM)
    open_section(open_form(page), "Data")
    take(page, folder / "trigger-form.png")


def report(page: Page, airflow: Airflow, folder: Path) -> None:
    page.set_viewport_size(REPORT)
    page.goto(report_address(page, airflow))
    take(page, folder / "report.png")
    take(page.locator(".charts"), folder / "report-charts.png")


def take(seen: Page | Locator, path: Path) -> None:
    page = seen if isinstance(seen, Page) else seen.page
    page.wait_for_timeout(SETTLING_MILLISECONDS)
    seen.screenshot(path=path)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
