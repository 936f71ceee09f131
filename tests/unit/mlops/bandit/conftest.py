"""An experiment store on a local AWS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import load
from mlops.bandit.store import Store

TEMPLATE = Path(__file__).resolve().parents[4] / "infrastructure" / "bandit.yaml"


@pytest.fixture(scope="session")
def tables(local_aws: Any) -> Any:
    """The stack of infrastructure/bandit.yaml on the session's local AWS."""
    cloudformation = local_aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="bandit",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "Environment", "ParameterValue": "local"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="bandit", WaiterConfig={"Delay": 1})
    return local_aws


@pytest.fixture
def clock() -> Iterator[datetime]:
    """A clock that goes a second further at every look."""
    return iter(datetime(2026, 11, 21, 9, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**6))


@pytest.fixture
def store(tables: Any, clock: Iterator[datetime]) -> Store:
    return Store(load("local"), tables.client("dynamodb"), clock=lambda: next(clock))
