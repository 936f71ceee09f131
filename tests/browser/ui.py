"""Airflow's UI and the report page as a person sees them: headless Chromium, driven by Playwright.

Runs in the set `browser`, which has neither Airflow nor boto3: where the stack is, the environment says.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import Locator, Page, sync_playwright

DAG = "churn_training"
# The system's browser: nothing is downloaded. What it would send home by itself is switched off.
CHROMIUM = ("/usr/bin/chromium", "chromium", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOADING_SECONDS = 30.0


def find_chromium() -> str | None:
    """The browser's path, or None where there is none."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Airflow:
    """One run on a running stack: where it is and how to log in."""

    url: str
    user: str
    password: str
    run_id: str

    @property
    def run_path(self) -> str:
        return f"/dags/{DAG}/runs/{quote(self.run_id, safe='')}"

    def task_path(self, task_id: str) -> str:
        return f"{self.run_path}/tasks/{quote(task_id, safe='')}"


def airflow_of(environment: Mapping[str, str] = os.environ) -> Airflow | None:
    """What `workbench.pictures.browser_environment` passed; None when no stack was named."""
    names = ("UI_URL", "UI_USER", "UI_PASSWORD", "UI_RUN_ID")
    found = [environment.get(name, "") for name in names]
    return Airflow(*found) if all(found) else None


@contextmanager
def logged_in(airflow: Airflow, *, width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A page of a browser in which a person has logged in through the form."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        context = browser.new_context(
            base_url=airflow.url,
            viewport={"width": width, "height": height},
            color_scheme="light",
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(LOADING_SECONDS * 1000)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Username").fill(airflow.user)
        page.get_by_label("Password").fill(airflow.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{airflow.url}/")
        try:
            yield page
        finally:
            browser.close()


def open_graph(page: Page, airflow: Airflow) -> None:
    """The run's graph with all task groups open, as wide as the window."""
    page.goto(airflow.run_path)
    page.get_by_role("button", name="Show Graph").click()
    expand = page.get_by_role("button", name="Expand all task groups")
    if expand.is_enabled():
        expand.click()
    node(page, "prepare.plan").wait_for()
    page.get_by_role("button", name="Collapse Details Panel").click()


def node(page: Page, task_id: str) -> Locator:
    """A task or a task group in the graph."""
    return page.get_by_test_id(f"rf__node-{task_id}")


def open_log(page: Page, airflow: Airflow, task_id: str, line: str) -> Locator:
    """The log of a task once it shows a line that matches the pattern; the newest such line."""
    page.goto(airflow.task_path(task_id))
    found = page.get_by_text(re.compile(line)).last
    found.wait_for()
    return found


def open_form(page: Page) -> Locator:
    """The trigger form."""
    page.goto(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog").last
    form.get_by_role("button", name="Data", exact=True).wait_for()
    return form


def open_section(form: Locator, name: str) -> Locator:
    """One section of the trigger form, opened."""
    form.get_by_role("button", name=name, exact=True).click()
    section = form.get_by_role("region", name=name)
    section.wait_for()
    return section


def report_address(page: Page, airflow: Airflow) -> str:
    """Where the report link of `evaluate` leads."""
    page.goto(airflow.task_path("evaluate") + "/details")
    return page.get_by_role("link", name="Report").get_attribute("href") or ""
