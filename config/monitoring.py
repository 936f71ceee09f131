"""Settings of the monitoring: `[monitoring]` of an environment's file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from config.section import Seconds, Section


class Monitoring(Section):
    """What watches a deployed model, what it compares with, and when it calls for a retraining."""

    mode: Literal["own", "managed", "off"] = Field(
        "own",
        title="Monitoring",
        description="own: the DAG monitoring analyses each window in processing jobs. managed: the schedules "
        "of SageMaker Model Monitor do, where the account has it. off: no baselines, nothing watches.",
    )
    window_hours: int = Field(
        1, ge=1, le=6, description="a job has ten inputs: six hours' captures, code, model and baseline"
    )
    label_delay_hours: int = Field(
        24, ge=0, description="model quality and bias look at windows that ended so long before the others'"
    )
    constraint_tolerance: float = Field(
        3.5, ge=0, description="standard errors by which a model metric may be worse than at the baseline"
    )
    window_alarm_rate: float = Field(
        0.01, gt=0, lt=1, description="share of windows without drift in which data quality may alarm"
    )
    expected_window_rows: int = Field(
        200, ge=1, description="windows of fewer requests make false alarms more frequent"
    )
    facet: str = Field("Account Length", description="feature whose groups the bias metrics compare")
    facet_threshold: float = Field(100, description="above it is one group, the rest the other")
    explained_rows: int = Field(1000, ge=10, le=1000, description="rows of a window that are explained")
    shap_samples: int = Field(200, ge=50, description="coalitions for each row that Clarify explains")
    seed: int = 7
    history: int = Field(48, ge=0, description="earlier executions that a report shows")
    alarm_period: Literal[10, 30, 60] = Field(60, description="seconds; below 60 on high-resolution metrics")
    cooldown: Seconds = Field(
        21_600, description="a retraining that an alarm asks for waits so long after the last training began"
    )
