"""The gate: a table of evaluations and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.evaluation import EvaluationUnusable
from mlops.gate import Verdict, decide


def evaluation(
    against: str = "champion", low: float = -0.01, high: float = 0.01, **changes: Any
) -> dict[str, Any]:
    return {
        "version": 1,
        "challenger": {"log_loss": 0.17},
        "champion": {"log_loss": 0.17} if against == "champion" else None,
        "constant": {"log_loss": 0.41},
        "paired": {
            "against": against,
            "confidence": 0.95,
            "log_loss": {"estimate": (low + high) / 2, "low": low, "high": high},
        },
        "data_checks": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("against", "low", "high", "approved", "reason"),
    [
        ("constant", -0.30, -0.20, True, "better than the best constant classifier"),
        ("constant", -0.30, 0.00, False, "not better than the best constant classifier"),
        ("constant", -0.30, 0.01, False, "not better than the best constant classifier"),
        ("champion", -0.05, -0.01, True, "not worse than the champion beyond the margin of 0.02"),
        ("champion", 0.00, 0.00, True, "not worse than the champion beyond the margin of 0.02"),
        ("champion", 0.01, 0.02, True, "not worse than the champion beyond the margin of 0.02"),
        ("champion", -0.01, 0.0201, False, "may be worse than the champion by more than the margin of 0.02"),
        ("champion", 0.05, 0.10, False, "may be worse than the champion by more than the margin of 0.02"),
    ],
)
def test_the_interval_decides(against: str, low: float, high: float, approved: bool, reason: str) -> None:
    verdict = decide(evaluation(against, low, high), margin=0.02)
    assert verdict.approved is approved
    assert verdict.against == against
    assert verdict.reasons == (
        f"{reason}: 95% interval of the log loss difference [{low:+.4f}, {high:+.4f}]",
    )


def test_two_useless_models_are_not_good_enough() -> None:
    verdict = decide(evaluation(challenger={"log_loss": 0.41}), margin=0.02)
    assert not verdict.approved
    assert verdict.reasons[1] == (
        "no better than the best constant classifier: log loss 0.4100 against 0.4100"
    )


@pytest.mark.parametrize(("data_checks", "approved"), [("refuse", False), ("warn", True)])
def test_data_checks(data_checks: Any, approved: bool) -> None:
    checks = [
        {"name": "rows", "value": 100, "limit": 50, "passed": True, "message": "fine"},
        {
            "name": "churn_rate",
            "value": 0.4,
            "limit": 0.2,
            "passed": False,
            "message": "churn rate 0.4, was 0.14",
        },
    ]
    verdict = decide(evaluation(data_checks=checks), margin=0.02, data_checks=data_checks)
    assert verdict.approved is approved
    message = "data check failed: churn rate 0.4, was 0.14"
    assert (message in verdict.reasons) is not approved
    assert (message in verdict.warnings) is approved


def test_a_champion_of_another_split_is_pointed_out() -> None:
    lineage = {"split": "hash 1729", "champion_split": "reference 1729"}
    (warning,) = decide(evaluation(lineage=lineage), margin=0.02).warnings
    assert warning.startswith("the champion was trained on another split (reference 1729, now hash 1729)")
    for same in ({"split": "hash 1729", "champion_split": "hash 1729"}, {"split": "hash 1729"}):
        assert decide(evaluation(lineage=same), margin=0.02).warnings == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paired": None}, "evaluation has no 'paired'"),
        ({"paired": {"against": "champion"}}, "paired has no 'log_loss'"),
        ({"challenger": {"log_loss": float("nan")}}, "challenger.log_loss is nan, not a finite number"),
        ({"constant": {"log_loss": "0.4"}}, "constant.log_loss is '0.4', not a finite number"),
        (
            {"paired": {"against": "last week", "log_loss": {"low": 0, "high": 0}}},
            "paired.against is 'last week'",
        ),
    ],
)
def test_an_evaluation_that_says_nothing_is_no_verdict(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationUnusable, match=message):
        decide(evaluation(**changes), margin=0.02)


def test_a_verdict_reads_well() -> None:
    verdict = Verdict(False, "champion", ("too bad",), ("odd data",))
    assert str(verdict) == (
        "challenger refused, deployment skipped (against the champion)\n- too bad\n- warning: odd data"
    )
    assert verdict.as_dict()["text"] == str(verdict)
