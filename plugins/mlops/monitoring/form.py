"""The trigger form of the DAG monitoring: any window, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

from config.settings import VERSION
from mlops.forms import OPTIONAL_TEXT

if TYPE_CHECKING:
    from config import Settings


def params(settings: Settings) -> dict[str, Param]:
    """The DAG's params in the order of the form."""
    hours = settings.monitoring.window_hours
    return {
        "start": Param(
            None,
            type=OPTIONAL_TEXT,
            format="date-time",
            title="From",
            description=f"Begin of the window. Empty: {hours} h before its end.",
        ),
        "end": Param(
            None,
            type=OPTIONAL_TEXT,
            format="date-time",
            title="Until",
            description="End of the window. Empty: the last full hour; or, where the begin is given, now.",
        ),
        "mode": Param(
            settings.monitoring.mode,
            type="string",
            enum=["own", "managed", "off"],
            title="Who analyses",
            description="own: processing jobs of this run. managed: Model Monitor's schedules; their reports "
            "of the window's hour are collected.",
        ),
        "code_version": Param(
            settings.code_version,
            type="string",
            pattern=f"^{VERSION.pattern}$",
            title="Version of the scripts",
            description="Which upload under code/ the jobs run.",
        ),
    }
