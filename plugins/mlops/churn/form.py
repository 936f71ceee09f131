"""The trigger form of churn_training: every param with its default, its schema and an explanation.

What settings declare is not declared again: title, explanation and limits of a field come from its pydantic
model, so the form, the REST API and the settings files accept the same values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

from mlops.forms import OPTIONAL_TEXT, code_version, setting

if TYPE_CHECKING:
    from config.settings import Settings


def params(settings: Settings) -> dict[str, Param]:
    """The DAG's params in the order of the form; defaults are the environment's settings."""
    return {
        "data": Param(
            None,
            type=OPTIONAL_TEXT,
            pattern=r"^(s3://[^/]+/.*[^/])?$",
            title="Raw data",
            description="S3 URI of one file of customers (.csv, .csv.gz, .txt). "
            f"Empty: the newest object under {settings.s3(settings.raw_prefix)}.",
            section="Data",
        ),
        "only_newest": Param(
            False,
            type="boolean",
            title="Only if it is the newest",
            description="Skip this run when a newer file lies beside the one named: events ask so, that of "
            "the files that landed during a run only the last is trained on.",
            section="Data",
        ),
        "split": setting(settings.data, "split", "Data"),
        "split_seed": setting(settings.data, "seed", "Data"),
        "data_checks": setting(settings.gate, "data_checks", "Data"),
        **{name: setting(settings.xgboost, name, "Training") for name in type(settings.xgboost).model_fields},
        "threshold": setting(settings.gate, "threshold", "Gate"),
        "margin": setting(settings.gate, "margin", "Gate"),
        "deploy": Param(
            True,
            type="boolean",
            title="Deploy",
            description="Off: train, evaluate and judge, but leave the endpoint alone.",
            section="Release",
        ),
        "monitoring": setting(settings.monitoring, "mode", "Release"),
        "cooldown": Param(
            False,
            type="boolean",
            title="Only after the cool-down",
            description="Skip this run when a training began less than "
            f"{settings.monitoring.cooldown:,} s ago: alarms ask so, that one drift gives one retraining.",
            section="Release",
        ),
        "reason": Param(
            None,
            type=OPTIONAL_TEXT,
            maxLength=200,
            title="Why this run",
            description="Kept with the model, for whoever asks later.",
            section="Release",
        ),
        "code_version": code_version(settings, "Release"),
    }
