"""Names that derive from the DAG run, so that a retry finds what its predecessor started.

Nothing here reads a clock or draws a random number: the same run id always gives the same names, and two run
ids never share one (40 bits of SHA-256 tell apart what the readable part does not).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

RUN_KEY_LENGTH = 24
JOB_NAME_LENGTH = 63  # SageMaker: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$

_READABLE = RUN_KEY_LENGTH - 9
_AIRFLOW_RUN_ID = re.compile(r"(?P<kind>[a-z_]+)__\d{4}-(\d\d)-(\d\d)T(\d\d):(\d\d)")
_SHORT_KIND = {"scheduled": "sched", "backfill": "fill", "asset_triggered": "asset"}


def run_key(run_id: str) -> str:
    """A short key of a DAG run for prefixes and names: [a-z0-9-], at most 24 characters, begins with a letter
    or digit, never ends in a dash.

    >>> run_key("manual__2026-11-21T09:15:00.123456+00:00")
    'manual-11210915-he5gynos'
    """
    if not run_id:
        raise ValueError("a run key needs the DAG run's id; it was empty")
    if match := _AIRFLOW_RUN_ID.match(run_id):
        kind = _SHORT_KIND.get(match["kind"], match["kind"].replace("_", "")[:6])
        readable = f"{kind}-{''.join(match.groups()[1:])}"
    else:
        readable = re.sub(r"[^a-z0-9]+", "-", run_id.lower())
    readable = readable.strip("-")[:_READABLE].strip("-")
    return f"{readable}-{_digest(run_id)}" if readable else _digest(run_id)


def job_name(pipeline: str, run_key: str, step: str, attempt: int) -> str:
    """`churn-training-<run key>-train-1`: what a job of one step of one run is called, at most 63 characters.

    `attempt` counts jobs, from 1: a retry that finds the job alive or done uses the same name.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, got {attempt}")
    name = f"{pipeline}-{run_key}-{step}-{attempt}"
    if len(name) > JOB_NAME_LENGTH or not re.fullmatch(r"[a-z0-9](-*[a-z0-9])*", name):
        raise ValueError(
            f"{name!r} is not a job name: {JOB_NAME_LENGTH} characters at most, lower-case letters, digits "
            "and single dashes between them"
        )
    return name


def table_name(run_key: str) -> str:
    """The Glue table that holds the customers of one run."""
    return f"customers_{run_key.replace('-', '_')}"


def request_digest(request: Mapping[str, Any]) -> str:
    """A short digest of what a job is asked to do. A retry adopts only a job that was asked the same."""
    return _digest(json.dumps(request, sort_keys=True))


def _digest(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:5]).decode().lower()
