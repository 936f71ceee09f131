"""What runs, what it takes, where its logs are: one report for `/-/health`, `/-/status` and the command."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import psutil

from local_aws import __version__, moto_hooks
from local_aws.context import Context


def report(context: Context) -> dict[str, Any]:
    """As JSON. cpu in percent of one core since the start, rss in bytes, times in ISO 8601.

    jobs: what runs. ended: what ran since this server has started, the latest first. endpoints: of all
    regions.
    """
    server = psutil.Process(os.getpid())
    return {
        "version": __version__,
        "now": context.clock().isoformat(),
        "services": sorted(moto_hooks.services_in_use()),
        "data_dir": str(context.data_dir),
        "server": {
            "pid": server.pid,
            "rss": server.memory_info().rss,
            "seconds": round(sum(server.cpu_times()[:2]), 1),
            "started": datetime.fromtimestamp(server.create_time(), UTC).isoformat(),
        },
        "jobs": [
            {"id": row.id, "pid": row.pid, "cpu": row.cpu, "rss": row.rss, "started": row.started.isoformat(),
             "log_group": row.log_group, "log_stream": row.log_stream}
            for row in context.supervisor.list()
        ],
        "ended": [
            {"id": end.id, "reason": end.exit.reason, "code": end.exit.code, "last_line": end.exit.last_line,
             "ended": end.at.isoformat(), "log_group": end.log_group, "log_stream": end.log_stream}
            for end in context.supervisor.ended()
        ],
        "endpoints": _endpoints(context),
    }  # fmt: skip


def _endpoints(context: Context) -> list[dict[str, str]]:
    with context.state.lock("sagemaker"):
        return [
            {
                "name": endpoint.endpoint_name,
                "status": endpoint.endpoint_status,
                "config": endpoint.endpoint_config_name,
                "region": region,
                "since": endpoint.creation_time.replace(tzinfo=UTC).isoformat(),
                "log_group": f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}",
            }
            for regions in moto_hooks.get_backends("sagemaker").values()
            for region, backend in regions.items()
            for endpoint in backend.endpoints.values()
        ]
