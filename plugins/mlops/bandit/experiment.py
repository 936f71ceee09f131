"""What an experiment's things are called, and where they are: derived from its id, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.naming import run_key

if TYPE_CHECKING:
    from config import Settings

EXPERIMENT_ID = re.compile(r"[a-z](-?[a-z0-9]){0,19}")  # Firehose names end at 64 characters
HOUR = "%Y-%m-%d-%H"  # the value of a partition `dt`


class BadExperiment(ValueError):
    """An experiment id or a policy that cannot be used; the message says why."""


@dataclass(frozen=True)
class Experiment:
    """Names of one experiment in one environment. Raises BadExperiment for an id that cannot be one."""

    settings: Settings
    id: str

    def __post_init__(self) -> None:
        if not EXPERIMENT_ID.fullmatch(self.id):
            raise BadExperiment(
                f"experiment {self.id!r} is not an id: a lower-case letter, then letters, digits and single "
                "dashes between them, 20 characters at most"
            )

    @property
    def endpoint(self) -> str:
        """The endpoint; its dashboard and log group are called the same."""
        return self.settings.bandit_endpoint(self.id)

    @property
    def streams(self) -> dict[str, str]:
        """Firehose stream by the folder that it fills."""
        return {
            "inference_data": f"{self.endpoint}-actions",
            "rewards_data": f"{self.endpoint}-rewards",
        }

    @property
    def root(self) -> str:
        """The prefix under which everything of the experiment is."""
        return self.settings.bandit_prefix(self.id)

    def s3(self, key: str = "") -> str:
        return self.settings.s3(self.root + key)

    def table(self, kind: str) -> str:
        """The Glue table `observations`, `rewards`, `joined` or `logged`."""
        return f"bandit_{self.id.replace('-', '_')}_{kind}"

    @property
    def pointer(self) -> str:
        """The object that says which model the containers are to serve."""
        return self.s3("hosting.json")

    def model_id(self, run_id: str) -> str:
        """The model that a DAG run trains."""
        return f"{self.id}-model-{run_key(run_id)}"

    def join_id(self, run_id: str, now: datetime) -> str:
        """A batch's join; ids are in the order in which joins began, which is how they are looked for."""
        return f"{now.astimezone(UTC):%Y-%m-%d-%H-%M-%S}-{run_key(run_id).rsplit('-', 1)[-1]}"

    def release(self, model_id: str) -> str:
        """SageMaker's model and endpoint configuration of a model: told apart by the digest of its run."""
        return f"{self.endpoint}-{model_id.rsplit('-', 1)[-1]}"


def hours(begin: datetime, end: datetime) -> list[str]:
    """The hour partitions from `begin` to `end`, both included.

    >>> hours(datetime(2026, 11, 21, 23, 59, tzinfo=UTC), datetime(2026, 11, 22, 0, 1, tzinfo=UTC))
    ['2026-11-21-23', '2026-11-22-00']
    """
    hour = begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    found = []
    while hour <= end:
        found.append(f"{hour:{HOUR}}")
        hour += timedelta(hours=1)
    return found


def hour_after(hour: str) -> str:
    """The partition after this one. Raises ValueError for what is no partition."""
    return f"{datetime.strptime(hour, HOUR).replace(tzinfo=UTC) + timedelta(hours=1):{HOUR}}"


def reward_range(policy: Mapping[str, Any]) -> tuple[float, float]:
    """Lowest and highest reward of a policy configuration. Raises BadExperiment when there is none."""
    declared = policy.get("reward", {"low": 0, "high": 1})
    try:
        low, high = float(declared["low"]), float(declared["high"])
    except (KeyError, TypeError, ValueError):
        raise BadExperiment(f"policy.reward must be {{low, high}}, two numbers; got {declared!r}") from None
    if not low < high:
        raise BadExperiment(f"policy.reward: low {low:g} must be below high {high:g}")
    return low, high


def check_policy(policy: Any) -> None:
    """Refuse early what no job could use; the training checks every detail. Raises BadExperiment."""
    if not isinstance(policy, Mapping):
        raise BadExperiment(f"the policy must be a JSON object, got {type(policy).__name__}")
    if missing := [key for key in ("version", "context", "arms") if key not in policy]:
        raise BadExperiment(f"the policy has no {', '.join(missing)}")
    if not isinstance(policy["context"], list) or not policy["context"]:
        raise BadExperiment("policy.context must list the features, at least one")
    arms = policy["arms"]
    if not isinstance(arms, Mapping) or not ({"fixed", "features"} & arms.keys()):
        raise BadExperiment('policy.arms must be {"fixed": [ids]} or {"features": [...]}')
    if "fixed" in arms and len(set(map(str, arms["fixed"]))) < 2:
        raise BadExperiment("policy.arms.fixed must name at least two different arms")
    reward_range(policy)
