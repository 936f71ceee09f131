"""A token bucket: as many records at once as one second's allowance holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Allowance:
    """tokens: records that may come now; None before the first use. at: seconds since the epoch."""

    tokens: float | None = None
    at: float = 0.0

    def take(self, wanted: int, per_second: float, now: float) -> int:
        """Take up to `wanted` whole records; returns how many there were."""
        refilled = per_second if self.tokens is None else self.tokens + max(0.0, now - self.at) * per_second
        available = min(per_second, refilled)
        taken = min(wanted, int(available))
        self.tokens, self.at = available - taken, now
        return taken
