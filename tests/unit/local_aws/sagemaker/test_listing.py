"""Filters, order and pages of the List operations."""

from datetime import UTC, datetime, timedelta

import pytest
from moto.core.exceptions import ServiceException

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def jobs(service):
    for number in range(25):
        record = {
            "TrainingJobName": f"churn-{number:02}",
            "TrainingJobStatus": "Failed" if number % 5 == 0 else "Completed",
            "CreationTime": START + timedelta(hours=number),
            "LastModifiedTime": START + timedelta(hours=number),
        }
        service.add("training-job", record["TrainingJobName"], record)


def names(answer):
    return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]


def test_pages_cover_everything_once(api):
    seen, token = [], None
    while True:
        answer = api("ListTrainingJobs", MaxResults=10, **({"NextToken": token} if token else {}))
        seen += names(answer)
        token = answer.get("NextToken")
        if not token:
            break
    assert seen == [f"churn-{number:02}" for number in range(25)]


def test_filters_and_order(api):
    assert names(api("ListTrainingJobs", StatusEquals="Failed", SortBy="Name", SortOrder="Descending")) == [
        "churn-20", "churn-15", "churn-10", "churn-05", "churn-00",
    ]  # fmt: skip
    late = START + timedelta(hours=17)
    assert names(api("ListTrainingJobs", NameContains="-1", CreationTimeAfter=late)) == [
        "churn-18",
        "churn-19",
    ]


def test_a_foreign_token_is_refused(api):
    with pytest.raises(ServiceException, match="NextToken"):
        api("ListTrainingJobs", NextToken="!!")
