"""Fixtures for every test, whichever environment runs it: standard library and pytest only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# `local_aws`: an embedded AWS for the test session.
pytest_plugins = ["local_aws.pytest_plugin"] if find_spec("local_aws.pytest_plugin") else []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts Airflow, Spark or a browser; test-fast leaves it out")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The published data sets that may lie beside a checkout; tests that need them skip without."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}: the published data sets are not part of the project")
    return folder
