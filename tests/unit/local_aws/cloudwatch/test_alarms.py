"""The judgement of an alarm, against the table that AWS publishes (3 of 3 data points, range of 5)."""

import pytest

from local_aws.services.cloudwatch.alarms import Rule, judge

X, O, N = 9.0, 0.0, None  # noqa: E741  # breaching, fine, missing: as the published table writes them


@pytest.mark.parametrize(
    ("points", "missing", "ignore", "breaching", "not_breaching"),
    [
        ([O, N, X, N, X], "OK", "OK", "OK", "OK"),
        ([O, N, N, N, N], "OK", "OK", "OK", "OK"),
        ([N, N, N, N, N], "INSUFFICIENT_DATA", "current", "ALARM", "OK"),
        ([O, X, X, N, X], "ALARM", "ALARM", "ALARM", "ALARM"),
        ([N, N, X, N, N], "ALARM", "current", "ALARM", "OK"),
    ],
)
@pytest.mark.parametrize("current", ["OK", "ALARM"])
def test_missing_data_is_treated_as_published(points, missing, ignore, breaching, not_breaching, current):
    def state(rule_of_missing):
        return judge(Rule("GreaterThanThreshold", 1, 3, 3, rule_of_missing), points, current)

    expected = [current if e == "current" else e for e in (missing, ignore, breaching, not_breaching)]
    assert [state(rule) for rule in ("missing", "ignore", "breaching", "notBreaching")] == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [([X, O, O, X], "OK"), ([X, X, O, O], "OK"), ([O, X, X, O], "ALARM"), ([X, O, O, O], "OK")],
)
def test_two_of_the_last_three(points, expected):
    assert judge(Rule("GreaterThanThreshold", 1, 3, 2), points, "OK") == expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("GreaterThanThreshold", 1.0, "OK"),
        ("GreaterThanOrEqualToThreshold", 1.0, "ALARM"),
        ("LessThanThreshold", 1.0, "OK"),
        ("LessThanOrEqualToThreshold", 1.0, "ALARM"),
    ],
)
def test_the_threshold_itself(comparison, value, expected):
    assert judge(Rule(comparison, 1.0, 1, 1), [value], "OK") == expected
