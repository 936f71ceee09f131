"""Event patterns against EventBridge's documentation and Event Ruler, the library behind it.

The examples are those of "Amazon EventBridge event patterns" and "Comparison operators"; what the library
does where the documentation is silent is said beside the case.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.services.events.patterns import InvalidPattern, compile_pattern


def matches(pattern: object, event: dict[str, object]) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


def detail(matchers: object, value: object) -> bool:
    """Whether a list of matchers matches one value of the detail."""
    return matches({"detail": {"x": matchers}}, {"detail": {"x": value}})


@pytest.mark.parametrize(
    ("matchers", "yes", "no"),
    [
        (["running"], ["running", ["stopped", "running"]], ["RUNNING", "runnin", None, ["stopped"], []]),
        (["a", "b"], ["a", "b", ["c", "b"]], ["c"]),
        ([""], [""], [" ", None]),
        ([None], [None, [1, None]], ["null", "", 0, []]),
        ([True], [True], [1, "true", False]),
        ([300], [300, 300.0, 3e2], [301, "300", True]),
        ([1], [1, 1.0], [True]),
        ([{"prefix": "us-"}], ["us-east-1", ["eu", "us-"]], ["US-east-1", "eu-us-", 5, None]),
        ([{"prefix": ""}], ["", "anything"], [5, None]),
        ([{"prefix": {"equals-ignore-case": "EventB"}}], ["eventbridge", "EVENTB"], ["even"]),
        ([{"suffix": ".png"}], ["a.png", ".png"], ["a.PNG", "png"]),
        ([{"suffix": {"equals-ignore-case": ".PNG"}}], ["a.png", "a.PnG"], ["a.jpg"]),
        ([{"equals-ignore-case": "Alice"}], ["alice", "ALICE"], ["alic", 5]),
        ([{"exists": True}], ["", None, 0, [1]], [[], {}]),  # the library drops empty arrays and objects
        ([{"exists": False}], [[], {}, {"inner": 1}], ["", None]),  # and looks at leaves only
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "x", 10, "::1"]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
        ([{"wildcard": "dir/*.csv"}], ["dir/.csv", "dir/a/b.csv", "dir/a\nb.csv"], ["dir/a.csv.gz", "a.csv"]),
        ([{"wildcard": r"a\*b\\*"}], ["a*b\\", "a*b\\c"], ["axb\\", "a*bc"]),
        ([{"numeric": ["=", 5]}], [5, 5.0], [5.1, "5", True]),
        ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5, [9, 3]], [0, 5.1, [0, 6]]),
        ([{"numeric": ["<", -1.5]}], [-2], [-1.5, 0]),
        ([{"anything-but": "a"}], ["b", "", 5, None, True, ["a", "b"]], ["a", ["a"], []]),
        ([{"anything-but": 5}], [6, "5", None], [5, 5.0]),
        ([{"anything-but": ["a", "b"]}], ["c"], ["a", "b", ["a", "b"]]),
        ([{"anything-but": [1, 2]}], [3, "1"], [1, 2.0]),
        ([{"anything-but": {"prefix": "init"}}], ["x", 5, None], ["initial"]),
        ([{"anything-but": {"prefix": ["init", "err"]}}], ["x"], ["initial", "error"]),
        ([{"anything-but": {"suffix": ".txt"}}], ["a.csv"], ["a.txt"]),
        ([{"anything-but": {"equals-ignore-case": ["a", "B"]}}], ["c"], ["A", "b"]),
        ([{"anything-but": {"wildcard": "*/lib/*"}}], ["/usr/bin"], ["/usr/lib/x"]),
        (["a", {"prefix": "b"}, {"numeric": [">", 10]}], ["a", "bc", 11], ["ab", 10]),
    ],
)
def test_matchers(matchers, yes, no):
    assert [value for value in yes if not detail(matchers, value)] == []
    assert [value for value in no if detail(matchers, value)] == []


def test_a_missing_field_matches_nothing_but_its_absence():
    for matcher in ("a", None, {"anything-but": "a"}, {"prefix": ""}, {"exists": True}):
        assert not matches({"detail": {"x": [matcher]}}, {"detail": {"y": 1}})
    assert matches({"detail": {"x": [{"exists": False}]}}, {"detail": {"y": 1}})
    assert matches({"detail": {"x": {"y": [{"exists": False}, "z"]}}}, {"detail": {}})


def test_every_field_of_a_pattern_must_match():
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["b"]}}}
    event = {"source": "aws.s3", "detail": {"bucket": {"name": "b", "more": 1}}, "more": 2}
    assert matches(pattern, event)
    assert not matches(pattern, {**event, "source": "aws.ec2"})
    assert not matches(pattern, {**event, "detail": {"bucket": "b"}})


def test_or_at_any_depth():
    pattern = {
        "source": ["s"],
        "detail": {"$or": [{"c": [{"numeric": [">", 0]}]}, {"d": [{"prefix": "x"}], "e": [1]}]},
    }
    assert matches(pattern, {"source": "s", "detail": {"c": 1}})
    assert matches(pattern, {"source": "s", "detail": {"d": "xy", "e": 1}})
    assert not matches(pattern, {"source": "s", "detail": {"d": "xy", "e": 2}})
    assert not matches(pattern, {"source": "t", "detail": {"c": 1}})


def test_two_ors_are_both_demanded():
    pattern = {"$or": [{"a": [1]}, {"a": [2]}], "detail": {"$or": [{"b": [1]}, {"c": [1]}]}}
    assert matches(pattern, {"a": 2, "detail": {"c": 1}})
    assert not matches(pattern, {"a": 2, "detail": {"c": 2}})
    assert not matches(pattern, {"a": 3, "detail": {"c": 1}})


def test_or_with_one_branch_is_the_name_of_a_field():
    assert matches({"$or": [{"prefix": "x"}]}, {"$or": "xy"})


def test_fields_of_one_array_element_belong_together():
    pattern = {"items": {"kind": ["a"], "size": [{"numeric": [">", 5]}]}}
    assert matches(pattern, {"items": [{"kind": "b", "size": 9}, {"kind": "a", "size": 6}]})
    assert not matches(pattern, {"items": [{"kind": "b", "size": 9}, {"kind": "a", "size": 1}]})


def test_fields_of_different_arrays_do_not():
    pattern = {"left": {"n": [1]}, "right": {"n": [2]}}
    assert matches(pattern, {"left": [{"n": 0}, {"n": 1}], "right": [{"n": 2}]})


def test_dots_and_nesting_are_the_same_path():
    assert matches({"detail.x": ["a"]}, {"detail": {"x": "a"}})
    assert matches({"detail": {"x": ["a"]}}, {"detail.x": "a"})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[]", "Filter is not an object"),
        ("no json", "Expecting value"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": {}}', "Empty objects are not allowed"),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"a": 1}', '"a" must be an object or an array'),
        ('{"a": "b"}', '"a" must be an object or an array'),
        ('{"a": [[1]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{"EXISTS": true}]}', "Unrecognized match type EXISTS"),
        ('{"a": [{"exists": 1}]}', "exists match pattern must be either true or false"),
        ('{"a": [{"prefix": "b", "suffix": "c"}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"prefix": ["b"]}]}', "prefix match pattern must be a string"),
        ('{"a": [{"suffix": 1}]}', "suffix match pattern must be a string"),
        ('{"a": [{"equals-ignore-case": ["b"]}]}', "equals-ignore-case match pattern must be a string"),
        ('{"a": [{"wildcard": 1}]}', "wildcard match pattern must be a string"),
        ('{"a": [{"wildcard": "b**c"}]}', "Consecutive wildcard characters at pos 2"),
        (r'{"a": [{"wildcard": "b\\c"}]}', "Invalid escape character at pos 2"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"a": [{"cidr": "10.0.0.0/33"}]}', "Malformed CIDR"),
        ('{"a": [{"numeric": 5}]}', "Value of numeric must be an array"),
        ('{"a": [{"numeric": [">", 0, ">", 0]}]}', "Bad numeric range operator: >"),
        ('{"a": [{"numeric": [">", 0, "<"]}]}', "Value of < must be numeric"),
        ('{"a": [{"numeric": ["!", 0]}]}', "Unrecognized numeric range operator: !"),
        ('{"a": [{"numeric": [">", 5, "<", 5]}]}', "Bottom must be less than top"),
        ('{"a": [{"numeric": ["=", 6e9]}]}', "between -5.0E9 and 5.0E9"),
        ('{"a": [{"anything-but": null}]}', "start\\|null\\|boolean is not supported"),
        ('{"a": [{"anything-but": ["b", 1]}]}', "mixed type is not supported"),
        ('{"a": [{"anything-but": []}]}', "mixed type is not supported"),
        ('{"a": [{"anything-but": {"numeric": ["=", 1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"a": [{"anything-but": {"prefix": 1}}]}', "prefix match pattern must be a string"),
    ],
)
def test_invalid_patterns_say_why(pattern, reason):
    with pytest.raises(InvalidPattern, match=reason):
        compile_pattern(pattern)


scalars = st.none() | st.booleans() | st.integers(-100, 100) | st.text("ab*\\.", max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from("abc"), scalars, min_size=1, max_size=3), values)
def test_an_event_matches_the_pattern_made_of_itself_whatever_else_it_holds(fields, other):
    pattern = {name: [value] for name, value in fields.items()}
    assert matches(pattern, {**fields, "other": other})


@given(scalars, values)
def test_anything_but_is_the_opposite_for_single_values(value, other):
    if isinstance(value, str | int) and not isinstance(value, bool) and not isinstance(other, list | dict):
        assert detail([{"anything-but": value}], other) != detail([value], other)


@given(st.text("ab*", max_size=5), st.text("abc", max_size=6))
def test_a_wildcard_means_what_the_shell_means_by_it(pattern, text):
    if "**" not in pattern:
        assert detail([{"wildcard": pattern}], text) == fnmatchcase(text, pattern)


@given(values, values)
def test_matching_never_fails(first, second):
    detail([{"anything-but": "a"}, {"exists": False}], first)
    try:
        compiled = compile_pattern(json.dumps(second))
    except InvalidPattern:
        return
    compiled.matches({"a": first})
