"""Metric math on small series, with the results by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from local_aws.services.cloudwatch.expressions import InvalidExpression, compute, names

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def series(*values):
    return {NOON + timedelta(minutes=n): v for n, v in enumerate(values) if v is not None}


ERRORS, CALLS, EMPTY = series(1.0, None, 3.0, 0.0), series(10.0, 5.0, 0.0, 4.0), series()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("e / n * 100", series(10.0, None, None, 0.0)),  # no value where one is missing, or where n is 0
        ("(e + n) - 1", series(10.0, None, 2.0, 3.0)),
        ("-e", series(-1.0, None, -3.0, 0.0)),
        ("e ^ 2", series(1.0, None, 9.0, 0.0)),
        ("2 ^ e", series(2.0, None, 8.0, 1.0)),
        ("n > 4", series(1.0, 1.0, 0.0, 0.0)),
        ("FILL(e, 0) + n", series(11.0, 5.0, 3.0, 4.0)),
        ("IF(n > 0, e / n, 0)", series(0.1, None, 0.0, 0.0)),
        ("IF(n > 4, n)", series(10.0, 5.0)),
        ("SUM([e, n])", series(11.0, 5.0, 3.0, 4.0)),
        ("AVG([e, n])", series(5.5, 5.0, 1.5, 2.0)),
        ("MAX(METRICS())", series(10.0, 5.0, 3.0, 4.0)),
        ("n / SUM(n)", series(10 / 19, 5 / 19, 0.0, 4 / 19)),
        ("n - MIN(n)", series(10.0, 5.0, 0.0, 4.0)),
        ("ABS(-e)", series(1.0, None, 3.0, 0.0)),
        ("CEIL(n / 4)", series(3.0, 2.0, 0.0, 1.0)),
        ("FLOOR(n / 4)", series(2.0, 1.0, 0.0, 1.0)),
        ("x + n", EMPTY),
    ],
)
def test_expressions(expression, expected):
    found = compute(expression, {"e": ERRORS, "n": CALLS, "x": EMPTY})
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx([expected[moment] for moment in found])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("e +", "cannot be parsed"),
        ("5", "must be a time series"),
        ("unknown + e", "does not support 'unknown'"),
        ("RATE(e)", "does not support RATE"),
        ("e.__class__", "does not support 'e.__class__'"),
        ("__import__('os')", "does not support __IMPORT__"),
        ("[x for x in e]", "does not support"),
        ("e and n", "does not support"),
        ("SUM(5)", "was given a number"),
    ],
)
def test_what_cannot_be_computed_is_refused(expression, words):
    with pytest.raises(InvalidExpression, match=words):
        compute(expression, {"e": ERRORS, "n": CALLS})


def test_the_queries_an_expression_reads():
    assert names("IF(e > 0, SUM([n, m]) / 2)") == {"e", "n", "m"}
    assert names("SUM(METRICS())") == set()
