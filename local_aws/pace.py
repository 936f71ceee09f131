"""How fast time goes where AWS takes longer than a demonstration can wait."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_SECONDS = 3600


@dataclass(frozen=True)
class Pace:
    """monitoring_hour: seconds that an hour of a monitoring schedule lasts, up to 3600.
    capture_seconds: the age at which a file of captured requests goes to S3."""

    monitoring_hour: int = HOUR_SECONDS
    capture_seconds: float = 60
