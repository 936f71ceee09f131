"""CloudWatch: metrics kept on disk with real statistics, and alarms that are really evaluated.

`metrics` is the store, `alarms` the judgement of one alarm, `backend` what moto's API sees of both.
"""

from __future__ import annotations

from local_aws.services.cloudwatch.backend import evaluate_now, install

__all__ = ["evaluate_now", "install"]
