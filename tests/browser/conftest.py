"""The run that the environment names, on a stack that someone else has started: tests/end_to_end does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.ui import Airflow, airflow_of, find_chromium, logged_in


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def airflow() -> Airflow:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    # tests/end_to_end/test_user_interface.py names its own.
    return airflow_of() or pytest.skip("no stack was named: UI_URL, UI_USER, UI_PASSWORD, UI_RUN_ID")


@pytest.fixture(scope="session")
def evaluation() -> dict[str, Any]:
    """The run's evaluation.json."""
    return dict(json.loads(Path(os.environ["UI_EVALUATION"]).read_text()))


@pytest.fixture(scope="session")
def page(airflow: Airflow) -> Iterator[Page]:
    with logged_in(airflow, height=1000) as page:
        yield page
