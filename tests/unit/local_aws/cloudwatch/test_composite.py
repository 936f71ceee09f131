"""Rules of composite alarms, with the examples of PutCompositeAlarm."""

import pytest

from local_aws.services.cloudwatch.composite import InvalidRule, parse

A, O, I = "ALARM", "OK", "INSUFFICIENT_DATA"  # noqa: E741  # as a table of states reads


@pytest.mark.parametrize(
    ("rule", "states", "expected"),
    [
        ("ALARM(CPUUtilizationTooHigh)", {"CPUUtilizationTooHigh": A}, True),
        ('ALARM("a b")', {"a b": O}, False),
        ("ALARM('a')", {"a": A}, True),
        ("OK(a)", {"a": O}, True),
        ("INSUFFICIENT_DATA(a)", {"a": I}, True),
        ("ALARM(a) AND OK(b)", {"a": A, "b": A}, False),
        ("ALARM(a) OR ALARM(b)", {"a": O, "b": A}, True),
        ("NOT ALARM(a)", {"a": I}, True),
        ("NOT (ALARM(a) OR ALARM(b))", {"a": O, "b": A}, False),
        ("NOT NOT ALARM(a)", {"a": A}, True),
        ("ALARM(a) AND NOT ALARM(b) AND NOT ALARM(c)", {"a": A, "b": O, "c": I}, True),
        ("ALARM(a) OR ALARM(b) AND ALARM(c)", {"a": A, "b": O, "c": O}, True),  # AND binds closer
        ("(ALARM(a) OR ALARM(b)) AND ALARM(c)", {"a": A, "b": O, "c": O}, False),
        ("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)", {"a": A}, True),
        ("TRUE", {}, True),
        ("FALSE OR ALARM(a)", {"a": A}, True),
        (" ALARM( a )\n AND TRUE ", {"a": A}, True),
    ],
)
def test_rules(rule, states, expected):
    parsed = parse(rule)
    assert parsed.alarms == set(states)
    assert parsed.holds(states) is expected


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "found: the end"),
        ("ALARM", "expected '\\('"),
        ("ALARM(a", "expected '\\)'"),
        ("ALARM(a) ALARM(b)", "expected AND, OR or the end at character 8, found: ALARM\\(b\\)"),
        ("ALARM(a) AND", "found: the end"),
        ("ALARMS(a)", "found: ALARMS"),
        ("AT_LEAST(1, ALARM, (a, b))", "AT_LEAST is not supported"),
        ("ALARM(())", "the name of an alarm"),
        ("x" * 10_241, "10240 at most"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(rule, words):
    with pytest.raises(InvalidRule, match=words):
        parse(rule)
