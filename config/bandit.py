"""Settings of the bandits: batches, rewards, gate, swap. A policy's own settings belong to its experiment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from config.section import Seconds, Section, Share


class Bandit(Section):
    """How experiments learn from their rewards; the trigger form's defaults, and its schema."""

    train_share: Share = Field(
        0.85,
        title="Share that trains",
        description="Events whose sample probability is at most this train; the rest only evaluate, always.",
    )
    minimum_rewards: int = Field(
        500, ge=1, title="Size of a batch", description="Learn as soon as so many new rewards have arrived."
    )
    maximum_wait: Seconds = Field(
        3600, title="Longest wait", description="Learn from what has arrived after so many seconds."
    )
    buffer_seconds: int = Field(60, ge=0, le=900, description="Firehose writes an object at least so often")
    buffer_megabytes: int = Field(5, ge=1, le=128)
    fallback_hours: int = Field(
        24,
        ge=1,
        le=720,
        description="where the observation of a reward is looked for when its event id tells no time",
    )
    late_hours: int = Field(
        72, ge=1, le=720, description="how long a reward without an observation is tried again"
    )
    reward_horizon: Seconds = Field(
        0,
        title="Reward horizon",
        description="Seconds after which an event without a reward gets the default reward. 0: never.",
    )
    default_reward: float = Field(0.0, title="Default reward")
    margin: float = Field(
        0.02,
        ge=0,
        title="Margin",
        description="Mean reward by which a challenger may be worse than the champion, at the lower end of "
        "the paired interval (doubly robust).",
    )
    minimum_rows: int = Field(
        200, ge=1, title="Least evaluation", description="Fewer events than these decide nothing."
    )
    evaluation_batches: int = Field(
        30, ge=1, le=100, description="the evaluation splits of so many of the newest batches are judged on"
    )
    confidence: Share = 0.95
    folds: int = Field(3, ge=2, description="of the cross-fitting: no model scores a row it was fitted on")
    swap: Literal["soft", "blue-green"] = Field(
        "soft",
        title="Swap",
        description="soft: the running containers pick the model up. blue-green: new containers take over.",
    )
    swap_seconds: int = Field(
        120, ge=1, description="how long all workers may take to serve the model they were told to"
    )
    server_workers: int = Field(1, ge=1, description="processes of the model server on each instance")
