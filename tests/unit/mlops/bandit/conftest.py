"""An experiment store on a local AWS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import load
from local_aws.pytest_plugin import LocalAws
from mlops.bandit.store import Store

TEMPLATE = Path(__file__).resolve().parents[4] / "infrastructure" / "bandit.yaml"


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """The stack of infrastructure/bandit.yaml on a local AWS of its own: its names are an environment's."""
    aws = LocalAws(tmp_path_factory.mktemp("bandit") / "data")
    try:
        cloudformation = aws.client("cloudformation")
        cloudformation.create_stack(
            StackName="bandit",
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": "Environment", "ParameterValue": "local"}],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName="bandit", WaiterConfig={"Delay": 1})
        yield aws
    finally:
        aws.stop()


@pytest.fixture
def clock() -> Iterator[datetime]:
    """A clock that goes a second further at every look."""
    return iter(datetime(2026, 11, 21, 9, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**6))


@pytest.fixture
def store(tables: Any, clock: Iterator[datetime]) -> Store:
    return Store(load("local"), tables.client("dynamodb"), clock=lambda: next(clock))
