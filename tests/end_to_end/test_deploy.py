"""A deployment onto the running stack, its MWAA and its real Airflow: stacks, files, Airflow's own word."""

from __future__ import annotations

from functools import cache

import pytest

from config import load
from tests.end_to_end.support import Pipeline
from workbench import deploy, release, stacks
from workbench.airflow_on_mwaa import AirflowOnMwaa
from workbench.calls import Calls
from workbench.settings import ROOT, WorkbenchError


@pytest.fixture
def target(pipeline: Pipeline) -> deploy.Target:
    return deploy.Target(Calls(cache(pipeline.aws)), load("local"))


def test_airflow_confirms_what_was_deployed(target: deploy.Target) -> None:
    deploy.deploy(target)
    deploy.deploy(target)
    uploaded = [call for call in target.calls.made if "Key=airflow/dags/" in call]
    assert len(uploaded) == len(release.build(ROOT).dags)  # by the first alone
    assert not [call for call in target.calls.made if call.startswith("cloudformation.")]  # `make up` did
    for name in stacks.ORDER:
        assert stacks.outputs(target.calls, target.settings, name) is not None
    assert deploy.diff(target) == []


def test_airflow_denies_what_it_does_not_run(target: deploy.Target) -> None:
    built = release.build(ROOT)
    other = release.Release(
        {**built.dags, "never_uploaded.py": b"x = 1\n"}, built.plugins, built.requirements, built.code_version
    )
    airflow = AirflowOnMwaa(target.calls.client("mwaa"), target.settings.stem)
    with pytest.raises(
        WorkbenchError, match=r"after 1 s Airflow has not read as uploaded: never_uploaded\.py"
    ):
        airflow.wait_for_dags(other, {}, seconds=1)
