"""When an alarm rings: the judgement of one alarm from the data points of its metric.

Missing data is treated as documented in "Configuring how CloudWatch alarms treat missing data"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data):
more periods are looked at than are evaluated; only when fewer real points than `EvaluationPeriods` are among
them are the missing ones filled by the alarm's own rule.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

EXTRA_PERIODS = 2  # of the evaluation range beyond EvaluationPeriods, as in AWS's published examples


@dataclass(frozen=True)
class Rule:
    """The part of an alarm that decides."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Literal["missing", "ignore", "breaching", "notBreaching"] = "missing"

    @property
    def counts_running_period(self) -> bool:
        """Whether the period that has not ended may count. A sum or maximum only grows, so "greater than" may
        ring at once, which lets the short bakes of a local deployment see it; "less than" must wait."""
        return self.comparison.startswith("Greater")


def judge(rule: Rule, points: Sequence[float | None], current: State) -> State:
    """The alarm's state from the data points of its evaluation range, oldest first, None where none came.

    >>> judge(Rule("GreaterThanThreshold", 1, 3, 2), [None, 5.0, 0.0, 5.0], "OK")
    'ALARM'
    """
    real = [point for point in points if point is not None][-rule.evaluation_periods :]
    filled = rule.evaluation_periods - len(real)
    breaching = sum(COMPARISONS[rule.comparison](point, rule.threshold) for point in real)
    needed = rule.datapoints_to_alarm
    if breaching >= needed:
        return "ALARM"
    if rule.missing == "notBreaching" or breaching + filled < needed:
        return "OK"
    if rule.missing == "breaching":
        return "ALARM"
    if rule.missing == "ignore":
        return current
    if not real:
        return "INSUFFICIENT_DATA"
    return "ALARM" if breaching else "OK"
