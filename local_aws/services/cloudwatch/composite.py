"""The rule of a composite alarm: `ALARM("a") AND NOT (OK("b") OR INSUFFICIENT_DATA("c"))`.

Grammar: AlarmRule of PutCompositeAlarm
(docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html). NOT binds closest, then
AND, then OR. Alarms are named, with or without quotes, or given by ARN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
LONGEST = 10_240  # characters, as documented
TOKEN = re.compile(
    r"""\s*(?:(?P<symbol>[()])|"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s()"']+))"""
)


class InvalidRule(ValueError):
    """The message says what is wrong and where."""


Test = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True)
class CompositeRule:
    """alarms: the names that it reads. holds: whether it is true, given the state of each of them."""

    alarms: frozenset[str]
    holds: Test


def parse(text: str) -> CompositeRule:
    """Raises InvalidRule."""
    if len(text) > LONGEST:
        raise InvalidRule(f"AlarmRule has {len(text)} characters, {LONGEST} at most")
    parser = _Parser(text)
    test = parser.disjunction()
    parser.end()
    return CompositeRule(frozenset(parser.alarms), test)


@dataclass
class _Parser:
    text: str
    position: int = 0
    alarms: set[str] = field(default_factory=set)

    def disjunction(self) -> Test:
        tests = [self._conjunction()]
        while self._take("OR"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda states: any(test(states) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self._take("AND"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda states: all(test(states) for test in tests)

    def _negation(self) -> Test:
        if self._take("NOT"):
            inner = self._negation()
            return lambda states: not inner(states)
        if self._take("("):
            inner = self.disjunction()
            self._demand(")")
            return inner
        for constant in ("TRUE", "FALSE"):
            if self._take(constant):
                return lambda _, value=constant == "TRUE": value  # type: ignore[misc]
        for state in STATES:
            if self._take(state):
                return self._state_of(state)
        if self._take("AT_LEAST"):
            raise InvalidRule("AT_LEAST is not supported by local AWS")
        raise self._unexpected("NOT, TRUE, FALSE, an alarm's state or a parenthesis")

    def _state_of(self, state: str) -> Test:
        self._demand("(")
        match = TOKEN.match(self.text, self.position)
        if match is None or match["symbol"]:
            raise self._unexpected("the name of an alarm")
        self.position = match.end()
        given = match["quoted"] or match["single"] or match["word"]
        name = given.partition(":alarm:")[2] if given.startswith("arn:") else given
        self._demand(")")
        self.alarms.add(name)
        return lambda states: states[name] == state

    def _take(self, token: str) -> bool:
        match = TOKEN.match(self.text, self.position)
        if match is None or (match["symbol"] or match["word"]) != token:
            return False
        self.position = match.end()
        return True

    def _demand(self, token: str) -> None:
        if not self._take(token):
            raise self._unexpected(f"'{token}'")

    def end(self) -> None:
        if self.text[self.position :].strip():
            raise self._unexpected("AND, OR or the end")

    def _unexpected(self, wanted: str) -> InvalidRule:
        rest = self.text[self.position :].strip()[:40] or "the end"
        return InvalidRule(f"AlarmRule: expected {wanted} at character {self.position}, found: {rest}")
