"""What starts a DAG by itself: a clock or data, as the environment's settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset

if TYPE_CHECKING:
    from config import Settings


def schedule(settings: Settings, dag_id: str) -> str | list[Asset] | None:
    """`schedules.<dag_id>` of the settings: a cron expression in UTC; or URIs of assets with spaces between,
    all of which must have changed; or nothing, then events, people and the API start the DAG."""
    said = settings.schedules.get(dag_id)
    if said is None or "://" not in said:
        return said
    return [Asset(uri) for uri in said.split()]
