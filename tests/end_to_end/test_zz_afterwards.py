"""What comes last, by its name: housekeeping on what the other tests have left, then who was allowed what."""

from __future__ import annotations

from typing import Any

import pytest

from config import load
from tests.end_to_end.support import Pipeline, Run
from workbench.permissions import compare, read_statements, read_uses


@pytest.fixture(scope="module")
def housekeeping(pipeline: Pipeline, first: Run) -> Pipeline:
    assert first.state == "success", first
    return pipeline


def names(found: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(one["kind"], one["name"]) for one in found}


def run(pipeline: Pipeline, dag: str, **conf: Any) -> Run:
    return pipeline.wait(pipeline.airflow.trigger(dag, conf), dag)


def test_the_reaper_leaves_what_is_young_and_removes_nothing_unasked(housekeeping: Pipeline) -> None:
    report = run(housekeeping, "reaper")
    assert report.state == "success", report
    assert report.xcom("find") == []
    assert report.xcom("remove") == []


def test_a_teardown_deletes_the_endpoint_and_keeps_the_versions(housekeeping: Pipeline) -> None:
    refused = run(housekeeping, "teardown", confirm="something-else")
    assert refused.state == "failed"
    sagemaker = housekeeping.aws("sagemaker")
    assert sagemaker.describe_endpoint(EndpointName=housekeeping.endpoint)["EndpointStatus"] == "InService"

    done = run(housekeeping, "teardown", confirm=housekeeping.endpoint)
    assert done.state == "success", done
    assert ("endpoint", housekeeping.endpoint) in names(done.xcom("plan"))
    assert housekeeping.endpoint not in [
        endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]
    ]
    group = load("local").churn_model_group
    assert sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    again = run(housekeeping, "teardown", confirm=housekeeping.endpoint)
    assert again.state == "success", again


def test_a_teardown_of_an_experiment_that_is_gone_finds_nothing(housekeeping: Pipeline) -> None:
    endpoint = load("local").bandit_endpoint("nobody")
    done = run(housekeeping, "teardown", deployment="bandit", experiment="nobody", confirm=endpoint)
    assert done.state == "success", done
    assert done.xcom("tear_down") == []


def test_roles_allow_what_was_done(request: pytest.FixtureRequest, housekeeping: Pipeline) -> None:
    """Every call that a role has made in this session, against its policies; and the other way round, where
    the whole directory has run."""
    statements = list(read_statements(load("local")))
    roles = {statement.role for statement in statements}
    uses = [use for use in read_uses(housekeeping.settings.calls) if use.role in roles]
    missing, unused = compare(statements, uses)
    print("\n".join(["used, not allowed:", *missing, "allowed, not used:", *unused]))
    assert {"mlops-local-airflow", "mlops-local-glue", "mlops-local-sagemaker"} <= {use.role for use in uses}
    assert missing == []
    here = {item.path.name for item in request.session.items if item.path.parent == request.path.parent}
    whole = here == {path.name for path in request.path.parent.glob("test_*.py")}
    if whole and not request.session.testsfailed:  # a test that failed may have left something undone
        assert unused == []
