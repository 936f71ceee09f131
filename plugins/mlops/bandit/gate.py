"""May the challenger replace the champion? A pure decision on the `evaluation.json` of a policy evaluation.

The measure is the difference in mean reward on the same logged events, doubly robust and paired, with its
interval. Against a champion (a first model: against the logged policy):

* `approved` when the interval's lower end is not below minus the margin: not worse beyond the margin;
* `worse` when its upper end is;
* `undecided` otherwise, or when there are fewer events than the minimum. The champion then stays.

A first model has no champion to stay: it is refused only when it is worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlops.evaluation import number_of, value_of

ESTIMATOR = "dr"
Finding = Literal["approved", "worse", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """The decision. `difference` is in units of reward, `low` and `high` are its interval's ends."""

    approved: bool
    finding: Finding
    against: Literal["champion", "logged policy"]
    difference: float
    low: float
    high: float
    rows: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For XCom; `text` is what a person reads."""
        return {**asdict(self), "text": str(self)}

    def __str__(self) -> str:
        head = "challenger approved" if self.approved else "challenger refused, the champion stays"
        return f"{head} (against the {self.against}): {self.reason}"


def decide(evaluation: Mapping[str, Any], *, margin: float, minimum_rows: int) -> Verdict:
    """The verdict on an evaluation (version 1). `margin` is in units of reward, not negative.

    Raises EvaluationUnusable.
    """
    paired = value_of(evaluation, "paired")
    first = paired.get("champion") is None
    against: Literal["champion", "logged policy"] = "logged policy" if first else "champion"
    where = f"paired.{'logged' if first else 'champion'}"
    estimates = value_of(paired, "logged" if first else "champion", "paired")
    estimate = value_of(estimates, ESTIMATOR, where)
    difference, low, high = (
        number_of(estimate, name, f"{where}.{ESTIMATOR}") for name in ("value", "low", "high")
    )
    rows = int(number_of(evaluation, "rows"))
    level = f"{float(evaluation.get('confidence', 0.95)):.0%}"
    interval = f"{difference:+.4f}, {level} interval [{low:+.4f}, {high:+.4f}], {rows} events"
    finding: Finding
    if rows < minimum_rows:
        finding, words = "undecided", f"fewer than {minimum_rows} events to judge by"
    elif low >= -margin:
        finding, words = "approved", f"not worse beyond the margin of {margin:g}"
    elif high < -margin:
        finding, words = "worse", f"worse by more than the margin of {margin:g}"
    else:
        finding, words = "undecided", f"may be worse by more than the margin of {margin:g}"
    approved = finding == "approved" or (first and finding == "undecided")
    return Verdict(approved, finding, against, difference, low, high, rows, f"{words}: {interval}")
