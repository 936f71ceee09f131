"""What a join has to read: only the hour partitions and the earlier joins that its events can be in.

An event id of ours is a UUID of version 7, which tells the hour of its observation. The observation is in
the partition of the hour in which Firehose received it: that hour, or the next one, or, when it came late,
one that a join has noticed and written down (`stragglers`): each hour is looked through once, when it has
ended. Until then a reward for such an observation waits as `unmatched`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.bandit.experiment import HOUR, hour_after, hours

if TYPE_CHECKING:
    from config.bandit import Bandit

USED = ("train", "evaluation")
OUTCOMES = (*USED, "unmatched", "unknown", "late", "duplicate", "conflict", "refused")


@dataclass(frozen=True)
class Look:
    """What the first query found. hours: of the rewards' event ids. timeless: rewards whose id tells none.
    stragglers: hour of the event -> hours of arrival, where these are neither that hour nor the next."""

    hours: frozenset[str]
    timeless: int
    stragglers: Mapping[str, Sequence[str]]


def read_look(rows: Iterable[Sequence[str | None]]) -> Look:
    """From rows of (kind, hour, arrived, events), as look.sql returns them."""
    found: set[str] = set()
    timeless = 0
    stragglers: dict[str, list[str]] = {}
    for kind, hour, arrived, events in rows:
        if kind == "reward" and hour:
            found.add(hour)
        elif kind == "reward":
            timeless += int(events or 0)
        elif hour and arrived:
            stragglers.setdefault(hour, []).append(arrived)
    return Look(frozenset(found), timeless, stragglers)


def partitions(
    look: Look,
    known: Mapping[str, Sequence[str]],
    policy: Bandit,
    as_of: datetime,
    defaults: tuple[datetime, datetime] | None,
) -> list[str]:
    """The arrival hours to read, sorted.

    `known`: stragglers of earlier joins. `defaults`: the span of events that get the default reward now.
    Hours far from the present are not trusted: an event id is what a client says it is.
    """
    wanted = set(look.hours)
    if defaults:
        wanted.update(hours(*defaults))
    read: set[str] = set()
    for hour in wanted:
        read.update((hour, hour_after(hour)))
        read.update(known.get(hour, ()))
        read.update(look.stragglers.get(hour, ()))
    if look.timeless:
        read.update(hours(as_of - timedelta(hours=policy.fallback_hours), as_of))
    return sorted(hour for hour in read if hour <= f"{as_of:{HOUR}}")


def arrivals(since: datetime, policy: Bandit, as_of: datetime) -> list[str]:
    """The arrival hours that have ended since an earlier join (or the experiment's beginning), to be looked
    through once for observations that came late; not those so long ago that no reward is waited for."""
    begin = max(since, as_of - timedelta(hours=policy.late_hours))
    return [hour for hour in hours(begin, as_of) if hour < f"{as_of:{HOUR}}"]


def to_default(policy: Bandit, last: datetime | None, as_of: datetime) -> tuple[datetime, datetime] | None:
    """The span of events that get the default reward in a join; None when there is no horizon.

    It overlaps the previous join's span by an hour, for what arrives late: no event is joined twice anyway.
    """
    if not policy.reward_horizon:
        return None
    horizon = timedelta(seconds=policy.reward_horizon)
    begin = last - horizon - timedelta(hours=1) if last else as_of - horizon - timedelta(hours=1)
    return begin, as_of - horizon


def to_check(joins: Iterable[Mapping[str, Any]], join_id: str, read: Sequence[str]) -> list[str]:
    """Ids of the earlier joins that may have used the same events already."""
    wanted = set(read)
    return [
        join["join_job_id"]
        for join in joins
        if join["join_job_id"] != join_id
        and join.get("current_state") == "SUCCEEDED"
        and wanted.intersection(join.get("hours", ()))
    ]


@dataclass(frozen=True)
class Counted:
    """What became of a batch's rewards. counts: by outcome. arms: arm -> (events, sum of rewards), of those
    used. reasons: why rewards were refused. defaults: events that got the default reward."""

    counts: Mapping[str, int]
    arms: Mapping[str, tuple[int, float]]
    reasons: Mapping[str, int]
    defaults: int

    @property
    def used(self) -> int:
        return sum(self.counts.get(outcome, 0) for outcome in USED)

    @property
    def mean_reward(self) -> float | None:
        return sum(total for _, total in self.arms.values()) / self.used if self.used else None

    def as_dict(self) -> dict[str, Any]:
        arms = {arm: {"events": events, "reward": total} for arm, (events, total) in self.arms.items()}
        return {
            "counts": {outcome: self.counts.get(outcome, 0) for outcome in OUTCOMES},
            "reasons": dict(self.reasons),
            "defaults": self.defaults,
            "arms": arms,
            "mean_reward": self.mean_reward,
        }

    def __str__(self) -> str:
        parts = [f"{self.counts[name]} {name}" for name in OUTCOMES if self.counts.get(name)]
        why = "".join(f"\n  refused: {reason}: {number}" for reason, number in self.reasons.items())
        given = f" ({self.defaults} with the default reward)" if self.defaults else ""
        return f"rewards: {', '.join(parts) or 'none'}{given}{why}"


def read_counts(rows: Iterable[Sequence[str | None]]) -> Counted:
    """From rows of (outcome, reason, source, action, events, reward), as count.sql returns them."""
    counts: dict[str, int] = {}
    arms: dict[str, tuple[int, float]] = {}
    reasons: dict[str, int] = {}
    defaults = 0
    for outcome, reason, source, action, events, reward in rows:
        number = int(events or 0)
        counts[outcome or ""] = counts.get(outcome or "", 0) + number
        if outcome in USED:
            had, total = arms.get(action or "", (0, 0.0))
            arms[action or ""] = (had + number, total + float(reward or 0))
            defaults += number if source == "default" else 0
        elif reason:
            reasons[reason] = reasons.get(reason, 0) + number
    return Counted(counts, arms, reasons, defaults)


def remembered(
    known: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]], policy: Bandit, as_of: datetime
) -> dict[str, list[str]]:
    """Stragglers to keep in mind, of earlier joins and of this one, as long as rewards are waited for."""
    longest = timedelta(hours=policy.late_hours, seconds=policy.reward_horizon) * 2
    oldest = f"{as_of - longest:{HOUR}}"
    merged = {hour: sorted({*known.get(hour, ()), *found.get(hour, ())}) for hour in {*known, *found}}
    return {hour: arrived for hour, arrived in merged.items() if hour >= oldest}
