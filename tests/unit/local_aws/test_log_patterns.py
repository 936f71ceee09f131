from __future__ import annotations

import pytest
from moto.logs.exceptions import InvalidParameterException

from local_aws.services.logs.patterns import matcher


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR occurred", True),
        ("ERROR", "an error occurred", False),
        ("ERROR disk", "disk: ERROR", True),
        ("ERROR disk", "net: ERROR", False),
        ('"disk full"', "the disk full of it", True),
        ('"disk full"', "full disk", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "an INFO", False),
        ("ERROR -ignored", "ERROR ignored", False),
        ("ERROR -ignored", "ERROR kept", True),
        ("[0]", "x", None),
        ("{ $.level = 1 }", "x", None),
        (r"%auc=0\.\d+%", "auc=0.91", True),
        (r"%auc=0\.\d+%", "auc=1", False),
        ("%(%", "x", None),
        (r'"say \"yes\""', 'they say "yes"', True),
    ],
)
def test_patterns(pattern: str, message: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(InvalidParameterException, match="Filter pattern"):
            matcher(pattern)
    else:
        assert matcher(pattern)(message) is expected
