"""May the challenger replace the champion? A pure decision on `evaluation.json`.

* A first model must beat the best constant classifier: the paired bootstrap interval of the difference in log
  loss (challenger minus constant) must lie below zero.
* A later model must not be worse than the champion beyond a margin: the interval's upper end must not exceed
  it. And it must be better than the constant all the same: two useless models are equal, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlops.evaluation import EvaluationUnusable, number_of, value_of


@dataclass(frozen=True)
class Verdict:
    """The decision, with its reasons in words. `warnings` did not decide."""

    approved: bool
    against: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For XCom; `text` is what a person reads."""
        return {
            "approved": self.approved,
            "against": self.against,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "text": str(self),
        }

    def __str__(self) -> str:
        head = "challenger approved" if self.approved else "challenger refused, deployment skipped"
        lines = [f"{head} (against the {self.against})", *(f"- {reason}" for reason in self.reasons)]
        return "\n".join([*lines, *(f"- warning: {warning}" for warning in self.warnings)])


def decide(
    evaluation: Mapping[str, Any], *, margin: float, data_checks: Literal["refuse", "warn"] = "refuse"
) -> Verdict:
    """The verdict on an evaluation (version 1).

    `margin` is in nats of log loss, not negative. With `data_checks="warn"` a failed data check is shown but
    does not refuse. Raises EvaluationUnusable.
    """
    paired = value_of(evaluation, "paired")
    against = value_of(paired, "against", "paired")
    low, high = (
        number_of(value_of(paired, "log_loss", "paired"), end, "paired.log_loss") for end in ("low", "high")
    )
    challenger = number_of(value_of(evaluation, "challenger"), "log_loss", "challenger")
    constant = number_of(value_of(evaluation, "constant"), "log_loss", "constant")
    if against not in {"champion", "constant"}:
        raise EvaluationUnusable(f"paired.against is {against!r}, not champion or constant")
    limit = margin if against == "champion" else 0.0
    level = f"{float(paired.get('confidence', 0.95)):.0%}"
    interval = f"{level} interval of the log loss difference [{low:+.4f}, {high:+.4f}]"

    # A first model must be better, a later one must not be worse: hence < against <=.
    passed = high <= limit if against == "champion" else high < limit
    if against == "champion":
        reason = (
            f"not worse than the champion beyond the margin of {margin:g}"
            if passed
            else f"may be worse than the champion by more than the margin of {margin:g}"
        )
    else:
        reason = (
            "better than the best constant classifier"
            if passed
            else "not better than the best constant classifier"
        )
    reasons = [f"{reason}: {interval}"]
    if against == "champion" and challenger >= constant:
        passed = False
        reasons.append(
            f"no better than the best constant classifier: log loss {challenger:.4f} against {constant:.4f}"
        )

    failed = [
        str(
            check.get("message") or f"{check.get('name')} is {check.get('value')}, limit {check.get('limit')}"
        )
        for check in evaluation.get("data_checks", [])
        if not check.get("passed")
    ]
    if data_checks == "refuse" and failed:
        passed = False
        reasons += [f"data check failed: {message}" for message in failed]
        failed = []
    warnings = [f"data check failed: {message}" for message in failed]
    lineage = evaluation.get("lineage", {})
    if lineage.get("champion_split") not in {None, lineage.get("split")}:
        warnings.append(
            f"the champion was trained on another split ({lineage['champion_split']}, now "
            f"{lineage.get('split')}): it may have seen customers of this hold-out, and look better "
            "than it is"
        )
    return Verdict(passed, against, tuple(reasons), tuple(warnings))
