"""The control plane's side of the data plane: desired state goes out as a file, readiness comes back over
HTTP.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
from typing import Any

from local_aws.context import Context
from local_aws.images.registry import PROJECT_ROOT
from local_aws.processes import Job

from . import endpoint_configs
from .backend import Service

log = logging.getLogger(__name__)

_publishing = threading.Lock()


def start(context: Context) -> None:
    """Run the data plane for as long as this server runs."""
    context.supervisor.keep_alive(
        Job(
            id="serving",
            argv=[
                *(str(context.jobs_python), "-m", "local_aws.serving"),
                *("--port", str(context.runtime_port), "--data-dir", str(context.data_dir)),
                *("--region", context.region, "--account", context.account),
                *("--capture-seconds", str(context.pace.capture_seconds)),
                *(("--images", str(context.images.resolve())) if context.images else ()),
            ],
            env={"PYTHONPATH": str(PROJECT_ROOT)},
            cwd=context.data_dir / "serving",
            log_group="/local-aws/serving",
            log_stream="data-plane",
        )
    )


def publish(service: Service) -> None:
    """Write endpoints.json and tell the data plane. Never call this with the service's lock held.

    The file is what counts: a data plane that is just starting reads it then.
    """
    path = service.context.data_dir / "serving" / "endpoints.json"
    with _publishing:
        with service.lock:
            text = json.dumps({"version": 1, "endpoints": desired(service)}, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_suffix(".new")
        work.write_text(text)
        work.replace(path)
    try:
        _call(service, "POST", "/-/reload")
    except OSError as error:
        log.debug("the data plane is not there to be told, it reads the file when it starts: %s", error)


def desired(service: Service) -> dict[str, Any]:
    """What each endpoint should serve. An endpoint without fleets is not served at all."""
    return {
        name: {
            "fleets": record["_fleets"],
            "capture": record["_capture"],
            "async": endpoint_configs.asynchronous(record["_config"]),
        }
        for name, record in service.records("endpoint").items()
        if record["_fleets"] and record["EndpointStatus"] != "Deleting"
    }


def variant_states(service: Service, endpoint: str, fleet: str) -> dict[str, dict[str, str]]:
    """variant -> {"state": "Loading|Ready|Failed", "reason": ...}; empty while the data plane is away."""
    try:
        endpoints = json.loads(_call(service, "GET", "/-/status"))["endpoints"]
    except (OSError, ValueError):
        return {}
    states: dict[str, dict[str, str]] = (
        endpoints.get(endpoint, {}).get("fleets", {}).get(fleet, {}).get("variants", {})
    )
    return states


def flush(service: Service, endpoint: str) -> None:
    """Bring what was captured of an endpoint to S3 now. Never call this with the service's lock held."""
    try:
        _call(service, "POST", f"/-/flush?endpoint={endpoint}")
    except OSError as error:
        log.warning("captures of %s that are not in S3 yet come with the next flush: %s", endpoint, error)


def _call(service: Service, method: str, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", service.context.runtime_port, timeout=30)
    try:
        connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
        response = connection.getresponse()
        body = response.read()
        if response.status >= 300:
            raise OSError(f"{method} {path} answered {response.status}: {body[:200]!r}")
        return body
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()
