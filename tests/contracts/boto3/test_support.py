"""The documented table of operations: nothing is claimed that the running server does not do."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_aws.services import operations

ROOT = Path(__file__).resolve().parents[3]
RENEW = "renew docs/operations.md and the README's table: python -m local_aws support [--names]"


@pytest.fixture(scope="module")
def table(local_aws):
    with urllib.request.urlopen(f"{local_aws.endpoint_url}/-/support", timeout=120) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def documented():
    """Service -> {"computed": names, "stored": names} as docs/operations.md has them."""
    found = {}
    for section in (ROOT / "docs" / "operations.md").read_text().split("\n## ")[1:]:
        lists = re.findall(r"\*\*(?:Computed|Stored)\*\* \(\d+\): (.*)", section)
        computed, stored = ([] if names == "none" else names.split(", ") for names in lists)
        found[section.split("\n", 1)[0]] = {"computed": computed, "stored": stored}
    return found


def test_every_operation_is_in_one_column(table):
    assert list(table) == list(operations.SERVICES)
    for service, row in table.items():
        names = [*row["computed"], *row["stored"], *row["refused"]]
        model = operations.get_service_model(service)
        assert sorted(names) == sorted(model.operation_names), service
    assert {"CreateTrainingJob", "CreateHyperParameterTuningJob"} <= set(table["sagemaker"]["computed"])
    assert "CreateExperiment" in table["sagemaker"]["stored"]
    assert {"CreatePipeline", "CreateInferenceExperiment"} <= set(table["sagemaker"]["refused"])


def test_what_is_documented_is_true(table, documented):
    assert list(documented) == list(table), RENEW
    for service, row in documented.items():
        assert set(row["computed"]) <= set(table[service]["computed"]), f"{service}: {RENEW}"
        answered = {*table[service]["computed"], *table[service]["stored"]}
        assert set(row["stored"]) <= answered, f"{service}: {RENEW}"


def test_the_readme_counts_what_is_documented(documented):
    readme = (ROOT / "README.md").read_text()
    for service, row in documented.items():
        line = re.search(rf"^\| {service} \| (\d+) \| (\d+) \| \d+ \|$", readme, re.MULTILINE)
        assert line, f"{service}: {RENEW}"
        assert (int(line[1]), int(line[2])) == (len(row["computed"]), len(row["stored"])), (
            f"{service}: {RENEW}"
        )


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("sagemaker", "list_pipelines", {}),
        ("glue", "list_blueprints", {}),
        ("iam", "list_organizations_features", {}),
    ],
)
def test_a_refused_operation_answers_with_its_name(local_aws, service, operation, request_):
    with pytest.raises(ClientError) as caught:
        getattr(local_aws.client(service), operation)(**request_)
    assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
    assert caught.value.operation_name in str(caught.value)
