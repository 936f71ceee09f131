"""What starts a DAG by itself is a setting of the environment."""

from __future__ import annotations

import pytest

from config import load
from mlops.schedules import schedule


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ("0 3 * * 1", "0 3 * * 1"),
        ("@daily", "@daily"),
        ("s3://exports/churn", ["s3://exports/churn"]),
        ("s3://exports/churn x-model://churn", ["s3://exports/churn", "x-model://churn"]),
    ],
)
def test_a_clock_or_data_or_nothing(said: str | None, expected: str | list[str] | None) -> None:
    schedules = {} if said is None else {"churn_training": said}
    settings = load("local").model_copy(update={"schedules": schedules})

    found = schedule(settings, "churn_training")

    assert ([asset.uri for asset in found] if isinstance(found, list) else found) == expected
