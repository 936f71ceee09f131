"""One local stack for all end-to-end tests: real Airflow, real local AWS, in a directory of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.support import Pipeline, Run
from workbench import environments, ports, stack
from workbench.airflow_api import AirflowApi
from workbench.settings import ROOT, Settings
from workbench.supervision import Supervisord, sweep


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A running stack on ports of its own; when it is stopped nothing of it may be left."""
    settings = Settings(tmp_path_factory.mktemp("stack"), *ports.free_ports(3))
    try:
        stack.up(settings)
        yield Pipeline(settings, AirflowApi(settings))
    finally:
        if Supervisord(settings).is_running():
            Supervisord(settings).stop(["airflow", "local-aws"])
        left = sweep(settings)
    assert left == [], "processes were left behind"


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw file of 3,000 generated customers."""
    path = tmp_path_factory.mktemp("customers") / "customers.csv"
    generator = ["-m", "clients.churn_customers", "--rows", "3000", "--seed", "7", "--output", str(path)]
    subprocess.run([str(environments.require("jobs")), *generator], cwd=ROOT, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def data(pipeline: Pipeline, customers: Path) -> str:
    return pipeline.put(customers)


@pytest.fixture(scope="session")
def first(pipeline: Pipeline, data: str) -> Run:
    """The first run on an empty stack."""
    return pipeline.train(data)
