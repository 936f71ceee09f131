"""The trigger forms of bandit_warm_start and bandit_learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from mlops.bandit.experiment import EXPERIMENT_ID
from mlops.forms import OPTIONAL_TEXT, code_version, setting

if TYPE_CHECKING:
    from config import Settings

EXAMPLE_POLICY: dict[str, Any] = {
    "version": 1,
    "context": [{"name": f"x{number}"} for number in range(1, 10)],
    "arms": {"fixed": [1, 2, 3, 4, 5, 6, 7]},
    "encoding": {"numbers": "quantile", "bins": 31},
    "exploration": {"kind": "squarecb", "gamma_scale": 100},
    "interactions": ["sa"],
    "ignore_linear": ["s"],
    "reward": {"low": 0, "high": 1},
}


def warm_start(settings: Settings) -> dict[str, Param]:
    """Params of bandit_warm_start, in the order of the form."""
    return {
        "experiment": _experiment(),
        "policy": Param(
            EXAMPLE_POLICY,
            type="object",
            title="Policy",
            description="Features, arms, encoding, exploration, range of rewards. An experiment keeps the "
            "policy that it was created with.",
            section="Experiment",
        ),
        "data": Param(
            None,
            type=OPTIONAL_TEXT,
            pattern=r"^(s3://[^/]+/.*[^/])?$",
            title="Log of an earlier policy",
            description="S3 URI of one file of JSON lines: event_id, observation, action, action_prob, "
            "reward and, better, sample_prob. Empty: the first model chooses at random.",
            section="Experiment",
        ),
        "train_share": setting(settings.bandit, "train_share", "Experiment"),
        "seed": Param(
            0,
            type="integer",
            minimum=0,
            maximum=2**31 - 1,
            title="Seed of the training",
            section="Experiment",
        ),
        **_gate(settings),
        "code_version": code_version(settings, "Release"),
    }


def learning(settings: Settings) -> dict[str, Param]:
    """Params of bandit_learning, in the order of the form."""
    policy = settings.bandit
    return {
        "experiment": _experiment(),
        "learn_now": Param(
            False,
            type="boolean",
            title="Learn now",
            description="From whatever rewards have arrived, without waiting for a whole batch.",
            section="Batch",
        ),
        "minimum_rewards": setting(policy, "minimum_rewards", "Batch"),
        "maximum_wait": setting(policy, "maximum_wait", "Batch"),
        "batches": Param(
            1,
            type="integer",
            minimum=1,
            maximum=10_000,
            title="Batches",
            description="How many batches to learn from, each in a run of its own that starts the next one.",
            section="Batch",
        ),
        "reward_horizon": setting(policy, "reward_horizon", "Batch"),
        "default_reward": setting(policy, "default_reward", "Batch"),
        "seed": Param(
            0, type="integer", minimum=0, maximum=2**31 - 1, title="Seed of the training", section="Batch"
        ),
        **_gate(settings),
        "deploy": Param(
            True,
            type="boolean",
            title="Swap",
            description="Off: learn and judge, but leave the endpoint alone.",
            section="Release",
        ),
        "swap": setting(policy, "swap", "Release"),
        "code_version": code_version(settings, "Release"),
    }


def _experiment() -> Param:
    return Param(
        "shuttle",
        type="string",
        pattern=f"^{EXPERIMENT_ID.pattern}$",
        title="Experiment",
        description="Its id: at most 20 lower-case letters, digits and dashes.",
        section="Experiment",
    )


def _gate(settings: Settings) -> dict[str, Param]:
    return {name: setting(settings.bandit, name, "Gate") for name in ("margin", "minimum_rows")}
